"""Black, frozen, blurred, out of order; and hashes that survive what re-encoding does to a picture."""

from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.checks.clips import ClipLook, inspect_clip, perceptual_hash
from pipeline.checks.lookalikes import MOST_BITS
from pipeline.frames.store import Frames
from pipeline.params import ClipLimits
from pipeline.records import Clip

LIMITS = ClipLimits(black_below=8, frozen_below=0.2, blurred_below=10, covers_at_least=0.5)
CLIP = Clip(clip_id="c", video_id="v", start_seconds=0.0, end_seconds=4.0)


def _scene(seed: int = 0, size: int = 96) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_NEAREST)


def _frames(images: list[np.ndarray], times: list[float] | None = None) -> Frames:
    return Frames(np.stack(images), np.array(times if times is not None else [float(i) for i in range(len(images))]))


def _moving(seed: int = 0) -> list[np.ndarray]:
    return [np.roll(_scene(seed), 5 * i, axis=1) for i in range(4)]


def _failed(frames: Frames) -> set[str]:
    return {name for name, value in inspect_clip(frames, CLIP).judged(LIMITS).items() if value is False}


@pytest.mark.parametrize(
    ("frames", "failed"),
    [
        (_frames(_moving()), set()),
        (_frames([np.zeros_like(_scene())] * 4), {"not_black", "not_frozen", "not_blurred"}),
        (_frames([_scene()] * 4), {"not_frozen"}),
        (_frames([cv2.GaussianBlur(i, (0, 0), 25) for i in _moving()]), {"not_blurred"}),
        (_frames(_moving(), [0, 2, 1, 3]), {"times_increase"}),
        (_frames(_moving(), [0, 1, 2, 9]), {"times_inside"}),
        (_frames(_moving(), [0, 0.1, 0.2, 0.3]), {"covers"}),
        (_frames(_moving()[:1]), {"several_frames", "covers"}),
    ],
)
def test_each_fault_is_seen_alone(frames: Frames, failed: set[str]) -> None:
    assert _failed(frames) == failed


def _bits(a: np.ndarray, b: np.ndarray) -> int:
    first, second = (perceptual_hash(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) for image in (a, b))
    assert first is not None
    assert second is not None
    return (first ^ second).bit_count()


def _jpeg(image: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)


CHANGES: dict[str, Any] = {
    "jpeg": _jpeg,
    "half size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "lighter": lambda image: np.clip(image * 1.1, 0, 255).astype(np.uint8),
    "all of it": lambda image: _jpeg(cv2.resize(np.clip(image * 1.1, 0, 255).astype(np.uint8), (48, 48))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_hashes_survive_re_encoding(name: str) -> None:
    worst = max(_bits(_scene(seed), CHANGES[name](_scene(seed))) for seed in range(40))
    assert worst <= MOST_BITS


def test_a_mirrored_clip_shows_the_original_mirrored() -> None:
    scenes = [_scene(seed) for seed in range(3)]
    plain, mirrored = (
        inspect_clip(_frames(scenes), CLIP),
        inspect_clip(_frames([np.fliplr(scene) for scene in scenes]), CLIP),
    )
    assert mirrored.mirrored == plain.hashes
    assert mirrored.hashes != plain.hashes


def test_hashes_of_other_scenes_differ() -> None:
    least = min(_bits(_scene(a), _scene(b)) for a in range(20) for b in range(a))
    assert least > MOST_BITS


def test_a_picture_without_structure_has_no_hash() -> None:
    assert perceptual_hash(np.full((64, 64), 128, np.uint8)) is None
    black = inspect_clip(_frames([np.zeros_like(_scene())] * 4), CLIP)
    assert isinstance(black, ClipLook)
    assert black.hashes == ()
