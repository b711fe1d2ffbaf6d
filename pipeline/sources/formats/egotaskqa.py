"""Form `egotaskqa`: EgoTaskQA (Jia et al. 2022, arXiv 2210.03929), open-ended questions on clips of LEMMA.

A row: `question, answer, interval "<recording>|P1|<start frame>|<end frame>"` (half open; P1, P2: the wearers),
and if given `question_id`, `category` (descriptive, predictive ...), `semantic` (action, object ...), `type` or
`reasoning_type` (these joined by `$`). `video_id` is the authors' running number and names no file. Without
`question_id` the row's content makes one. A wearer's video is searched as `<recording>/fpv1`, `<recording>_fpv1`,
`<recording>_P1` and `<recording>`.
"""

import hashlib
import re
from collections.abc import Iterator

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading
from pipeline.sources.rows import Raw, required, text

_WEARER = re.compile(r"P([12])")


def read_egotaskqa(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One open-ended question; `prepare_questions` draws its options."""
    interval = text(row, "interval")
    recording, wearer, start, end = _parts(interval)
    video = reading.names.first_known(_names(recording, wearer))
    question, answer = text(row, "question"), str(required(row, "answer")).strip()
    row_id = row.get("question_id")
    if row_id is None:
        row_id = hashlib.sha256("|".join((interval, question, answer)).encode()).hexdigest()[:16]
    if not answer:
        raise ItemError("no_answer", "the answer is empty")
    yield reading.annotation(
        f"{reading.source}_{row_id}",
        video,
        question,
        family=_family(row),
        answer_text=answer,
        start_seconds=reading.seconds(start, "interval start", video),
        end_seconds=reading.seconds(end, "interval end", video),
    )


def _parts(interval: str) -> tuple[str, str, str, str]:
    parts = interval.split("|")
    if len(parts) != 4 or not _WEARER.fullmatch(parts[1]):
        raise ItemError("wrong_type", f"interval: expected <recording>|P1|<start>|<end>, found {interval[:100]!r}")
    return parts[0], parts[1], parts[2], parts[3]


def _names(recording: str, wearer: str) -> tuple[str, ...]:
    own = f"fpv{wearer[-1]}"
    return f"{recording}/{own}", f"{recording}_{own}", f"{recording}_{wearer}", recording


def _family(row: Raw) -> str:
    """Question type, as fine as the row gives it: wrong answers are drawn from rows of the same type."""
    stated = [str(row[name]) for name in ("category", "semantic", "type") if row.get(name)]
    return "/".join(stated or str(row.get("reasoning_type") or "").split("$"))
