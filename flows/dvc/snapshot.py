"""A commit of the working tree as it is, for a machine that will run a stage. It never contains videos.

The commit is *pushed* to the git remote, and licensed video must not get there. So files in a source's data folders
stay here, as does every video file that git does not track. Any other unusually large file is refused by name.
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.dvc.changes import source_paths
from flows.dvc.project import Project
from pipeline.errors import StageError
from pipeline.sources.paths import VIDEO_SUFFIXES

LARGEST_BYTES = 10 << 20  # of one file; code, params and annotations are smaller, a video clip is not
_IDENTITY = (("NAME", "egovlm"), ("EMAIL", "egovlm@localhost"))
_DATA_SUFFIXES = VIDEO_SUFFIXES | {".zip", ".tar"}

logger = logging.getLogger(__name__)


def snapshot(project: Project) -> str:
    """The commit; index, branch and files stay untouched. What is left out is logged.

    Raises:
        StageError: a changed or new file is larger than `LARGEST_BYTES`. Nothing is then written to git.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        project.git("read-tree", "HEAD", env=index)
        changed = _listed(project, ["--modified", "--deleted"], index)
        travelling = sorted({*changed, *_without_data(project, _listed(project, ["--others"], index))})
        _refuse_large(project, travelling)
        if travelling:
            paths = Path(folder) / "paths"
            paths.write_text("\0".join(travelling), encoding="utf-8", errors="surrogateescape")
            project.git("add", "--all", "--pathspec-file-nul", f"--pathspec-from-file={paths}",
                        env=index | {"GIT_LITERAL_PATHSPECS": "1"})  # fmt: skip
        tree = project.git("write-tree", env=index)
    author = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _IDENTITY}
    return project.git("commit-tree", tree, "-p", "HEAD", "-m", "egovlm: the working tree of a run", env=author)


def _listed(project: Project, which: Sequence[str], index: Mapping[str, str]) -> set[str]:
    """Paths that git does not ignore, relative to the project."""
    found = project.git("ls-files", *which, "--exclude-standard", "-z", env=dict(index))
    return set(found.split("\0")) - {""}


def _without_data(project: Project, new: set[str]) -> set[str]:
    """The new files that are code, not data."""
    homes = [place.resolve() for place in source_paths(project)]
    root = project.root.resolve()
    inside = [home for home in homes if home != root and home.is_relative_to(root)]
    data = {name for name in new if _is_data(root / name, inside)}
    if data:
        known = sum(path.stat().st_size for name in data if (path := root / name).is_file())
        logger.warning(
            "%d data files of sources (%.1f MB, first %s) stay here and are not sent as code",
            len(data), known / 1e6, min(data),
        )  # fmt: skip
    return new - data


def _is_data(path: Path, homes: Sequence[Path]) -> bool:
    return path.suffix.lower() in _DATA_SUFFIXES or any(path.is_relative_to(home) for home in homes)


def _refuse_large(project: Project, names: Sequence[str]) -> None:
    sizes = {name: path.stat().st_size for name in names if (path := project.root / name).is_file()}
    large = sorted((name for name in sizes if sizes[name] > LARGEST_BYTES), key=lambda name: -sizes[name])
    if large:
        raise StageError(
            f"{len(large)} files are too large to send as code (over {LARGEST_BYTES >> 20} MiB), first {large[0]} "
            f"({sizes[large[0]] / 1e6:.1f} MB): move them out of the project, or name them in .gitignore"
        )
