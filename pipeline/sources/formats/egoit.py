"""Form `egoit`: EgoIT-99K (Yang et al. 2025, EgoLife; hub lmms-lab/EgoIT-99K, the JSON or parquet files).

A row: `id, video, image, audio, conversations [{from: human|gpt, value}], start_frame, end_frame,
current_observation_frame, fps, start_time, end_time, dimensions`; all but id and conversations nullable. A human turn
and the answer after it make one question; a multiple-choice turn carries its options in its text. Rows about
pictures (no video) are counted but not used. A row taken from EgoPlan ends at its current observation. EgoExoLearn's
rows (form `egoexolearn`) name their video inside `image`: `{"video": "<uid>.mp4"}`.
"""

import re
from collections.abc import Iterator

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.reports import NOT_TAKEN
from pipeline.sources.formats.base import Reading, as_list, clock, span
from pipeline.sources.formats.options import read_answer, read_choices
from pipeline.sources.rows import Raw, number, required, text

_MEDIA = re.compile(r"<(?:image|video|speech|audio)>\s*")


def read_egoit(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One question per turn; ids of later turns end in `-1`, `-2` ..."""
    if row.get("video") is None and isinstance(row.get("image"), str):
        raise ItemError(NOT_TAKEN, row["image"])  # a question about a picture is another task, not a fault
    turns = as_list(row, "conversations")
    pairs = [(_value(turns, i, "human"), _value(turns, i + 1, "gpt")) for i in range(0, len(turns) - 1, 2)]
    if not pairs:
        raise ItemError("no_question", "expected a human turn and an answer")
    rate = None if row.get("fps") is None else number(row["fps"], "fps")
    row_id, video = str(required(row, "id")), _video(row)
    end = "current_observation_frame" if row.get("end_frame") is None else "end_frame"
    times = span(row, reading, video, "start_frame", end, rate) | _clock_times(row)
    for i, (asked, answered) in enumerate(pairs):
        question, options, answer = _choices(_MEDIA.sub("", asked).strip(), answered)
        yield reading.annotation(
            row_id if i == 0 else f"{row_id}-{i}",
            video,
            question,
            options=options,
            answer=answer,
            answer_text=None if options else answered.strip(),
            **times,
        )


def _value(turns: list[object], index: int, speaker: str) -> str:
    turn = turns[index]
    if not isinstance(turn, dict) or turn.get("from") != speaker or not isinstance(turn.get("value"), str):
        raise ItemError(
            "wrong_type", f"conversations[{index}]: expected {{from: {speaker}, value: text}}, found {turn!r}"
        )
    return str(turn["value"])


def _video(row: Raw) -> str:
    image = row.get("image")
    return text(image, "video") if row.get("video") is None and isinstance(image, dict) else text(row, "video")


def _choices(asked: str, answered: str) -> tuple[str, tuple[str, ...] | None, int | None]:
    """Question, options and answer; marks inside one line are options only if the answer names one of them."""
    choices = read_choices(asked)
    if choices is None:
        return asked, None, None
    try:
        return choices.question, choices.options, read_answer(answered, choices)
    except ItemError as error:
        if choices.inline and error.reason == "no_answer":
            return asked, None, None
        raise


def _clock_times(row: Raw) -> dict[str, float]:
    """`start_time`, `end_time` as seconds or `HH:MM:SS`; they win over frame numbers."""
    return {
        f"{name}_seconds": clock(row[f"{name}_time"], f"{name}_time")
        for name in ("start", "end")
        if row.get(f"{name}_time") not in (None, "")
    }
