"""The checkout of a GPU worker: `python -m flows.remote.clone SOURCE FOLDER`.

Every incoming run overwrites a worker's checkout, so only a folder made for this purpose is accepted.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from flows.dvc.project import RUN_REFS, Project, find_project
from pipeline.errors import EgovlmError, StageError

_MARK = "egovlm.worker"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def make_clone(source: str, folder: Path, dvc_remote: str | None = None) -> Project:
    """Clone `source` (a git URL or a checkout on this machine) into `folder` as a worker's checkout.

    Args:
        source: the repository that senders push their snapshots to; a sender without a git remote is itself a source.
        folder: must not exist.
        dvc_remote: URL of the DVC remote if the repository's own .dvc/config names none; stored in config.local.

    Raises:
        StageError: git or DVC failed, or the folder is there already.
    """
    if folder.exists():
        raise StageError(f"{folder} already exists: name a new folder, since every run overwrites a worker's checkout")
    done = subprocess.run(["git", "clone", "--quiet", "--", source, str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise StageError(f"{source} cannot be cloned: {' '.join(done.stderr.split())}")
    project = find_project(folder)
    project.git("config", _MARK, "true")
    if dvc_remote:
        use_dvc_remote(project, dvc_remote)
    return project


def use_dvc_remote(project: Project, url: str) -> None:
    """Make `url` the default DVC remote of this checkout alone (.dvc/config.local, which git ignores)."""
    command = [sys.executable, "-m", "dvc", "remote", "add", "--local", "--force", "--default", "egovlm", url]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True)
    if done.returncode:
        raise StageError(f"DVC refuses {url} as a remote: {' '.join(done.stderr.split())}")


def check_out(project: Project, commit: str) -> None:
    """Bring the checkout to `commit`, fetched from its origin; tracked files are overwritten.

    Raises:
        StageError: the folder is not a worker's checkout, or the commit cannot be fetched.
    """
    if _COMMIT.fullmatch(commit) is None:
        raise StageError(f"commit must be a full hash, found {commit!r}")
    if not _is_worker(project):
        raise StageError(
            f"{project.root} is not a worker's checkout, and a run would overwrite it. Make one with "
            "`python -m flows.remote.clone SOURCE FOLDER` and start the gpu worker with EGOVLM_PROJECT=FOLDER"
        )
    project.git("fetch", "--quiet", "--no-tags", "--prune", "origin", f"+{RUN_REFS}/*:{RUN_REFS}/*")
    project.git("checkout", "--quiet", "--force", "--detach", commit)


def _is_worker(project: Project) -> bool:
    try:
        return project.git("config", "--type=bool", _MARK) == "true"
    except StageError:  # how git reports an unset value
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m flows.remote.clone", description=__doc__)
    parser.add_argument("source", help="git URL, or a checkout on this machine")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dvc-remote", help="URL of the DVC remote if .dvc/config names none")
    options = parser.parse_args(arguments)
    try:
        project = make_clone(options.source, options.folder, options.dvc_remote)
    except EgovlmError as error:
        print(f"egovlm: {error}", file=sys.stderr)
        return 1
    print(f"worker's checkout in {project.root}; `make ui` with --gpu-clone, or EGOVLM_PROJECT={project.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
