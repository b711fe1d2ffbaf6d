"""The rows that pass between stages, and their parquet files.

One class per kind of row; a file holds rows of one class. Files are written whole or not at all (temporary name, then
rename). The same rows always give the same bytes.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import ArtifactError
from pipeline.files import replacing

Split = Literal["train", "dev", "test"]
LETTERS = "ABCDE"

_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,199}")


def is_safe_id(text: str) -> bool:
    """Whether `text` can name a file: ASCII letters, digits and `_.@+-`, no leading dot or dash, at most 200 long."""
    return _SAFE_ID.fullmatch(text) is not None


Id = Annotated[str, Field(pattern=f"^{_SAFE_ID.pattern}$")]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Row(BaseModel):
    """A row of a parquet file: immutable, no unknown columns."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Video(Row):
    """One video file of `data/raw`, as probed.

    `path` is relative to the manifest's folder (`../../inputs/...` if the file is read where the user keeps it).
    `sha256` and `bytes` describe the file as stored. `rotation` is degrees clockwise, from the display matrix. `hdr`
    says that brightness is coded for high dynamic range, so pictures come out too flat. `parent_video_id` is the
    recording it was cut from (the Ego4D uid if known), which keeps splits apart. `parent_rule` names the rule that
    found it (see `pipeline.sources.recordings`).
    """

    video_id: Id
    path: str
    sha256: str
    bytes: int = Field(ge=0)
    codec: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    frames_per_second: float = Field(gt=0)
    duration_seconds: float = Field(gt=0)
    rotation: int = 0
    hdr: bool = False
    parent_video_id: str
    parent_rule: str = ""
    parent_start_seconds: float | None = None
    source: str
    licence: str
    outcome: str = "ok"


class Annotation(Row):
    """A question as a source gives it, before `prepare_questions` makes it a `Question`.

    `options` is None for an open-ended row (`answer_text` holds the truth then). `split` is None if the source
    leaves it to `prepare_questions`. Spans and key times are seconds from the start of the video file.
    """

    question_id: Id
    video_id: Id
    source: str
    licence: str
    family: str = ""
    question: str
    options: tuple[str, ...] | None = None
    answer: int | None = None
    answer_text: str | None = None
    start_seconds: Seconds | None = None
    end_seconds: Seconds | None = None
    keyframe_seconds: tuple[float, ...] | None = None
    split: Split | None = None


class Question(Row):
    """A multiple-choice question on a span of a video.

    `answer` indexes `options` and is None if the truth is not public. `keyframe_seconds` is the ground truth if
    the source has it. `recipe` says how the row was made (the source's own options, or drawn distractors with their
    seed).
    """

    question_id: Id
    video_id: Id
    source: str
    licence: str
    family: str = ""
    question: str = Field(min_length=1)
    options: tuple[str, ...] = Field(min_length=2, max_length=5)
    answer: int | None
    start_seconds: Seconds
    end_seconds: Seconds
    keyframe_seconds: tuple[float, ...] | None = None
    split: Split
    recipe: str = "source"

    @model_validator(mode="after")
    def _consistent(self) -> "Question":
        if self.answer is not None and not 0 <= self.answer < len(self.options):
            raise ValueError(f"answer {self.answer} is outside the {len(self.options)} options")
        if self.end_seconds <= self.start_seconds:
            raise ValueError(f"end_seconds {self.end_seconds} is not after start_seconds {self.start_seconds}")
        return self

    @property
    def clip_id(self) -> str:
        """Id of the span this question is about; questions on one span share it."""
        return clip_id(self.video_id, self.start_seconds, self.end_seconds)


class Clip(Row):
    """A span of a video that frames are extracted for."""

    clip_id: Id
    video_id: Id
    start_seconds: Seconds
    end_seconds: Seconds


class Keyframe(Row):
    """A mined keyframe candidate. `pts_seconds` is from the start of the video file; `rank` 0 is the best of its clip;
    `score` is normalised to [0, 1] per clip; `signal` names what found it.

    `event` numbers the actions of the clip in order of time. `event_start_seconds` and `event_end_seconds` are the
    times of the states before and after it; `role` says which part of it is seen. A candidate outside any action has
    event -1, role `cover` and no times.
    """

    clip_id: Id
    pts_seconds: Seconds
    rank: int = Field(ge=0)
    score: float = Field(ge=0, le=1)
    signal: str
    event: int = Field(ge=-1)
    role: Literal["start", "contact", "peak", "end", "cover"]
    event_start_seconds: Seconds | None
    event_end_seconds: Seconds | None


