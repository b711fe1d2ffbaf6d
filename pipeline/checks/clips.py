"""What a clip's frames look like: times in order, black, frozen, blurred; and their perceptual hashes."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.errors import ItemError, StageError
from pipeline.frames.store import Frames, FrameStore
from pipeline.params import ClipLimits
from pipeline.records import Clip
from pipeline.work.items import Workers
from pipeline.work.parallel import run_parallel

_TOLERANCE_SECONDS = 0.5  # a frame on screen in the span may start before it
_CHUNK = 64  # clips that a worker takes at once
_MEGABYTES = 4096  # far more than a few small pictures need


@dataclass(frozen=True)
class ClipLook:
    """Facts about one clip's frames; `hashes` are 64-bit perceptual hashes of the frames that show something,
    `mirrored` those of the same frames with left and right exchanged."""

    clip_id: str
    video_id: str
    frames: int
    times_increase: bool
    times_inside: bool
    covered: float
    brightness: float
    change: float
    sharpness: float
    hashes: tuple[int, ...]
    mirrored: tuple[int, ...] = ()

    def judged(self, limits: ClipLimits) -> dict[str, object]:
        """The facts compared with the limits: a row of the table `clips`."""
        return {
            "clip_id": self.clip_id,
            "times_increase": self.times_increase,
            "times_inside": self.times_inside,
            "covers": self.covered >= limits.covers_at_least,
            "several_frames": self.frames >= 2,
            "not_black": self.brightness >= limits.black_below,
            "not_frozen": self.frames < 2 or self.change >= limits.frozen_below,
            "not_blurred": self.sharpness >= limits.blurred_below,
        }


def look_at_clips(store: FrameStore, clips: Sequence[Clip], workers: int) -> list[ClipLook]:
    """Every clip of `clips` that the store has, in order."""
    present = [clip for clip in clips if clip.clip_id in store]
    chunks = [present[i : i + _CHUNK] for i in range(0, len(present), _CHUNK)]
    with tqdm(total=len(present), desc="look at clips", unit="clip", mininterval=2) as bar:
        looks: list[ClipLook] = []
        for part in _run(store, chunks, workers):
            looks += part
            bar.update(len(part))
    return looks


def _run(store: FrameStore, chunks: list[list[Clip]], workers: int) -> Iterator[list[ClipLook]]:
    tasks = [(store, chunk) for chunk in chunks]
    if workers == 1 or len(chunks) < 8:
        yield from map(_look_at_chunk, tasks)
        return
    width = Workers("processes", workers, math.inf, _MEGABYTES)
    waiting: dict[int, list[ClipLook]] = {}
    for position, looks in run_parallel(_look_at_chunk, tasks, width):
        if isinstance(looks, ItemError):
            raise StageError(f"validate_dataset: frames cannot be checked: {looks}")
        waiting[position] = looks
    yield from (waiting[position] for position in sorted(waiting))


def _look_at_chunk(task: tuple[FrameStore, list[Clip]]) -> list[ClipLook]:
    store, clips = task
    return [inspect_clip(store.load(clip.clip_id), clip) for clip in clips]


def inspect_clip(frames: Frames, clip: Clip) -> ClipLook:
    """Measure one clip. Brightness is the mean, change the mean absolute difference of successive frames, sharpness the
    variance of the Laplacian (Pech-Pacheco et al. 2000) of the sharpest frame; all of 0-255 luminance."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in frames.images]
    times, span = frames.pts_seconds, clip.end_seconds - clip.start_seconds
    changes = [float(cv2.absdiff(a, b).mean()) for a, b in itertools.pairwise(grey)]
    inside = (times >= clip.start_seconds - _TOLERANCE_SECONDS) & (times <= clip.end_seconds + _TOLERANCE_SECONDS)
    return ClipLook(
        clip_id=clip.clip_id,
        video_id=clip.video_id,
        frames=len(grey),
        times_increase=bool((np.diff(times) > 0).all()),
        times_inside=bool(inside.all()),
        covered=float(np.ptp(times) / span) if len(times) else 0.0,
        brightness=float(np.mean([image.mean() for image in grey])) if grey else 0.0,
        change=max(changes, default=0.0),
        sharpness=max((float(cv2.Laplacian(image, cv2.CV_64F).var()) for image in grey), default=0.0),
        hashes=tuple(h for h in map(perceptual_hash, grey) if h is not None),
        mirrored=tuple(h for h in (perceptual_hash(cv2.flip(image, 1)) for image in grey) if h is not None),
    )


def perceptual_hash(grey: NDArray[np.uint8]) -> int | None:
    """64-bit pHash (Zauner 2010): signs of the 8 x 8 lowest frequencies of a 32 x 32 picture against their median.

    None for a picture without structure, whose signs are noise.
    """
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    if small.std() < 8:
        return None
    low = cv2.dct(small)[:8, :8].flatten()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
