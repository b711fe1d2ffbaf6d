"""Contact sheets of clips: what was mined and why, and what can be seen of clips that were left out."""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.errors import ArtifactError
from pipeline.frames.store import FrameStore
from pipeline.pictures.sheets import sheet_name
from pipeline.records import Quarantined, Question
from pipeline.report.mined_sheets import Mined, mined_clips, mined_sheet
from pipeline.report.strips import strip

QUALITY = 80


@dataclass(frozen=True)
class ClipFolders:
    """The folders of clips: `frames` is data/frames, `keyframes` data/keyframes."""

    frames: Path
    keyframes: Path


def mined_sheets(folders: ClipFolders, questions: list[Question], limit: int) -> list[dict[str, Any]]:
    """Signal over time with the chosen frames under it, of the first `limit` mined clips: those with true key times
    first, then by id; [] if nothing was mined."""
    times: dict[str, set[float]] = defaultdict(set)
    for question in questions:
        times[question.clip_id].update(question.keyframe_seconds or ())
    try:
        known = list(mined_clips(folders.keyframes, sorted(c for c in times if times[c])[:limit]))
        known += islice((clip for clip in mined_clips(folders.keyframes) if not times[clip.clip_id]), limit)
    except ArtifactError:
        return []
    order = sorted(known, key=lambda clip: (not times[clip.clip_id], clip.clip_id))
    return [_mined(clip, sorted(times[clip.clip_id])) for clip in order[:limit]]


def _mined(clip: Mined, true_seconds: list[float]) -> dict[str, Any]:
    picture = BytesIO()
    mined_sheet(clip, true_seconds).save(picture, "JPEG", quality=QUALITY)
    return {"jpeg": b64encode(picture.getvalue()).decode(), "text": clip.clip_id}


def quarantine_sheets(
    folders: ClipFolders, rows: list[Quarantined], questions: list[Question], store: FrameStore | None, width: int
) -> Iterator[dict[str, Any]]:
    """Pictures of each quarantined clip or question that has any, with the reason, in the order of reasons.

    A clip that could not be decoded has a sheet of what could be seen (made by `extract_frames`); others have frames.
    """
    clips = {q.question_id: q.clip_id for q in questions}
    for item in sorted(rows, key=lambda q: (q.reason, q.item_id)):
        clip = clips.get(item.item_id, item.item_id)
        sheet = folders.frames / "quarantined" / sheet_name(clip)
        text = f"{item.item_id}: {item.reason} {item.detail}".strip()
        if sheet.is_file():
            yield {"jpeg": b64encode(sheet.read_bytes()).decode(), "text": text}
        elif store is not None and clip in store:
            yield {"jpeg": strip(store.load(clip), width, 0.0)["jpeg"], "text": text}
