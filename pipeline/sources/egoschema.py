"""Source `egoschema`: the benchmark's 5,031 questions and its videos (Mangalam et al. 2023, arXiv 2308.09126).

Questions come as the hub's parquet (config MC: `question_idx, question, video_idx, option[5], answer`) or the original
`questions.json` (`q_uid, google_drive_id, question, "option 0" ... "option 4"`). The two order options differently,
and the public answers are indices. So the file is pinned by checksum, and files of another version are refused.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from pipeline.errors import ItemError, StageError
from pipeline.files import sha256_of
from pipeline.records import Annotation, is_safe_id
from pipeline.sources.base import BadRow, Source, SourceParams, VideoItem
from pipeline.sources.cutting import cut
from pipeline.sources.folder import files_below, sort_out, why_not
from pipeline.sources.paths import copy_whole, is_in_inputs
from pipeline.sources.rows import Raw, annotate, number, option_index, read_located, text
from pipeline.sources.zips import ZipFolder

NOT_ASKED = "a video that no question asks about"


class EgoschemaParams(SourceParams):
    """The benchmark. `videos` holds `<q_uid>.mp4` files (`files`: also Kaggle's layout), zip chunks of them
    (`zips`), either (`auto`), or the Ego4D recordings `<video_uid>.mp4` to cut them from (`ego4d`). The files
    are pinned: option order differs by version."""

    questions: str
    questions_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    answers: str | None
    windows: str
    videos: str
    layout: Literal["auto", "files", "zips", "ego4d"]
    only_answered: bool
    licence: str


class EgoschemaSource(Source):
    """Questions without public answer are kept (for a submission) unless `only_answered`."""

    section: ClassVar[type[SourceParams]] = EgoschemaParams

    def __init__(self, name: str, seed: int, params: EgoschemaParams) -> None:
        super().__init__(name, seed)
        self.params = params
        self.videos = Path(params.videos)

    def local_paths(self) -> Sequence[Path]:
        """Questions, answers, windows and videos."""
        named = (self.params.questions, self.params.answers, self.params.windows, self.params.videos)
        return [Path(path) for path in named if path is not None]

    def list_videos(self) -> Sequence[VideoItem]:
        """One three-minute clip per question, cut from the Ego4D recording that `uid_to_ego4d.json` names."""
        return [self._item(uid, *window) for uid, window in sorted(self._windows().items())]

    def _item(self, uid: str, recording: str, start: float, end: float) -> VideoItem:
        return VideoItem(
            video_id=uid,
            filename=f"{uid}.mp4",
            parent_video_id=recording,
            licence=self.params.licence,
            parent_start_seconds=start,
            location=f"{recording} {start} {end}" if self.params.layout == "ego4d" else uid,
        )

    def _windows(self) -> dict[str, tuple[str, float, float]]:
        path, wanted = Path(self.params.windows), self._wanted()
        rows = _object(path)
        missing = sorted(wanted - set(rows))
        if missing:
            raise StageError(f"{path} lacks {len(missing)} of the questions' videos ({missing[0]}): mixed versions")
        try:
            return {uid: _window(rows[uid]) for uid in wanted}
        except (KeyError, TypeError, ItemError) as error:
            raise StageError(f"{path} is not EgoSchema's uid_to_ego4d.json: {error}") from error

    def _wanted(self) -> set[str]:
        answers = self._answers()
        return {uid for uid in ids_of(self._questions()) if not self.params.only_answered or uid in answers}

    def _questions(self) -> Path:
        path = Path(self.params.questions)
        if not path.is_file():
            raise StageError(
                f"EgoSchema's questions {path} do not exist: correct `questions` of the source {self.name}"
            )
        found = sha256_of(path)
        if found != self.params.questions_sha256:
            raise StageError(
                f"{path} is another version of EgoSchema (sha256 {found}, pinned {self.params.questions_sha256}): "
                "its options have another order, so answers would be wrong; get the pinned file or pin this one"
            )
        return path

    def _answers(self) -> dict[str, int]:
        if self.params.answers is None:
            return {}
        path = Path(self.params.answers)
        try:
            return {uid: option_index(answer) for uid, answer in _object(path).items()}
        except ItemError as error:
            raise StageError(f"{path} is not EgoSchema's subset_answers.json: {error}") from error

    def benchmark(self) -> dict[str, list[str]]:
        """All questions of the pinned file, even if only the answered ones are asked: a submission needs every id."""
        answers, uids = self._answers(), ids_of(self._questions())
        return {"questions": uids, "answered": [uid for uid in uids if uid in answers]}

    def annotations(self) -> Iterator[Annotation | BadRow]:
        """The questions; an answers file about other videos is refused."""
        answers, wanted = self._answers(), self._wanted()
        strangers = sorted(set(answers) - wanted)
        if strangers:
            raise StageError(
                f"{self.params.answers} answers {len(strangers)} questions that {self.params.questions} lacks "
                f"({strangers[0]}): the files are of different versions"
            )
        rows = (row for row in read_located(self._questions()) if row.row is None or _uid(row.row) in wanted)
        return annotate(rows, lambda row: iter([self._annotation(row, answers)]))

    def _annotation(self, row: Raw, answers: dict[str, int]) -> Annotation:
        uid = text(row, "q_uid", "video_idx")
        options = row.get("option") or [text(row, f"option {i}") for i in range(5)]
        return Annotation(
            question_id=uid,
            video_id=uid,
            source=self.name,
            licence=self.params.licence,
            question=text(row, "question"),
            options=tuple(options),
            answer=answers.get(uid),
            split="test",
        )

    def left_out(self) -> Mapping[str, Sequence[str]]:
        """Files in `videos`, and in its zips if they are read, that no question asks about."""
        layout = self.params.layout
        zipped = ZipFolder(self.videos).files() if layout in ("auto", "zips") else {}
        loose = [name for name in files_below(self.videos) if not (zipped and name.endswith(".zip"))]
        asked = {item.parent_video_id if layout == "ego4d" else item.video_id for item in self.list_videos()}

        def reason(name: str) -> str | None:
            if layout == "zips" and name not in zipped:
                return "in no zip (`layout: zips`)"
            return zipped.get(name) or why_not(name) or (None if Path(name).stem in asked else NOT_ASKED)

        return sort_out([*loose, *zipped], reason).left_out

    def place(self, item: VideoItem, folder: Path) -> Path:
        """Where the clip is already, if that is below `inputs/`."""
        file = self._file(item.filename) if self.params.layout in ("auto", "files") else None
        return file if file is not None and is_in_inputs(file) else super().place(item, folder)

    def fetch(self, item: VideoItem, folder: Path) -> Path:
        """Copy, unpack or cut one clip, or say where it is."""
        target = folder / item.filename
        match self.params.layout:
            case "ego4d":
                recording, start, end = item.location.split(" ")
                return cut(self.videos / f"{recording}.mp4", target, float(start), float(end))
            case "zips":
                return ZipFolder(self.videos).extract(item.filename, target)
            case "auto" if self._file(item.filename) is None and self._zipped():
                return ZipFolder(self.videos).extract(item.filename, target)
        file = self._file(item.filename)
        if file is None:
            hint = "; there are zips: set `layout: auto`" if self._zipped() else ""
            raise ItemError("missing_file", f"{item.filename} is not in {self.videos}{hint}")
        return file if is_in_inputs(file) else copy_whole(file, target)

    def missing(self) -> Sequence[str]:
        """Clips whose file, zip member or recording does not lie in `videos`."""
        return [item.video_id for item in self.list_videos() if not self.is_there(item)]

    def is_there(self, item: VideoItem) -> bool:
        """Whether the clip's file or recording is in `videos`; only a zip's table of contents is opened."""
        match self.params.layout:
            case "ego4d":
                return (self.videos / f"{item.location.split(' ')[0]}.mp4").is_file()
            case "zips":
                return ZipFolder(self.videos).holds(item.filename)
            case layout:
                zipped = layout == "auto" and ZipFolder(self.videos).holds(item.filename)
                return zipped or self._file(item.filename) is not None

    def _file(self, filename: str) -> Path | None:
        places = [self.videos / filename, self.videos / "videos" / filename]
        return next((path for path in places if path.is_file()), None)

    def _zipped(self) -> bool:
        return next(self.videos.glob("*.zip"), None) is not None


def ids_of(questions: Path) -> list[str]:
    """The ids of one of EgoSchema's question files, in its order.

    Raises:
        StageError: the file is missing or cannot be read.
    """
    uids = (_uid(located.row) for located in read_located(questions))
    return [uid for uid in uids if uid is not None]


def _window(row: Raw) -> tuple[str, float, float]:
    return str(row["video_uid"]), number(row["starting_sec"], "starting_sec"), number(row["ending_sec"], "ending_sec")


def _uid(row: Raw | None) -> str | None:
    uid = (row or {}).get("q_uid") or (row or {}).get("video_idx")
    return uid if isinstance(uid, str) and is_safe_id(uid) else None


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StageError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise StageError(f"{path}: expected an object, found {type(value).__name__}")
    return value
