"""Form `qaego4d`: QaEgo4D (Bärmann & Waibel 2022) and its closed form with wrong answers (Di & Xie 2024, GroundVQA).

A row: `video_id, sample_id, question, answer, moment_start_frame, moment_end_frame` at 30 frames per second, and in the
closed form `wrong_answers` (three). The moment is where the answer can be seen: its middle is the key time.
`video_id` is the uid of a *clip* of Ego4D, not of a recording; `download_videos.ego4d_clips` maps it to one.
"""

import hashlib
from collections.abc import Iterator

from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading, as_list, span, texts
from pipeline.sources.rows import Raw, required, text

_FRAME_RATE = 30.0  # of Ego4D's canonical videos, which the moments refer to


def read_qaego4d(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One question on the whole video."""
    row_id, truth = str(required(row, "sample_id")), text(row, "answer")
    options: tuple[str, ...] | None = None
    if row.get("wrong_answers"):
        wrong = texts(as_list(row, "wrong_answers"), "wrong_answers")
        ordered = sorted([truth, *wrong], key=lambda option: hashlib.sha256(f"{row_id}|{option}".encode()).digest())
        options = tuple(ordered)
    video, rate = text(row, "video_id"), reading.frame_rate or _FRAME_RATE
    moment = span(row, reading, video, "moment_start_frame", "moment_end_frame", rate)
    start, end = moment["start_seconds"], moment["end_seconds"]
    yield reading.annotation(
        row_id,
        video,
        text(row, "question"),
        family="episodic memory",
        options=options,
        answer=None if options is None else options.index(truth),
        answer_text=truth if options is None else None,
        keyframe_seconds=None if start is None or end is None else ((start + end) / 2,),
    )
