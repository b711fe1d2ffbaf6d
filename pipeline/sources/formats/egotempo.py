"""Form `egotempo`: EgoTempo (Plizzari et al. 2025, arXiv 2503.13646), open questions on spans of Ego4D.

The file is `{info, annotations: [...]}`. A row: `question_id, clip_id, question_type, question, answer`; `clip_id` is
`<Ego4D uid>_<start>_<end>` in seconds. The video is searched as the cut clip, else as the whole recording.
"""

import re
from collections.abc import Iterator

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading
from pipeline.sources.rows import Raw, required, text

_CLIP = re.compile(r"(?P<uid>[0-9a-f-]{36})_(?P<start>\d+(?:\.\d+)?)_(?P<end>\d+(?:\.\d+)?)")


def read_egotempo(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One open-ended question."""
    name = text(row, "clip_id")
    clip = _CLIP.fullmatch(name)
    if clip is None:
        raise ItemError("wrong_type", f"clip_id: expected <uid>_<start>_<end>, found {name[:100]!r}")
    video = reading.names.first_known((name, f"{name}.mp4", clip["uid"]))
    whole = video == clip["uid"]
    yield reading.annotation(
        str(required(row, "question_id")),
        video,
        text(row, "question"),
        family=str(row.get("question_type") or ""),
        answer_text=text(row, "answer"),
        start_seconds=float(clip["start"]) if whole else None,
        end_seconds=float(clip["end"]) if whole else None,
    )
