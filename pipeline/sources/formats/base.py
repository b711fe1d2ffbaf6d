"""What a reader of annotations needs to know besides the row."""

import unicodedata
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pipeline.errors import ItemError
from pipeline.records import Annotation, Split
from pipeline.reports import NOT_TAKEN
from pipeline.sources.base import VideoItem
from pipeline.sources.formats.clocks import clock_of
from pipeline.sources.formats.markup import plain
from pipeline.sources.formats.options import check_open_answer
from pipeline.sources.paths import check_relative
from pipeline.sources.recordings import recording_of
from pipeline.sources.rows import Raw, number, required, safe_id


@dataclass(frozen=True)
class Names:
    """Maps the name of a video in a row (path, file name or stem) to the video's id."""

    ids: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()  # names that fit several videos
    folders: Mapping[str, str] = field(default_factory=dict)  # where a video lies, by its id; not an address

    @classmethod
    def of(cls, items: Sequence[VideoItem]) -> "Names":
        """Names of these videos; a file name or stem that two of them share leads nowhere."""
        found: dict[str, set[str]] = {}
        for item in items:
            path = PurePosixPath(_composed(item.location))
            for name in {item.video_id, path.as_posix(), path.name, path.stem, path.with_suffix("").as_posix()}:
                found.setdefault(name, set()).add(item.video_id)
        single = {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}
        places = {item.video_id: _composed(item.location) for item in items if "://" not in item.location}
        folders = {video_id: PurePosixPath(place).parent.as_posix() for video_id, place in places.items()}
        return cls(single, frozenset(found) - frozenset(single), folders)

    def id_of(self, name: str) -> str:
        """Id of the video called `name`.

        Raises:
            ItemError: `not_taken`, if the source has no such video; `ambiguous_video`, if several have the name;
                `unsafe_path`, if the name leads out of a folder.
        """
        check_relative(name)
        name = _composed(name)
        known = self._first(name, self.ids)
        if known is not None and self._agree(name, self.folders.get(self.ids[known], ".")):
            return self.ids[known]
        has_folder = PurePosixPath(name).parent.name != "" and recording_of(PurePosixPath(name).name) is None
        if known is None and not has_folder and self._first(name, self.shared) is not None:
            raise ItemError("ambiguous_video", f"several videos are called {name}: use its path instead")
        raise ItemError(NOT_TAKEN, name)

    @staticmethod
    def _agree(name: str, folder: str) -> bool:
        """Whether a row's `name` may mean a file of that name in `folder`.

        Data sets repeat file names (HoloAssist's are all `<recording>/Export_py/Video_pitchshift.mp4`), so folders that
        contradict each other mean two files, unless the file's own name tells the recording.
        """
        path = PurePosixPath(name)
        asked, there = (("/" + where).removesuffix("/.") for where in (path.parent.as_posix(), folder))
        return asked.endswith(there) or there.endswith(asked) or recording_of(path.name) is not None

    def first_known(self, names: Sequence[str]) -> str:
        """The first of `names` that some video has; the last if none does."""
        return next((name for name in names if self._first(name, self.ids)), names[-1])

    @staticmethod
    def _first(name: str, known: Container[str]) -> str | None:
        """The first form of `name` that is in `known`: as written, as a path, the file's name, its stem."""
        name = _composed(name)
        path = PurePosixPath(name)
        tried = (name, path.as_posix(), path.name, path.stem)
        return next((key for key in tried if key in known), None)


@dataclass(frozen=True)
class Reading:
    """The source's own facts, which every row inherits.

    `frame_rate` is what the source says about its frame numbers, for videos that `clock_of` does not know.
    """

    source: str
    licence: str
    split: Split | None
    frame_rate: float | None
    names: Names

    def annotation(self, question_id: Any, video: str, question: str, **fields: Any) -> Annotation:
        """An Annotation, completed with what is the same for all rows of the source.

        Raises:
            ItemError: `options_not_seen`, `no_options`, `markup`: the row cannot be asked as intended.
        """
        options, told = fields.get("options"), fields.get("answer_text")
        if options is None and isinstance(told, str):
            check_open_answer(question, told)
        if options is None and fields.get("answer") is not None:
            raise ItemError("no_options", f"the answer {fields['answer']!r} names an option, but the row has none")
        if options is not None:
            fields["options"] = tuple(plain(option) for option in options)
        return Annotation(
            question_id=safe_id(question_id),
            video_id=self.names.id_of(video),
            source=self.source,
            question=plain(question),
            **({"licence": self.licence, "split": self.split} | fields),
        )

    def seconds(self, frame: Any, name: str, video: str, rate: float | None = None) -> float:
        """Time of a frame number in `video`, by the row's own `rate`, its data set's clock or the source's.

        Never by the rate of the file at hand, which may be a copy at another rate.

        Raises:
            ItemError: `no_frame_rate`.
        """
        self.names.id_of(video)  # report a missing video first, not its missing frame rate
        known = rate or clock_of(video) or self.frame_rate
        if not known:
            raise ItemError(
                "no_frame_rate",
                f"{name} is a frame number, but the frame rate of {video} is unknown: set `frame_rate` of the "
                f"source {self.source}",
            )
        return max(0.0, number(frame, name)) / known


def _composed(name: str) -> str:
    """A name with composed letters (NFC): a disk may use `u` and two dots for a row's `ü`."""
    return unicodedata.normalize("NFC", name)


Reader = Callable[[Raw, Reading], Iterator[Annotation]]


def span(
    row: Raw, reading: Reading, video: str, start: str, end: str, rate: float | None = None
) -> dict[str, float | None]:
    """Start and end in `video` from two nullable frame numbers."""
    return {
        "start_seconds": None if row.get(start) is None else reading.seconds(row[start], start, video, rate),
        "end_seconds": None if row.get(end) is None else reading.seconds(row[end], end, video, rate),
    }


def as_list(row: Raw, *names: str) -> list[Any]:
    """A required list field."""
    value = required(row, *names)
    if not isinstance(value, list | tuple):
        raise ItemError("wrong_type", f"{names[0]}: expected a list, found {type(value).__name__}")
    return list(value)


def texts(values: Sequence[Any], name: str) -> tuple[str, ...]:
    """All of `values`, which must be texts."""
    wrong = [value for value in values if not isinstance(value, str)]
    if wrong:
        raise ItemError("wrong_type", f"{name}: expected texts, found {wrong[0]!r}")
    return tuple(values)


def clock(value: object, name: str) -> float:
    """Seconds from a number of seconds, `MM:SS` or `HH:MM:SS.mmm`."""
    parts = str(value).split(":")
    if len(parts) > 3:
        raise ItemError("wrong_type", f"{name}: expected seconds or HH:MM:SS, found {value!r}")
    return float(sum(number(part, name) * 60**i for i, part in enumerate(reversed(parts))))
