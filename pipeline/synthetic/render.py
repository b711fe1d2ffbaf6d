"""Pictures of a script as the camera wearer sees them: head motion, blur, light, a table with mats, a hand."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.seeds import stream
from pipeline.synthetic.world import Point, Script, Thing, hand_position, thing_position

Image = NDArray[np.uint8]

_RGB = {
    "red": (206, 40, 38),
    "green": (42, 160, 62),
    "blue": (40, 84, 208),
    "yellow": (232, 204, 44),
    "purple": (140, 52, 168),
}
_TABLES = ((112, 108, 104), (96, 84, 74), (130, 128, 122), (84, 92, 96), (146, 138, 126))
_SKINS = ((226, 178, 150), (204, 150, 118), (172, 118, 88), (236, 194, 168))
_SLEEVES = ((58, 60, 66), (92, 96, 104), (44, 50, 58))
_MATS = (  # left, top, right, bottom of each, and its tone
    ((-0.08, 0.26, 0.14, 0.74), (30, 32, 36)),
    ((0.86, 0.26, 1.08, 0.74), (236, 234, 228)),
    ((0.22, -0.08, 0.78, 0.18), (70, 150, 160)),
    ((0.22, 0.83, 0.78, 1.08), (196, 140, 176)),
)
_MARGIN = 0.08  # share of the side: how far the head may turn before the background ends
_SHIFT = 4  # fractional bits of the coordinates given to OpenCV


class Renderer:
    """Draws the frames of one clip at `width` x `height` pixels; `draw(seconds)` depends on its arguments only."""

    def __init__(self, script: Script, width: int, height: int, seed: int) -> None:
        rng = stream(seed, script.video_id, "look")
        self.script, self.width, self.height = script, width, height
        self._table = _texture(rng, width, height, _pick(rng, _TABLES))
        _lay_mats(self._table, width, height)
        self._skin, self._sleeve = _pick(rng, _SKINS), _pick(rng, _SLEEVES)
        self._entry_x = [float(rng.uniform(0.35, 0.65)) for _ in script.actions]
        self._sway = _Wobble(rng, 2, slow=0.018, fast=0.004)
        self._light = _Wobble(rng, 1, slow=0.08, fast=0.01)
        self._gain = float(rng.uniform(0.85, 1.12))
        self._tint = rng.uniform(0.96, 1.04, 3)

    def draw(self, seconds: float) -> Image:
        """The picture at a time: uint8 [height, width, 3] RGB."""
        shift, speed = self._sway.at(seconds), self._sway.speed(seconds)
        image = self._background(shift)
        hands = [self._hand(i, seconds) for i in range(len(self.script.actions))]
        for index, thing in enumerate(self.script.things):
            self._draw_thing(image, thing, _moved(thing_position(self.script, index, seconds), shift))
        for index, hand in enumerate(hands):
            if hand is not None:
                self._draw_hand(image, _moved(hand, shift), self._entry_x[index] + float(shift[0]))
        return self._lit(self._blurred(image, speed), seconds)

    def _hand(self, index: int, seconds: float) -> Point | None:
        action = self.script.actions[index]
        origin = self.script.things[action.thing].position
        return hand_position(action, origin, self._entry_x[index], seconds, self.script.window_seconds)

    def _background(self, shift: NDArray[np.float64]) -> Image:
        """The visible part of the larger table texture."""
        left = _MARGIN * self.width - shift[0] * self.width
        top = _MARGIN * self.height - shift[1] * self.height
        x = int(np.clip(round(left), 0, self._table.shape[1] - self.width))
        y = int(np.clip(round(top), 0, self._table.shape[0] - self.height))
        return self._table[y : y + self.height, x : x + self.width].copy()

    def _pixel(self, point: Point) -> tuple[int, int]:
        return round(point[0] * self.width * (1 << _SHIFT)), round(point[1] * self.height * (1 << _SHIFT))

    def _draw_thing(self, image: Image, thing: Thing, at: Point) -> None:
        shadow = (at[0] + 0.012, at[1] + 0.016)
        _fill(image, self._outline(thing, shadow, 1.08), (52, 50, 48))
        colour = _RGB[thing.colour]
        _fill(image, self._outline(thing, at, 1.0), tuple(int(c * 0.8) for c in colour))
        _fill(image, self._outline(thing, (at[0] - 0.006, at[1] - 0.008), 0.82), colour)

    def _outline(self, thing: Thing, at: Point, scale: float) -> NDArray[np.int32]:
        """Corners of a shape in OpenCV's fixed-point pixels: int32 [n, 2]."""
        corners = _CORNERS[thing.shape] * (thing.radius * scale)
        angle = np.deg2rad(thing.angle)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = corners @ turn.T + np.asarray(at)
        fixed: NDArray[np.int32] = np.round(points * (self.width, self.height) * (1 << _SHIFT)).astype(np.int32)
        return fixed

    def _draw_hand(self, image: Image, tip: Point, entry_x: float) -> None:
        """Fingers around `tip`, the palm just below it, and the arm down to the lower edge."""
        side = min(self.width, self.height)
        palm = (tip[0] + 0.02 * (entry_x - tip[0]), tip[1] + 0.125)
        elbow = (entry_x, 1.3)
        cv2.line(image, self._pixel(palm), self._pixel(elbow), self._sleeve, round(0.13 * side), cv2.LINE_AA, _SHIFT)
        wrist = (palm[0] + 0.25 * (elbow[0] - palm[0]), palm[1] + 0.25 * (elbow[1] - palm[1]))
        cv2.line(image, self._pixel(palm), self._pixel(wrist), self._skin, round(0.11 * side), cv2.LINE_AA, _SHIFT)
        cv2.circle(image, self._pixel(palm), round(0.075 * side * (1 << _SHIFT)), self._skin, -1, cv2.LINE_AA, _SHIFT)
        for dx in (-0.085, 0.085):
            finger = (tip[0] + dx, tip[1] - 0.01)
            knuckle = (palm[0] + dx * 0.7, palm[1])
            width = round(0.036 * side)
            cv2.line(image, self._pixel(knuckle), self._pixel(finger), self._skin, width, cv2.LINE_AA, _SHIFT)

    def _blurred(self, image: Image, speed: NDArray[np.float64]) -> Image:
        """Motion blur: a box as long as the head's motion during a 1/30 s exposure, but at least the lens's own
        softness."""
        box = np.maximum(np.round(np.abs(speed) / 30 * (self.width, self.height)).astype(int), 1)
        return image if box.max() == 1 else _image(cv2.blur(image, (int(box[0]), int(box[1]))))

    def _lit(self, image: Image, seconds: float) -> Image:
        gain = self._gain * (1 + float(self._light.at(seconds)[0]))
        table = np.clip(np.arange(256)[:, None] * (gain * self._tint), 0, 255).round().astype(np.uint8)
        return _image(cv2.LUT(image, table[None]))


