"""The interface of all sources: list the items, fetch them one by one, read the annotations."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sections import Section


class SourceParams(Section):
    """The keys of every entry of `download_videos.sources`; a kind of source adds its own."""

    kind: str


@dataclass(frozen=True)
class VideoItem:
    """A video that a source can provide.

    `parent_video_id` is the recording it was cut from (the video's own id if unknown); it keeps splits apart.
    `parent_rule` is the rule that found it, and `parent_start_seconds` where in the recording it starts. `filename`
    is a safe name below the source's folder; `location` is where the source itself finds it (a path, an address).
    """

    video_id: str
    filename: str
    parent_video_id: str
    licence: str
    parent_rule: str = ""
    parent_start_seconds: float | None = None
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    location: str = ""


class Source(ABC):
    """Where videos and questions come from. Instances are small and picklable: `fetch` may run in a worker process.

    A subclass is made from `(name, seed, section)`: its name in params.yaml, `params.seed`, and an instance of
    `section`, the class of its keys there. The constructor reads nothing.
    """

    section: ClassVar[type[SourceParams]]
    holds_ego4d_clips = False  # whether its ids are Ego4D clips, which do not say what recording they were cut from

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.seed = seed

    @abstractmethod
    def list_videos(self) -> Sequence[VideoItem]:
        """Everything this source offers.

        Raises:
            StageError: the source as a whole is unreadable.
        """

    @abstractmethod
    def fetch(self, item: VideoItem, folder: Path) -> Path:
        """Bring one video to its `place`, whole or not at all, and return that.

        Raises:
            ItemError: this video is unavailable; the stage quarantines it and continues.
        """

    def place(self, item: VideoItem, folder: Path) -> Path:
        """Where the video is once fetched: in `folder`, or where the user keeps it if it is read in place."""
        return folder / item.filename

    @abstractmethod
    def annotations(self) -> Iterator["Annotation | BadRow"]:
        """Questions about the listed videos; an unreadable row becomes a `BadRow`."""

    def benchmark(self) -> Mapping[str, Sequence[str]]:
        """Ids of all questions of a fixed benchmark and of those with a public answer (`questions`, `answered`),
        each in the benchmark's own order. Missing videos make no difference; empty for any other source."""
        return {}

    def left_out(self) -> Mapping[str, Sequence[str]]:
        """Files in the places that this source searches but that it does not use, by reason."""
        return {}

    def missing(self) -> Sequence[str]:
        """Ids of listed videos that are known not to be there, told without opening any; empty for a source that
        fetches."""
        return ()

    def learn_of(self, error: ItemError) -> None:  # noqa: B027 - most sources have nothing to learn
        """Learn from a failed fetch: an error that applies to all further items need not be repeated."""

    @abstractmethod
    def local_paths(self) -> Sequence[Path]:
        """Every local file and folder that it reads, as params.yaml names them. They are watched for new data, and
        are never sent along with the code."""

    def fingerprint(self, item: VideoItem) -> str:
        """What determines the bytes of `item`, as a hex digest: a fetched file is kept while it stays the same.

        Here: the checksum if the source knows it, else location and size. A source that makes its videos uses its
        settings and code instead.
        """
        known = item.sha256 or item.md5 or f"{item.location}|{item.bytes}"
        return hashlib.sha256(f"{item.video_id}|{known}".encode()).hexdigest()


@dataclass(frozen=True)
class BadRow:
    """An annotation row that cannot be used: which one, and why."""

    item_id: str
    reason: str
    detail: str
