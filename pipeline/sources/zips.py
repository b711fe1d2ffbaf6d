"""Videos in zip archives: one member at a time, never outside the target, never more than it claims."""

import lzma
import shutil
import struct
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.errors import ItemError
from pipeline.files import replacing
from pipeline.sources.paths import check_relative
from pipeline.workspace import stop_if_full

_LARGEST_BYTES = 4 << 30  # per member; three minutes of video are about 30 MB
_SMALL_BYTES = 64 << 20  # a smaller member does no harm, however much it expands
_MOST_RATIO = 50  # video is already compressed, so zip hardly shrinks it
# What `zipfile` raises on foreign bytes, beside its own error: seen in fuzzing.
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, NotImplementedError, RuntimeError, EOFError,
           ValueError, struct.error, OverflowError)  # fmt: skip


class ZipFolder:
    """The zip files of a folder (`videos_chunked_01.zip` ...), members found by file name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def holds(self, filename: str) -> bool:
        """Whether some zip has a member called `filename`."""
        return filename in _contents(self.folder).members

    def files(self) -> dict[str, str | None]:
        """Every member as `<archive>/<member>`, and each unreadable archive, with the reason if it is not unpacked."""
        found = _contents(self.folder)
        return {
            **{f"{archive.name}/{name}": None for archive, name in found.members.values()},
            **dict.fromkeys(found.repeated, "an earlier zip has a file of this name"),
            **dict.fromkeys(found.unreadable, "a zip that cannot be read"),
        }

    def extract(self, filename: str, target: Path) -> Path:
        """Unpack the member called `filename`, in whatever folder of whichever archive, to `target`.

        Raises:
            ItemError: `missing_file`; `bad_zip`; `unsafe_path` for a member with `..`, an absolute path or a link;
                `too_large`; `bomb`.
        """
        members, unreadable, _ = _contents(self.folder)
        place = members.get(filename)
        if place is None:
            if unreadable:  # it may well be in one of those
                raise ItemError("bad_zip", f"no zip has {filename}; unreadable: {', '.join(unreadable)}")
            raise ItemError("missing_file", f"no zip in {self.folder} has {filename}")
        archive, member = place
        try:
            with zipfile.ZipFile(archive) as file:
                info = file.getinfo(member)
                _check(info)
                with file.open(info) as source, replacing(target) as partial, partial.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
        except _BROKEN as error:
            stop_if_full(error, target.parent)
            raise ItemError("bad_zip", f"{archive.name}: {member}: {error}") from error
        return target


def _check(info: zipfile.ZipInfo) -> None:
    check_relative(info.filename)
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        raise ItemError("unsafe_path", f"{info.filename} is a link")
    if info.file_size > _SMALL_BYTES and info.file_size > _MOST_RATIO * max(1, info.compress_size):
        raise ItemError(
            "bomb", f"{info.filename} claims {info.file_size} bytes in {info.compress_size}: no video packs so"
        )
    if info.file_size > _LARGEST_BYTES:
        raise ItemError("too_large", f"{info.filename} claims {info.file_size} bytes")


class Contents(NamedTuple):
    """What the zips of a folder hold: file name -> archive and member, archives that cannot be read, and members whose
    name an earlier archive holds."""

    members: Mapping[str, tuple[Path, str]]
    unreadable: tuple[str, ...]
    repeated: tuple[str, ...]


@cache
def _contents(folder: Path) -> Contents:
    """Look into every zip, once per process."""
    found: dict[str, tuple[Path, str]] = {}
    unreadable: list[str] = []
    repeated: list[str] = []
    for archive in sorted(folder.glob("*.zip")):
        try:
            with zipfile.ZipFile(archive) as file:
                names = file.namelist()
        except _BROKEN:
            unreadable.append(archive.name)
            continue
        for name in names:
            file_name = PurePosixPath(name.replace("\\", "/")).name
            if file_name in found:
                repeated.append(f"{archive.name}/{name}")
            elif not name.endswith("/"):
                found[file_name] = (archive, name)
    return Contents(found, tuple(unreadable), tuple(repeated))
