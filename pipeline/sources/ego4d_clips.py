"""Map the uid of an Ego4D clip to the recording it was cut from, since a clip's own uid says nothing about leakage."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import ParamsError, StageError
from pipeline.sources.base import Source, VideoItem
from pipeline.sources.rows import read_located

UNWANTED = "none"
Places = Mapping[str, tuple[str, float]]
"""Uid of a clip -> uid of its recording, and where in it the clip starts (seconds)."""


def read_places(named: str | None, sources: Sequence[Source], root: Path) -> Places:
    """Read the file that `download_videos.ego4d_clips` names (`named`); {} if no source needs it.

    Raises:
        ParamsError: it is null although a source's videos are Ego4D clips, or the file has a different format.
    """
    if named is None:
        needing = [source.name for source in sources if source.holds_ego4d_clips]
        if needing:
            raise ParamsError(
                f"download_videos.sources.{needing[0]}: the uids of Ego4D clips do not name their recordings. Set "
                "download_videos.ego4d_clips to Ego4D's ego4d.json, nlq_*.json or "
                f"clips/manifest.csv, or to `{UNWANTED}` if leakage into EgoSchema does not matter"
            )
        return {}
    return {} if named == UNWANTED else _read(root / named)


def _read(path: Path) -> Places:
    try:
        rows = _of_json(path) if path.suffix == ".json" else (located.row or {} for located in read_located(path))
        places = {clip: (recording, start) for clip, recording, start in map(_place, rows)}
        if not places:
            raise ValueError("it lists no clip")
    except (OSError, StageError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParamsError(
            f"download_videos.ego4d_clips: {path} is none of Ego4D's ego4d.json, nlq_*.json and clips/manifest.csv: "
            f"{type(error).__name__} {' '.join(str(error).split())[:200]}"
        ) from error
    return places


def _of_json(path: Path) -> Iterator[dict[str, Any]]:
    """The clips of `ego4d.json` (a list of its own) or of an annotation file (below each video)."""
    value = json.loads(path.read_text(encoding="utf-8"))
    yield from value.get("clips") or []
    for video in value.get("videos") or []:
        yield from ({"video_uid": video["video_uid"], **clip} for clip in video.get("clips") or [])


def _place(row: Mapping[str, Any]) -> tuple[str, str, float]:
    clip = row.get("exported_clip_uid") or row.get("clip_uid")
    recording = row.get("parent_video_uid") or row.get("video_uid")
    start = row.get("parent_start_sec", row.get("video_start_sec"))
    if not clip or not recording or start is None:
        raise ValueError(f"expected clip_uid, video_uid and video_start_sec, found {', '.join(sorted(row))[:120]}")
    return str(clip), str(recording), float(start)


def placed(item: VideoItem, places: Places) -> VideoItem:
    """`item` with its true recording, if its name is that of a known clip.

    A file named exactly by the clip's uid is the whole clip; the start of a piece of one is unknown.
    """
    place = places.get(item.parent_video_id)
    if place is None:
        return item
    recording, start = place
    whole = item.video_id == item.parent_video_id
    inside = 0.0 if whole else item.parent_start_seconds
    return replace(item, parent_video_id=recording, parent_start_seconds=None if inside is None else start + inside)
