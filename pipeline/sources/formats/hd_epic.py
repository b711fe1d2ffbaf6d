"""Form `hd_epic`: the VQA benchmark of HD-EPIC (Perrett et al. 2025, arXiv 2502.04144).

One file per question type: `{id: {question, choices, correct_idx, inputs}}`. `inputs` is `{"video 1": {id, start_time,
end_time}}`, without the times (`HH:MM:SS.mmm`) for a whole video; a question about an object in a box adds
`"image 1": {id, time}` of the same video. Questions about several clips do not fit one clip; they are reported and
left out.
"""

from collections.abc import Iterator
from typing import Any

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading, as_list, clock, texts
from pipeline.sources.rows import Raw, option_index, required, text


def read_hd_epic(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One question on one video or a clip of it."""
    video = _video(required(row, "inputs"))
    row_id = str(required(row, "id", "question_id"))
    yield reading.annotation(
        row_id,
        text(video, "id"),
        text(row, "question"),
        family=row_id.rsplit("_", 1)[0],
        options=texts(as_list(row, "choices"), "choices"),
        answer=option_index(required(row, "correct_idx"), "correct_idx"),
        start_seconds=_time(video, "start_time"),
        end_seconds=_time(video, "end_time"),
    )


def _video(inputs: Any) -> Raw:
    if not isinstance(inputs, dict) or not inputs or not all(isinstance(one, dict) for one in inputs.values()):
        found = f"{inputs!r}"[:120]
        raise ItemError("wrong_type", f"inputs: expected {{name: {{id, start_time, end_time}}}}, found {found}")
    videos = [one for name, one in inputs.items() if not name.startswith("image")]
    if len(videos) != 1 or len({str(one.get("id")) for one in inputs.values()}) != 1:
        raise ItemError("several_videos", f"expected one video, found {', '.join(sorted(inputs))}")
    return dict(videos[0])


def _time(video: Raw, name: str) -> float | None:
    return None if video.get(name) is None else clock(video[name], name)