class _Wobble:
    """Smooth motion in `axes` dimensions: slow swings plus a fast tremble, as sums of sines with random phases."""

    def __init__(self, rng: np.random.Generator, axes: int, slow: float, fast: float) -> None:
        self._amplitude = np.concatenate(
            [rng.uniform(0.3, 1, (3, axes)) * slow / 2, rng.uniform(0.3, 1, (2, axes)) * fast]
        )
        rates = np.concatenate([rng.uniform(0.05, 0.45, (3, axes)), rng.uniform(1.5, 4.0, (2, axes))])
        self._omega = 2 * np.pi * rates
        self._phase = rng.uniform(0, 2 * np.pi, (5, axes))

    def at(self, seconds: float) -> NDArray[np.float64]:
        value: NDArray[np.float64] = (self._amplitude * np.sin(self._omega * seconds + self._phase)).sum(0)
        return value

    def speed(self, seconds: float) -> NDArray[np.float64]:
        value: NDArray[np.float64] = (self._amplitude * self._omega * np.cos(self._omega * seconds + self._phase)).sum(
            0
        )
        return value


def _corners(shape: str) -> NDArray[np.float64]:
    if shape == "block":
        return np.array([(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)])
    if shape == "bar":
        return np.array([(-1.2, -0.62), (1.2, -0.62), (1.2, 0.62), (-1.2, 0.62)])
    turn = np.linspace(0, 2 * np.pi, 6 if shape == "plate" else 20, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


_CORNERS = {shape: _corners(shape) for shape in ("block", "ball", "plate", "bar")}


def _texture(rng: np.random.Generator, width: int, height: int, colour: tuple[int, int, int]) -> Image:
    """A table top with soft grain, larger than the picture by the head's reach: uint8 [H, W, 3]."""
    full = (round(width * (1 + 2 * _MARGIN)), round(height * (1 + 2 * _MARGIN)))
    coarse = rng.normal(0, 1, (7, 9)).astype(np.float32)
    grain = rng.normal(0, 1, (48, 6)).astype(np.float32)
    field = cv2.resize(coarse, full, interpolation=cv2.INTER_CUBIC) * 7
    field = field + cv2.resize(grain, full, interpolation=cv2.INTER_CUBIC) * 4
    return np.clip(np.asarray(colour, np.float32) + field[:, :, None], 0, 255).round().astype(np.uint8)


def _lay_mats(table: Image, width: int, height: int) -> None:
    """Mats at the four sides of the table, each with its own tone, so that "left" or "far" looks the same in every
    clip."""
    x0, y0 = _MARGIN * width, _MARGIN * height
    for (left, top, right, bottom), tone in _MATS:
        corner = (round(x0 + left * width), round(y0 + top * height))
        opposite = (round(x0 + right * width), round(y0 + bottom * height))
        cv2.rectangle(table, corner, opposite, tone, -1)


def _pick(rng: np.random.Generator, colours: tuple[tuple[int, int, int], ...]) -> tuple[int, int, int]:
    return colours[int(rng.integers(len(colours)))]


def _moved(point: Point, shift: NDArray[np.float64]) -> Point:
    return point[0] + float(shift[0]), point[1] + float(shift[1])


def _fill(image: Image, outline: NDArray[np.int32], colour: tuple[int, ...]) -> None:
    cv2.fillConvexPoly(image, outline, colour, cv2.LINE_AA, _SHIFT)


def _image(array: Any) -> Image:
    return np.asarray(array, dtype=np.uint8)
