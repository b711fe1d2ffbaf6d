"""Rendered videos: a room that sways as a head does, things on a table, and a hand that moves one from time to time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.sources.encode import write_mp4

Image = NDArray[np.uint8]
WIDTH, HEIGHT, SWAY = 256, 144, 24  # pixels
EVERY_SECONDS, REACH_SECONDS = 9.0, 2.0


@dataclass(frozen=True)
class Video:
    """What to render."""

    seed: int
    seconds: float
    frames_per_second: int


def write_video(path: Path, video: Video) -> None:
    """Render and encode one video as H.264 in MP4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate = video.frames_per_second
    write_mp4(path, _frames(video), (WIDTH, HEIGHT), rate, gop=4 * rate)


def _frames(video: Video) -> Iterator[Image]:
    rng = np.random.default_rng(video.seed)
    room = _room(rng)
    things = rng.uniform((40, 40), (WIDTH - 40, HEIGHT - 40), (5, 2))
    colours = rng.integers(30, 230, (5, 3)).tolist()
    phases = rng.uniform(0, 6, 4)
    for index in range(round(video.seconds * video.frames_per_second)):
        seconds = index / video.frames_per_second
        x, y = (SWAY / 2 * (1 + np.sin(seconds * f + p)) for f, p in zip((0.5, 0.7), phases[:2], strict=True))
        picture = room[int(y) : int(y) + HEIGHT, int(x) : int(x) + WIDTH].copy()
        hand = _move(things, seconds, video.seed)
        for (left, top), colour in zip(things, colours, strict=True):
            cv2.circle(picture, (int(left - x + SWAY / 2), int(top - y + SWAY / 2)), 9, colour, -1, cv2.LINE_AA)
        if hand is not None:
            cv2.line(picture, (int(hand[0]), int(hand[1])), (WIDTH // 2, HEIGHT + 20), (206, 160, 130), 16, cv2.LINE_AA)
        yield picture


def _room(rng: np.random.Generator) -> Image:
    size = (WIDTH + SWAY + 1, HEIGHT + SWAY + 1)
    coarse, fine = rng.normal(0, 22, (9, 16, 3)), rng.normal(0, 12, (72, 128, 3))
    both = [cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_CUBIC) for part in (coarse, fine)]
    return np.clip(115 + both[0] + both[1], 0, 255).astype(np.uint8)


def _move(things: NDArray[np.float64], seconds: float, seed: int) -> NDArray[np.float64] | None:
    """Carry a thing if it is time to (`things` changes); where the hand is then."""
    number, since = divmod(seconds, EVERY_SECONDS)
    if since > REACH_SECONDS:
        return None
    thing = things[(int(number) + seed) % len(things)]
    if since > REACH_SECONDS / 2:
        thing += (1.5, -0.6) if int(number) % 2 else (-1.5, 0.6)
    np.clip(thing, 30, (WIDTH - 30, HEIGHT - 30), out=thing)
    return thing
