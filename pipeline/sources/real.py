"""What all sources of real videos share: questions in a published format, and recordings recognised by file names."""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from pipeline.records import Annotation
from pipeline.sources.base import BadRow, Source, SourceParams, VideoItem
from pipeline.sources.formats import READERS, Names, Reading
from pipeline.sources.paths import VIDEO_SUFFIXES
from pipeline.sources.recordings import recording_of
from pipeline.sources.rows import annotate, distinct, read_located, safe_id


class RealParams(SourceParams):
    """What every source of real videos says; relative paths are from the folder of params.yaml.

    `format` is the format of the `questions` file, a name in `READERS` (pipeline/sources/formats). `frame_rate` is
    the frames per second behind its frame numbers. It is needed if the file does not give it and the data set's rate
    is not known (as it is for Ego4D and EPIC-KITCHENS). With null, rows that need it are refused with a reason.
    """

    questions: str
    format: str
    frame_rate: float | None = Field(gt=0)
    split: Literal["train", "dev", "test", "by_hash"]
    licence: str


class RealSource(Source):
    """A source of filmed videos; subclasses say where the files are."""

    section: ClassVar[type[SourceParams]] = RealParams

    def __init__(self, name: str, seed: int, params: RealParams) -> None:
        super().__init__(name, seed)
        self.params = params
        self.holds_ego4d_clips = params.format == "qaego4d"

    def local_paths(self) -> Sequence[Path]:
        """The questions file; subclasses add where the videos are."""
        return [Path(self.params.questions)]

    def questions_file(self) -> Path:
        """Where the annotations are."""
        return Path(self.params.questions)

    def annotations(self) -> Iterator[Annotation | BadRow]:
        """Rows of the questions file about the listed videos."""
        return self.rows_on(self.list_videos())

    def rows_on(self, videos: Sequence[VideoItem]) -> Iterator[Annotation | BadRow]:
        """Rows of the questions file; one on none of `videos` comes as a `BadRow` that is `not_taken`."""
        split = None if self.params.split == "by_hash" else self.params.split
        names = Names.of(videos)
        reading = Reading(self.name, self.params.licence, split, self.params.frame_rate, names)
        read = READERS[self.params.format]
        return distinct(annotate(read_located(self.questions_file()), lambda row: read(row, reading)))

    def item(self, location: str, bytes_: int | None = None, sha256: str | None = None) -> VideoItem:
        """The video at `location` (a relative path), its id and recording taken from the name."""
        video_id, recording = video_id_of(location), recording_of(location)
        return VideoItem(
            video_id=video_id,
            filename=video_id + PurePosixPath(location).suffix.lower(),
            parent_video_id=safe_id(recording.recording_id) if recording else video_id,
            parent_rule=recording.rule if recording else "",
            licence=self.params.licence,
            bytes=bytes_,
            sha256=sha256,
            location=location,
        )


def video_id_of(relative: str) -> str:
    """Id of a video file by its path in the folder: `b.mp4` -> `b`, `a/b.mp4` -> `a_b-` and a digest.

    The name is composed first (NFC), because macOS decomposes names on some disks.
    """
    path = PurePosixPath(unicodedata.normalize("NFC", relative))
    return safe_id(path.with_suffix("").as_posix() if path.suffix.lower() in VIDEO_SUFFIXES else path.as_posix())
