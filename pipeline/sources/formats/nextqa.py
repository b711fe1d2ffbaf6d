"""Form `nextqa`: NExT-QA (Xiao et al. 2021, arXiv 2105.08276), multiple choice, and its grounded form NExT-GQA.

A row of the CSV: `video, frame_count, width, height, question, answer, qid, type, a0 ... a4`, with `answer` from 0 to 4
(in NExT-GQA's train.csv the option's text) and `qid` counts within a video. The JSON of others has `video` as
`<folder>/<id>` and `qid` as `<type>_<video>_<number>`. The open form has no `a0`.
"""

from collections.abc import Iterator

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading
from pipeline.sources.rows import Raw, required, text


def read_nextqa(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One question on the whole video."""
    video, qid = str(required(row, "video")), str(required(row, "qid"))
    options = tuple(str(row[f"a{i}"]) for i in range(10) if row.get(f"a{i}") is not None) or None
    told = str(required(row, "answer"))
    yield reading.annotation(
        qid if video.rsplit("/", 1)[-1] in qid else f"{video.rsplit('/', 1)[-1]}_{qid}",
        video,
        text(row, "question"),
        family=str(row.get("type") or qid.split("_")[0]),
        options=options,
        answer=None if options is None else _index(told, options),
        answer_text=told if options is None else None,
    )


def _index(told: str, options: tuple[str, ...]) -> int:
    same = [i for i, option in enumerate(options) if option.strip() == told.strip()]
    place = int(told) if told in map(str, range(len(options))) else None
    if place is not None and same and same != [place]:
        raise ItemError("contradiction", f"the answer {told!r} is the number of one option but the text of another")
    if place is None and len(same) != 1:
        raise ItemError("no_answer", f"{told[:80]!r} names none of the options")
    return same[0] if place is None else place
