"""Foreign names and paths: nothing in a manifest, an archive or a row may lead outside its folder."""

import hashlib
import os
import shutil
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline.errors import ItemError
from pipeline.files import replacing

INPUTS = Path("inputs")
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts",
    ".mts", ".m2ts", ".3gp", ".3g2", ".wmv", ".flv", ".ogv", ".mxf", ".vob",
})  # fmt: skip


def check_relative(name: str) -> tuple[str, ...]:
    """The parts of a foreign path, which must stay below its folder.

    Raises:
        ItemError: `unsafe_path` for an absolute path, a drive, `..`, a NUL byte, or anything that no file system can
            write, such as a lone surrogate.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    outward = not parts or ".." in parts or parts[0] == "/" or bool(PureWindowsPath(name).drive)
    if outward or "\0" in name or not _encodes(name):
        raise ItemError("unsafe_path", f"{name[:200]!r} is not a relative path below the source's folder")
    return parts


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def inside(folder: Path, name: str) -> Path:
    """`folder / name`, which must be inside `folder` even after following links. The file need not exist.

    Raises:
        ItemError: `unsafe_path`: see `check_relative`, or a link that leads out.
    """
    path = folder.joinpath(*check_relative(name))
    real, home = (Path(os.path.realpath(each)) for each in (path, folder))  # resolve() raises on a link to itself
    if not real.is_relative_to(home):
        raise ItemError("unsafe_path", f"{name!r} is a link that leads out of {folder.name}")
    return path


def digest_of(path: Path, name: str) -> str:
    """Hex digest of a file (`sha256`, or `md5` if a manifest knows no better)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()


def is_in_inputs(path: Path) -> bool:
    """Whether `path` is below the project's `inputs/`, without following links (stages run in the project's folder).

    Files there are the user's own. Git and DVC ignore them, and they are read in place: 106 GB of video are not
    copied into `data/raw` and again into DVC's cache.
    """
    return Path(os.path.abspath(path)).is_relative_to(INPUTS.absolute())  # noqa: PTH100 - resolve() follows links


def copy_whole(source: Path, target: Path) -> Path:
    """Copy a file so that `target` is whole or absent."""
    with replacing(target) as partial:
        shutil.copyfile(source, partial)
    return target
