"""The project a flow works on: a git + DVC checkout, its private folder, and the few git commands the flows need."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from flows.dvc.explain import NO_GIT
from pipeline.errors import StageError

PROJECT_VARIABLE = "EGOVLM_PROJECT"  # a worker's checkout; if unset, the working directory
RUN_REFS = "refs/egovlm/runs"  # snapshots that travel to GPU workers


@dataclass(frozen=True)
class Project:
    """A checkout with `dvc.yaml` and `params.yaml` in `root` (absolute)."""

    root: Path

    @property
    def private(self) -> Path:
        """Folder of the flows' own notes (locks, saved params); inside `.dvc/tmp`, which git and DVC ignore."""
        return self.root / ".dvc/tmp/egovlm"

    def git(self, *arguments: str, env: dict[str, str] | None = None, seconds: float | None = None) -> str:
        """Standard output of a git command, stripped. It is given up after `seconds` (None: never).

        Raises:
            StageError: git failed; the message holds the command and git's own message.
        """
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self.root,
                capture_output=True,
                text=True,
                timeout=seconds,
                # never wait for a password; messages that are read below, in the language they are written in there
                env={**os.environ, **(env or {}), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise StageError(f"`git {' '.join(arguments)}` has not answered within {seconds:.0f} s") from error
        if "not a git repository" in done.stderr:
            raise StageError(f"{self.root} is not a git repository: {NO_GIT}")
        if done.returncode:
            raise StageError(f"`git {' '.join(arguments)}` failed in {self.root}: {' '.join(done.stderr.split())}")
        return done.stdout.strip()

    def short_sha(self) -> str:
        """Short hash of HEAD; `nogit` if there is no commit."""
        try:
            return self.git("rev-parse", "--short", "HEAD")
        except StageError:
            return "nogit"


def find_project(folder: str | Path | None = None) -> Project:
    """The project in `folder`, else in `$EGOVLM_PROJECT`, else in the working directory.

    Raises:
        StageError: there is no dvc.yaml.
    """
    root = Path(folder or os.environ.get(PROJECT_VARIABLE) or Path.cwd()).resolve()
    if not (root / "dvc.yaml").is_file():
        raise StageError(f"no dvc.yaml in {root}: run this in a checkout of egovlm or set {PROJECT_VARIABLE} to one")
    return Project(root)
