"""What can still be seen of a quarantined clip, for people and never for training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize, Image
from pipeline.frames.jpeg import decode_jpeg, encode_jpeg
from pipeline.pictures.sheets import frames_sheet, save_sheet, sheet_name
from pipeline.video.container import open_video
from pipeline.work.items import Workers
from pipeline.work.parallel import run_parallel

PICTURES = 8
PACKETS = 400  # how many are decoded; the rest of a long video adds nothing
SIZE = FrameSize(160 * 120, 4)
MEGABYTES = 4096  # a picture that needs more is not worth it


@dataclass(frozen=True)
class BrokenClip:
    """A quarantined clip: the video to show, and the heading."""

    clip_id: str
    path: Path
    reason: str
    detail: str


def read_what_decodes(lost: BrokenClip) -> list[bytes]:
    """Up to eight small JPEGs from the video's first packets; [] if nothing can be decoded."""
    try:
        frames = _frames(lost.path)
    except ItemError:
        return []
    return [encode_jpeg(image, 85) for image in frames]


def _frames(path: Path) -> list[Image]:
    """Pictures as decoded, damage included, thinned to at most `PICTURES`."""
    images: list[Image] = []
    with open_video(path) as (container, stream):
        for number, packet in enumerate(container.demux(stream)):
            if number == PACKETS:
                break
            try:
                frames = packet.decode()
            except (ValueError, OSError):  # av.error.InvalidDataError and similar
                continue
            for frame in frames:
                width, height = SIZE.fit(frame.width, frame.height)
                images.append(frame.reformat(width, height, "rgb24").to_ndarray().astype(np.uint8, copy=False))
    return images[:: max(1, -(-len(images) // PICTURES))]


def write_sheets(folder: Path, lost: list[BrokenClip], limit: int) -> None:
    """Write a sheet (`sheet_name`) for the first `limit` clips by id: the reason and what can still be seen. Delete
    others."""
    chosen = sorted(lost, key=lambda clip: clip.clip_id)[:limit]
    if chosen:
        folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[int, list[bytes]] = {}
    for position, result in run_parallel(read_what_decodes, chosen, Workers("processes", 1, 20.0, MEGABYTES)):
        pictures[position] = [] if isinstance(result, ItemError) else result
    for position, clip in enumerate(chosen):
        images = [decode_jpeg(data) for data in pictures[position]]
        sheet = frames_sheet(images, [""] * len(images), f"{clip.clip_id}   {clip.reason}: {clip.detail}"[:150])
        save_sheet(sheet, folder / sheet_name(clip.clip_id))
    for path in set(folder.glob("*.jpg")) - {folder / sheet_name(clip.clip_id) for clip in chosen}:
        path.unlink()
