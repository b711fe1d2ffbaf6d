"""Form `egoit`: EgoIT-99K (Yang et al. 2025, EgoLife; hub lmms-lab/EgoIT-99K, the JSON or parquet files).

A row: `id, video, image, audio, conversations [{from: human|gpt, value}], start_frame, end_frame,
current_observation_frame, fps, start_time, end_time, dimensions`; all but id and conversations nullable. A human turn
and the answer after it make one question; a multiple-choice turn carries its options in lines `A. ...`. Rows on
pictures (no video) are counted and not taken. A row taken from EgoPlan ends at its current observation.
"""

import re
from collections.abc import Iterator

from pipeline.errors import ItemError
from pipeline.records import LETTERS, Annotation
from pipeline.reports import NOT_TAKEN
from pipeline.sources.formats.base import Reading, as_list, clock, span
from pipeline.sources.rows import Raw, number, required, text

_MEDIA = re.compile(r"<(?:image|video|speech|audio)>\s*")
_OPTION = re.compile(r"^\s*\(?([A-E])[.):]\s+(.+?)\s*$", re.MULTILINE)
_ANSWER = re.compile(r"^\s*\(?([A-E])(?:[.):]|\s*$)")


def read_egoit(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One question per turn; ids of later turns end in `-1`, `-2` ..."""
    if row.get("video") is None and isinstance(row.get("image"), str):
        raise ItemError(NOT_TAKEN, row["image"])  # a question on a picture is another task, and no fault
    turns = as_list(row, "conversations")
    pairs = [(_value(turns, i, "human"), _value(turns, i + 1, "gpt")) for i in range(0, len(turns) - 1, 2)]
    if not pairs:
        raise ItemError("no_question", "expected a human turn and an answer")
    rate = None if row.get("fps") is None else number(row["fps"], "fps")
    row_id, video = str(required(row, "id")), text(row, "video")
    end = "current_observation_frame" if row.get("end_frame") is None else "end_frame"
    times = span(row, reading, video, "start_frame", end, rate) | _clock_times(row)
    for i, (asked, answered) in enumerate(pairs):
        question, options = _split_options(_MEDIA.sub("", asked).strip())
        yield reading.annotation(
            row_id if i == 0 else f"{row_id}-{i}",
            video,
            question,
            options=options,
            answer=_letter(answered, options) if options else None,
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


def _split_options(asked: str) -> tuple[str, tuple[str, ...] | None]:
    found = list(_OPTION.finditer(asked))
    letters = "".join(match.group(1) for match in found)
    if len(found) < 2 or letters != LETTERS[: len(found)]:
        return asked, None
    return asked[: found[0].start()].strip(), tuple(match.group(2) for match in found)


def _letter(answered: str, options: tuple[str, ...]) -> int:
    match = _ANSWER.match(answered)
    if match is not None and LETTERS.index(match.group(1)) < len(options):
        return LETTERS.index(match.group(1))
    same = [i for i, option in enumerate(options) if option.strip().lower() == answered.strip().lower()]
    if len(same) != 1:
        raise ItemError("no_answer", f"{answered[:80]!r} names none of the options")
    return same[0]


def _clock_times(row: Raw) -> dict[str, float]:
    """`start_time`, `end_time` as seconds or `HH:MM:SS`; they win over frame numbers."""
    return {
        f"{name}_seconds": clock(row[f"{name}_time"], f"{name}_time")
        for name in ("start", "end")
        if row.get(f"{name}_time") not in (None, "")
    }
