"""Parameters of one run: a profile and overrides, in params.yaml while the run lasts; then the user's file is back.

Without the second half a scheduled run would inherit what somebody tried the day before. A run that was killed leaves
its overlay behind; the next one puts the user's file back first.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flows.project import Project
from pipeline.profiles import Check, nested, read_profile, write_merged


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
    saved = project.private / "params.yaml"
    saved.parent.mkdir(parents=True, exist_ok=True)
    partial = saved.with_name("params.yaml.partial")
    shutil.copy2(project.root / "params.yaml", partial)
    partial.replace(saved)
    try:
        profiles = [read_profile(project.root, profile)] if profile else []
        write_merged(project.root, *profiles, nested(overrides), check=check)
        yield
    finally:
        restore(project)


def restore(project: Project) -> bool:
    """Put the user's params.yaml back where an overlay is in its place; whether there was one."""
    saved = project.private / "params.yaml"
    if not saved.is_file():
        return False
    saved.replace(project.root / "params.yaml")
    return True
