"""Form `egotaskqa`: EgoTaskQA (Jia et al. 2022, arXiv 2210.03929), open-ended questions on clips of LEMMA.

A row: `question, answer, interval "<video>|<start frame>|<end frame>|..."`, and where given `question_id, category`
(descriptive, predictive, counterfactual, explanatory). The published files have no ids: the row's content makes one.
"""

import hashlib
from collections.abc import Iterator

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading
from pipeline.sources.rows import Raw, required, text


def read_egotaskqa(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One open-ended question; `prepare_questions` draws its options."""
    video, *frames = text(row, "interval", "video_id").split("|")
    question, answer = text(row, "question"), str(required(row, "answer")).strip()
    row_id = row.get("question_id") or hashlib.sha256("|".join((video, *frames, question)).encode()).hexdigest()[:16]
    start, end = frames[:2] if len(frames) >= 2 else (None, None)
    if not answer:
        raise ItemError("no_answer", "the answer is empty")
    yield reading.annotation(
        f"{reading.source}_{row_id}",
        video,
        question,
        family=str(row.get("category") or row.get("type") or ""),
        answer_text=answer,
        start_seconds=None if start is None else reading.seconds(start, "interval start"),
        end_seconds=None if end is None else reading.seconds(end, "interval end"),
    )
