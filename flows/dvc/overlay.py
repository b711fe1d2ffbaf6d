"""Parameters of one run: params.yaml holds a profile and overrides during the run; then the user's file is restored.

Otherwise a scheduled run would inherit what somebody tried the day before. A killed run leaves its overlay behind; the
next run restores the user's file first.
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
    """Merge profile and overrides into params.yaml during the block. The caller must hold the project's lock.

    Raises:
        ParamsError: the profile does not exist, or the result fails `check`. params.yaml is then unchanged.
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
    """Restore the user's params.yaml if an overlay has replaced it; returns whether one had.

    A file changed since (an edit during the run, a pull after a kill) is the user's own and stays.
    """
    path, saved, overlay = _files(project)
    if not saved.is_file():
        return False
    if overlay.is_file() and path.is_file() and path.read_bytes() != overlay.read_bytes():
        changed = path.read_bytes() != saved.read_bytes()
        saved.unlink()
        if changed:
            print(
                "egovlm: params.yaml was edited while a run used other values in its place; your edit is kept",
                file=sys.stderr,
            )
        return False
    saved.replace(path)
    return True


def _files(project: Project) -> tuple[Path, Path, Path]:
    """params.yaml, the user's own copy during an overlay, and a copy of that overlay."""
    return project.root / "params.yaml", project.private / "params.yaml", project.private / "params.overlaid.yaml"
