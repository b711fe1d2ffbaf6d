"""Rendered first-person clips with known events under head motion: ground truth for the keyframe miner.

A textured room behind a table with objects. The camera walks, sways and turns; at random times something happens at the
table for about a second: an object is taken, put down, moved or changes colour, sometimes by a hand. Everything derives
from the seed.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = {"still": 0.0, "light": 0.35, "normal": 1.0, "heavy": 2.2}


@dataclass(frozen=True)
class ShakyClip:
    """`images` RGB `uint8 [T, H, W, 3]`, `pts_seconds` `[T]`, `event_seconds` `[events]`: the middles of the events."""

    images: NDArray[np.uint8]
    pts_seconds: NDArray[np.float64]
    event_seconds: NDArray[np.float64]


@dataclass
class _Thing:
    x: float
    y: float
    size: float
    colour: NDArray[np.float64]
    round: bool
    shown: float = 1.0


def render(
    seed: int, level: str, seconds: float, events: int, rate: float = 10.0, size: tuple[int, int] = (192, 108)
) -> ShakyClip:
    """Render one clip; `size` is (width, height) in pixels."""
    rng = np.random.default_rng([seed, sorted(LEVELS).index(level)])
    pts = np.arange(round(seconds * rate)) / rate
    background = _texture(rng, size)
    camera = _camera(rng, pts, LEVELS[level], size)
    things = [_thing(rng) for _ in range(rng.integers(5, 9))]
    truth = _event_times(rng, seconds, events)
    script = [_event(rng, len(things)) for _ in truth]
    images = [_draw(background, things, truth, script, camera[i], t, size, rng) for i, t in enumerate(pts)]
    return ShakyClip(np.stack(images), pts, truth)


def _event_times(rng: np.random.Generator, seconds: float, events: int) -> NDArray[np.float64]:
    """Random, at least 2.5 s apart, away from the ends."""
    slack = seconds - 2 - 2.5 * events
    return 1 + np.sort(rng.uniform(0, slack, events)) + 2.5 * np.arange(events) + 1.25


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A room four times the view: blocks, edges and grain."""
    height, width = size[1] * 4, size[0] * 4
    room = np.full((height, width, 3), rng.uniform(60, 160, 3), np.float64)
    for _ in range(260):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(8, width // 8), rng.integers(8, height // 8)
        room[y : y + h, x : x + w] = rng.uniform(20, 230, 3)
    room = cv2.GaussianBlur(room, (0, 0), 1.2)
    return np.clip(room + rng.normal(0, 4, room.shape), 0, 255).astype(np.uint8)


def _camera(
    rng: np.random.Generator, pts: NDArray[np.float64], level: float, size: tuple[int, int]
) -> NDArray[np.float64]:
    """Per frame: x, y in pixels of the view, roll in radians, zoom."""
    walk = np.zeros((len(pts), 4))
    for column, (amount, slow, fast) in enumerate(
        [(9, 0.35, 1.9), (5, 0.3, 2.1), (0.03, 0.25, 1.5), (0.03, 0.15, 0.7)]
    ):
        for frequency, share in ((slow, 1.0), (fast, 0.35)):
            f = frequency * rng.uniform(0.7, 1.3)
            walk[:, column] += level * amount * share * np.sin(2 * np.pi * f * pts + rng.uniform(0, 6.28))
    for _ in range(round(level * pts[-1] / 8)):  # head turns
        at, length = rng.uniform(0, pts[-1]), rng.uniform(0.5, 1.2)
        turn = rng.uniform(-0.5, 0.5) * size[0]
        there = _step((pts - at) / length)
        back = _step((pts - at - rng.uniform(1.5, 3)) / length)
        walk[:, 0] += turn * (there - back)
    walk[:, :2] += level * rng.normal(0, 0.6, (len(pts), 2))
    return walk


def _step(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return (1 + np.tanh(4 * x)) / 2


def _thing(rng: np.random.Generator) -> _Thing:
    return _Thing(
        rng.uniform(0.2, 0.8),
        rng.uniform(0.5, 0.9),
        rng.uniform(0.05, 0.1),
        rng.uniform(0, 255, 3),
        bool(rng.integers(2)),
    )


def _event(rng: np.random.Generator, things: int) -> dict:
    return {
        "thing": int(rng.integers(things)),
        "kind": str(rng.choice(["toggle", "move", "recolour"])),
        "hand": bool(rng.random() < 0.6),
        "to": (rng.uniform(0.2, 0.8), rng.uniform(0.5, 0.9)),
        "colour": rng.uniform(0, 255, 3),
        "length": rng.uniform(0.5, 1.0),
    }


def _state(things: list[_Thing], truth: NDArray[np.float64], script: list[dict], t: float) -> tuple[list[_Thing], list]:
    """Where everything is at `t`, and the hands that are in the picture (x, y, reach)."""
    now = [_Thing(**vars(thing)) for thing in things]
    hands = []
    for at, event in zip(truth, script, strict=True):
        done = float(np.clip((t - at) / event["length"] + 0.5, 0, 1))
        thing = now[event["thing"]]
        if event["hand"] and abs(t - at) < 0.9:
            hands.append((thing.x, thing.y, 1 - abs(t - at) / 0.9))
        if event["kind"] == "move":
            thing.x += done * (event["to"][0] - thing.x)
            thing.y += done * (event["to"][1] - thing.y)
        elif event["kind"] == "recolour":
            thing.colour = (1 - done) * thing.colour + done * event["colour"]
        else:
            thing.shown = abs(thing.shown - done)
    return now, hands


def _draw(background, things, truth, script, camera, t, size, rng):  # type: ignore[no-untyped-def]
    width, height = size
    now, hands = _state(things, truth, script, t)
    scene = background.copy()
    ox, oy = width * 1.5, height * 1.5
    for thing in now:
        if thing.shown > 0.02:
            _blob(
                scene,
                ox + thing.x * width,
                oy + thing.y * height,
                thing.size * width,
                thing.colour,
                thing.round,
                thing.shown,
            )
    x, y, roll, zoom = camera
    cos, sin = np.cos(roll) / (1 + zoom), np.sin(roll) / (1 + zoom)
    centre = np.array([ox + width / 2 + x, oy + height / 2 + y])
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0]])
    matrix[:, 2] = centre - matrix[:, :2] @ np.array([width / 2, height / 2])
    view = cv2.warpAffine(
        scene, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
    )
    for hx, hy, reach in hands:  # hands belong to the body: they do not move with the scene
        tip = np.array([hx * width, hy * height]) * reach + np.array([width * 0.6, height * 1.15]) * (1 - reach)
        base = np.array([width * 0.62, height * 1.3])
        cv2.line(
            view,
            tuple(int(v) for v in base),
            tuple(int(v) for v in tip),
            (196, 140, 110),
            int(width * 0.07),
            cv2.LINE_AA,
        )
    return np.clip(view.astype(np.int16) + rng.normal(0, 3, view.shape), 0, 255).astype(np.uint8)


def _blob(scene, x, y, radius, colour, is_round, shown):  # type: ignore[no-untyped-def]
    x, y, r = int(x), int(y), max(1, int(radius / 2))
    patch = scene.copy() if shown < 0.98 else scene
    if is_round:
        cv2.circle(patch, (x, y), r, colour.tolist(), -1, cv2.LINE_AA)
    else:
        cv2.rectangle(patch, (x - r, y - r), (x + r, y + r), colour.tolist(), -1)
    if patch is not scene:
        scene[:] = cv2.addWeighted(patch, shown, scene, 1 - shown, 0)
