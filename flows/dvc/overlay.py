"""Parameters of one run: a profile and overrides, in params.yaml while the run lasts; then the user's file is back.

Without the second half a scheduled run would inherit what somebody tried the day before. A run that was killed leaves
its overlay behind; the next one puts the user's file back first.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.dvc.project import Project
from pipeline.files import replacing, write_text
from pipeline.profiles import Check, merge_overlay, nested, read_profile


@contextmanager
def overlaid(project: Project, profile: str | None, overrides: Mapping[str, Any], check: Check) -> Iterator[None]:
    """Merge profile and overrides into params.yaml for the time of the block. Hold the project's lock around it.

    Raises:
        ParamsError: no such profile, or the result does not pass `check`; params.yaml is then unchanged.
    """
    restore(project)
    if not profile and not overrides:
        yield
        return
    path, saved, overlay = _files(project)
    profiles = [read_profile(project.root, profile)] if profile else []
    text = merge_overlay(path.read_text(encoding="utf-8"), *profiles, nested(overrides), check=check)
    saved.parent.mkdir(parents=True, exist_ok=True)
    write_text(overlay, text)
    with replacing(saved) as partial:
        shutil.copy2(path, partial)
    try:
        write_text(path, text)
        yield
    finally:
        restore(project)


def restore(project: Project) -> bool:
    """Put the user's params.yaml back where an overlay is in its place; whether there was one.

    A file that was changed since (an edit during the run, a pull after a kill) is the user's own and stays.
    """
    path, saved, overlay = _files(project)
    if not saved.is_file():
        return False
    if overlay.is_file() and path.is_file() and path.read_bytes() != overlay.read_bytes():
        changed = path.read_bytes() != saved.read_bytes()
        saved.unlink()
        if changed:
            print("egovlm: params.yaml was changed during a run with other values: left as it is", file=sys.stderr)
        return False
    saved.replace(path)
    return True


def _files(project: Project) -> tuple[Path, Path, Path]:
    """params.yaml, the user's own copy while an overlay is in its place, and a copy of that overlay."""
    return project.root / "params.yaml", project.private / "params.yaml", project.private / "params.overlaid.yaml"
