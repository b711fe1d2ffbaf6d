"""Form `native`: the field names of Annotation, or `id`, `video`, `keyframes_s` for short; JSONL, JSON, CSV or
parquet."""

import json
from collections.abc import Iterator
from typing import Any

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading, texts
from pipeline.sources.rows import Raw, number, option_index, required, text


def read_native(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One question. In a CSV, lists are JSON, and options may be in columns `option_0`, `option_1` ..."""
    answer, options = row.get("answer"), _listed(row, "options")
    stated = {name: str(row[name]) for name in ("licence", "split") if row.get(name)}
    yield reading.annotation(
        required(row, "question_id", "id"),
        text(row, "video_id", "video"),
        text(row, "question"),
        family=str(row.get("family") or ""),
        options=None if options is None else texts(options, "options"),
        answer=None if answer is None else option_index(answer),
        answer_text=row.get("answer_text"),
        start_seconds=_seconds(row, "start_seconds"),
        end_seconds=_seconds(row, "end_seconds"),
        keyframe_seconds=_times(row),
        **stated,
    )


def _listed(row: Raw, name: str) -> list[Any] | None:
    value = row.get(name)
    if value is None and f"{name[:-1]}_0" in row:
        value = [row[key] for key in (f"{name[:-1]}_{i}" for i in range(10)) if key in row]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ItemError("wrong_type", f"{name}: expected a JSON list, found {value[:80]!r}") from error
    if value is not None and not isinstance(value, list):
        raise ItemError("wrong_type", f"{name}: expected a list, found {type(value).__name__}")
    return value


def _seconds(row: Raw, name: str) -> float | None:
    return None if row.get(name) is None else number(row[name], name)


def _times(row: Raw) -> tuple[float, ...] | None:
    values = _listed(row, "keyframe_seconds")
    values = _listed(row, "keyframes_s") if values is None else values
    return None if values is None else tuple(number(value, "keyframe_seconds") for value in values)
