"""Source `local`: a folder of videos on this machine, and questions about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pipeline.errors import ItemError, StageError
from pipeline.files import sha256_of
from pipeline.sources.base import SourceParams, VideoItem
from pipeline.sources.folder import survey
from pipeline.sources.paths import copy_whole, inside, is_in_inputs
from pipeline.sources.real import RealParams, RealSource


class LocalParams(RealParams):
    """A folder of videos."""

    folder: str


class LocalSource(RealSource):
    """Every video file below a folder. Those in `inputs/` are read in place, others copied; none is changed."""

    section: ClassVar[type[SourceParams]] = LocalParams

    def __init__(self, name: str, seed: int, params: LocalParams) -> None:
        super().__init__(name, seed, params)
        self.folder = Path(params.folder)
        self._items: tuple[VideoItem, ...] | None = None

    def local_paths(self) -> Sequence[Path]:
        """The folder and the questions file."""
        return [self.folder, *super().local_paths()]

    def list_videos(self) -> Sequence[VideoItem]:
        """The files by relative path. A file's digest is part of its item, so a changed file is fetched again."""
        if not self.folder.is_dir():
            raise StageError(
                f"source {self.name}: folder {self.folder} does not exist: "
                f"correct download_videos.sources.{self.name}.folder"
            )
        if self._items is None:
            self._items = tuple(self._item(relative) for relative in survey(self.folder).videos)
        return self._items

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_items": None}  # workers get one item each, not the list

    def left_out(self) -> Mapping[str, Sequence[str]]:
        """The files below the folder that are not videos or not used, by reason."""
        return survey(self.folder).left_out

    def _item(self, relative: str) -> VideoItem:
        path = self.folder / relative
        known = path.is_file() and path.resolve().is_relative_to(self.folder.resolve())
        return self.item(relative, path.stat().st_size, sha256_of(path)) if known else self.item(relative)

    def place(self, item: VideoItem, folder: Path) -> Path:
        """Where the file is already, if that is below `inputs/`."""
        return self.folder / item.location if is_in_inputs(self.folder) else super().place(item, folder)

    def fetch(self, item: VideoItem, folder: Path) -> Path:
        """Copy one video, or say where it is."""
        path = inside(self.folder, item.location)
        if not path.is_file():
            raise ItemError("missing_file", f"{item.location} is missing or a broken link")
        return path if is_in_inputs(self.folder) else copy_whole(path, folder / item.filename)
