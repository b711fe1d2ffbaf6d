"""Stage extract_frames: the frames of every clip at the model's size, in a sharded store."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.clips.incremental import Item, update_shards
from pipeline.clips.inputs import ClipInputs, count_clips
from pipeline.decode.decoding import decoder_version
from pipeline.errors import ItemError
from pipeline.extraction.broken_clips import BrokenClip, write_sheets
from pipeline.extraction.rows import FORMAT, FrameSettings, FrameTask, extract
from pipeline.frames.geometry import FrameSize
from pipeline.frames.shards import SHARD_BYTES, Layout, digest, write_manifest
from pipeline.frames.store import SCHEMA, FrameStore
from pipeline.layout import FRAMES
from pipeline.params import ExtractFrames, Params
from pipeline.records import Clip, Video
from pipeline.reports import StageReport
from pipeline.work.items import workers_of

QUARANTINE_SHEETS = 40  # enough to see what is wrong with a source


def run(params: Params, root: Path, report: StageReport) -> None:
    """Bring `root/data/frames` up to date with `data/raw` and `data/questions/clips.parquet`."""
    section, out = params.extract_frames, root / FRAMES
    inputs = ClipInputs.read(root)
    settings = {"format": FORMAT, **asdict(frame_settings(section)), "version": decoder_version(section.decoder)}
    seconds = params.machine.clip_seconds_limit
    items = [_item(*found, section, settings, seconds) for found in inputs.usable()]
    layout = Layout(SCHEMA, section.shards, SHARD_BYTES)
    workers = workers_of(params.machine)
    outcome = update_shards(out, layout, items, extract, workers, "extract_frames")
    count_clips(report, inputs, outcome.failed, out)
    write_sheets(out / "quarantined", _lost(inputs, outcome.failed), QUARANTINE_SHEETS)
    report.stop_if_too_bad("clip", params.max_bad_fraction)
    write_manifest(out, layout, settings)
    report.values["frames"] = _summary(FrameStore(out), section.frames_per_clip)


def frame_settings(section: ExtractFrames) -> FrameSettings:
    """The part of the params that determines the frames."""
    size = FrameSize(section.max_pixels, section.size_multiple)
    return FrameSettings(section.decoder, section.frames_per_clip, size, section.jpeg_quality)


def _item(
    clip: Clip, video: Video, path: Path, section: ExtractFrames, settings: dict[str, Any], seconds_limit: float
) -> Item:
    task = FrameTask(
        clip.video_id,
        path,
        clip.start_seconds,
        clip.end_seconds,
        frame_settings(section),
        seconds_limit,
    )
    return Item(clip.clip_id, digest([settings, video.sha256, clip.model_dump()]), task)


def _lost(inputs: ClipInputs, failed: Mapping[str, ItemError]) -> list[BrokenClip]:
    found = ((clip.clip_id, path) for clip, _, path in inputs.usable() if clip.clip_id in failed)
    return [BrokenClip(clip_id, path, failed[clip_id].reason, failed[clip_id].detail) for clip_id, path in found]


def _summary(store: FrameStore, frames_per_clip: int) -> dict[str, Any]:
    ways = store.column("decode_method")
    counts = [len(pts) for pts in store.column("pts_seconds")]
    return {
        "clips": len(ways),
        "frames": sum(counts),
        "clips_with_fewer_frames": sum(count < frames_per_clip for count in counts),
        "decoded": {way: ways.count(way) for way in sorted(set(ways))},
    }
