"""Form `hd_epic`: the VQA benchmark of HD-EPIC (Perrett et al. 2025, arXiv 2502.04144).

One file per question type: `{id: {question, choices, correct_idx, inputs: {"video 1": {id, start_time,
end_time}}}}`, times `HH:MM:SS.mmm`. Questions on several videos have several inputs; they do not fit one clip.
"""

from collections.abc import Iterator

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading, clock, listed, texts
from pipeline.sources.rows import Raw, option_index, required, text


def read_hd_epic(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One question on one video."""
    inputs = required(row, "inputs")
    if not isinstance(inputs, dict) or not all(isinstance(one, dict) for one in inputs.values()):
        raise ItemError(
            "wrong_type", f"inputs: expected {{name: {{id, start_time, end_time}}}}, found {inputs!r}"[:200]
        )
    if len(inputs) != 1:
        raise ItemError("several_videos", f"expected one input, found {len(inputs)}")
    video = next(iter(inputs.values()))
    row_id = str(required(row, "id", "question_id"))
    yield reading.annotation(
        row_id,
        text(video, "id"),
        text(row, "question"),
        family=row_id.rsplit("_", 1)[0],
        options=texts(listed(row, "choices"), "choices"),
        answer=option_index(required(row, "correct_idx"), "correct_idx"),
        start_seconds=clock(required(video, "start_time"), "start_time"),
        end_seconds=clock(required(video, "end_time"), "end_time"),
    )
