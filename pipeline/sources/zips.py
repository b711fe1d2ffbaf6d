"""Videos in zip archives: one member at a time, never outside the target, never more than it claims."""

import shutil
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from pipeline.errors import ItemError
from pipeline.sources.paths import check_relative

_LARGEST_BYTES = 4 << 30  # per member: three minutes of video are some 30 MB


class ZipFolder:
    """The zip files of a folder (`videos_chunked_01.zip` ...), members found by file name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def extract(self, filename: str, target: Path) -> Path:
        """Unpack the member called `filename`, in whatever folder of whichever archive, to `target`.

        Raises:
            ItemError: `missing_file`; `bad_zip`; `unsafe_path` for a member with `..`, an absolute path or a link;
                `too_large`.
        """
        place = _members(self.folder).get(filename)
        if place is None:
            raise ItemError("missing_file", f"no zip in {self.folder} holds {filename}")
        archive, member = place
        partial = target.with_name(target.name + ".partial")
        try:
            with zipfile.ZipFile(archive) as file:
                info = file.getinfo(member)
                _check(info)
                with file.open(info) as source, partial.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError) as error:
            partial.unlink(missing_ok=True)
            raise ItemError("bad_zip", f"{archive.name}: {member}: {error}") from error
        return partial.replace(target)


def _check(info: zipfile.ZipInfo) -> None:
    check_relative(info.filename)
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        raise ItemError("unsafe_path", f"{info.filename} is a link")
    if info.file_size > _LARGEST_BYTES:
        raise ItemError("too_large", f"{info.filename} claims {info.file_size} bytes")


@cache
def _members(folder: Path) -> Mapping[str, tuple[Path, str]]:
    """File name -> archive and member; read once per process."""
    found: dict[str, tuple[Path, str]] = {}
    for archive in sorted(folder.glob("*.zip")):
        try:
            with zipfile.ZipFile(archive) as file:
                names = file.namelist()
        except (zipfile.BadZipFile, OSError) as error:
            raise ItemError("bad_zip", f"{archive.name}: {error}") from error
        for name in names:
            found.setdefault(PurePosixPath(name.replace("\\", "/")).name, (archive, name))
    return found