class Prediction(Row):
    """One model's reply to one question in one run of the evaluation.

    `model` is base or policy. `mode` is how it was asked (reasoning, sampled, direct, likelihood), `view` what it
    saw (video, blind, shuffled ...). `sample` numbers repeated draws. `seen_clip_id` is the clip shown (None: none)
    and `frame_seconds` the times of its frames. `option_order[i]` is the question's own index of the option shown as
    letter i; `option` and `answer` use the question's own indices. Key times are those that the completion names,
    `keyframe_frames` the shown frames nearest to them. All times are seconds from the start of the video file.
    `outcome` is the parser's, or the reason why the question could not be asked.
    """

    question_id: Id
    video_id: Id
    parent_video_id: str
    family: str
    model: str
    mode: str
    view: str
    sample: int = Field(ge=0)
    seen_clip_id: str | None
    frame_seconds: tuple[float, ...]
    prompt: str
    option_order: tuple[int, ...]
    completion: str
    completion_tokens: int = Field(ge=0)
    finished: bool
    outcome: str
    option: int | None
    answer: int | None
    keyframe_seconds: tuple[float, ...] | None
    keyframe_frames: tuple[int, ...] | None
    option_probabilities: tuple[float, ...] | None

    @property
    def correct(self) -> bool:
        """Whether the answer is right; no answer counts as wrong."""
        return self.option is not None and self.option == self.answer


class Quarantined(Row):
    """One item left out, by whom and why. `kind` is `video`, `clip`, `question` ..."""

    stage: str
    kind: str
    item_id: str
    reason: str
    detail: str = ""


def clip_id(video_id: str, start_seconds: float, end_seconds: float) -> str:
    """Stable id of a span: the video's id, and a digest of id and times rounded to the millisecond."""
    key = f"{video_id}|{start_seconds:.3f}|{end_seconds:.3f}"
    return f"{video_id[:180]}@{hashlib.sha256(key.encode()).hexdigest()[:12]}"


R = TypeVar("R", bound=Row)

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


def _arrow_type(annotation: Any) -> pa.DataType:
    """Arrow type of a field: scalars, Literal of strings, Optional, tuple[X, ...] and Annotated of those."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _arrow_type(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return _arrow_type(next(a for a in get_args(annotation) if a is not NoneType))
    if origin is Literal:
        return pa.string()
    if origin is tuple:
        return pa.list_(_arrow_type(get_args(annotation)[0]))
    return _ARROW[annotation]


def schema_of(row_type: type[Row]) -> pa.Schema:
    """Arrow schema of a row class: one column per field, in order."""
    return pa.schema([(name, _arrow_type(field.annotation)) for name, field in row_type.model_fields.items()])


def write_rows(path: Path, rows: Iterable[R], row_type: type[R]) -> None:
    """Write `rows` to the parquet file `path`, atomically; the file records the name of the row class."""
    schema = schema_of(row_type).with_metadata({"row": row_type.__name__})
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in rows:
        for name, column in columns.items():
            column.append(getattr(row, name))
    table = pa.table(columns, schema=schema)
    with replacing(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_rows(path: Path, row_type: type[R]) -> list[R]:
    """Read all rows of the parquet file `path`.

    Raises:
        ArtifactError: the file is missing, is not parquet, holds other rows, or a row does not validate.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing: run `dvc repro` to make it, or `dvc pull` to fetch it")
    try:
        table = pq.read_table(path)
        rows: Sequence[dict[str, Any]] = table.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
        raise ArtifactError(f"{path} cannot be read as parquet ({error}): delete it and run `dvc repro`") from error
    unknown = set(table.column_names) ^ set(row_type.model_fields)
    if unknown:
        raise ArtifactError(f"{path} does not hold {row_type.__name__} rows: columns {sorted(unknown)} differ")
    try:
        return [row_type.model_validate(row) for row in rows]
    except ValidationError as error:
        raise ArtifactError(f"{path}: a row is not a valid {row_type.__name__}: {error.errors()[0]}") from error
