"""What happens in a synthetic clip: a table, objects, and a hand that takes one, moves it and puts it down.

Pure data: no pixels here. Lengths are fractions of the picture's side (0 left/top, 1 right/bottom), times are seconds.
A clip is divided into `WINDOWS` equal windows. Every grasp and every put-down lasts across the middle of its own
window, so that `WINDOWS` uniform frames (window midpoints) show each of them once, at any clip length.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from pipeline.synthetic.seeds import balanced, stream

COLOURS = ("red", "green", "blue", "yellow", "purple")
SHAPES = ("block", "ball", "plate", "bar")
PLACES = ("left", "right", "far", "near", "same")
WINDOWS = 6
COUNTS = 5  # different numbers of objects in clips with the same number of actions
LENGTH_STEP_SECONDS = 1.2  # puts the midpoints of six windows on whole frames at 5, 10, 20 ... frames per second

_SLOTS = tuple((x, y) for y in (0.38, 0.63) for x in (0.27, 0.5, 0.73))
_TARGETS = {"left": (0.1, 0.5), "right": (0.9, 0.5), "far": (0.5, 0.12), "near": (0.5, 0.87)}
_TARGET_JITTER = {"left": (0.02, 0.14), "right": (0.02, 0.14), "far": (0.18, 0.02), "near": (0.18, 0.02)}
_STARTS = {1: ((1,), (2,), (3,)), 2: ((0, 2), (0, 3), (1, 3))}  # windows in which the grasps happen
_DWELL = 0.3  # of a window: how long the hand rests before and after a grasp or a put-down
_REACH = 0.45  # of a window: how long the hand takes from the lower edge to an object

Point = tuple[float, float]
Split = Literal["train", "dev", "test", "pretrain"]


@dataclass(frozen=True)
class WorldSettings:
    """What decides the clips: length range in seconds, and how many objects are taken per clip (1 or 2)."""

    seconds_min: float
    seconds_max: float
    actions: int


@dataclass(frozen=True)
class Thing:
    """An object on the table: its position at the start, and its radius as a fraction of the picture."""

    colour: str
    shape: str
    position: Point
    radius: float
    angle: float


@dataclass(frozen=True)
class Action:
    """The hand takes `things[thing]` at `grasp_seconds` and puts it down at `target` (`place`) at `put_seconds`. It
    enters the view at `enter_seconds` and has left it at `leave_seconds`."""

    thing: int
    place: str
    target: Point
    enter_seconds: float
    grasp_seconds: float
    put_seconds: float
    leave_seconds: float


@dataclass(frozen=True)
class Script:
    """Everything that happens in one clip. `window` is the index of the window of the first grasp."""

    video_id: str
    split: Split
    index: int
    duration_seconds: float
    window: int
    things: tuple[Thing, ...]
    actions: tuple[Action, ...]

    @property
    def window_seconds(self) -> float:
        """Length of one window."""
        return self.duration_seconds / WINDOWS

    def taken(self, action: int = 0) -> str:
        """Colour of the object taken by an action."""
        return self.things[self.actions[action].thing].colour


def count_values(actions: int) -> range:
    """Numbers of objects that a clip with this many actions can show; all are equally frequent."""
    return range(actions, actions + COUNTS)


def make_script(seed: int, video_id: str, split: Split, index: int, settings: WorldSettings) -> Script:
    """The script of clip `index` of a split; it depends only on the arguments.

    What questions ask about (colour taken, place, number of objects) is balanced over the split, and the three are
    independent of each other. Everything else is random.
    """
    rng = stream(seed, video_id, "script")
    duration = _duration(rng, settings)
    count = count_values(settings.actions)[balanced(seed, index, COUNTS, split, "count")]
    first = balanced(seed, index, len(COLOURS), split, "colour")
    place = PLACES[balanced(seed, index, len(PLACES), split, "place")]
    things = _things(rng, count, first, settings.actions)
    places = [place] + [str(rng.choice(PLACES[:-1])) for _ in range(settings.actions - 1)]
    starts = _STARTS[settings.actions]
    windows = starts[int(rng.integers(len(starts)))]
    actions = tuple(
        _action(rng, i, things[i], where, window, duration / WINDOWS)
        for i, (where, window) in enumerate(zip(places, windows, strict=True))
    )
    return Script(video_id, split, index, duration, windows[0], things, actions)


def _duration(rng: np.random.Generator, settings: WorldSettings) -> float:
    low = round(settings.seconds_min / LENGTH_STEP_SECONDS)
    high = max(low, round(settings.seconds_max / LENGTH_STEP_SECONDS))
    return round(int(rng.integers(low, high + 1)) * LENGTH_STEP_SECONDS, 3)


def _things(rng: np.random.Generator, count: int, first_colour: int, actions: int) -> tuple[Thing, ...]:
    """`count` objects in different slots; those taken come first, and no other object shares their colour."""
    others = [c for i, c in enumerate(COLOURS) if i != first_colour]
    order = [others[i] for i in rng.permutation(len(others))]
    pool = order[actions - 1 :]
    colours = [COLOURS[first_colour], *order[: actions - 1], *pool, *pool][:count]
    slots = rng.permutation(len(_SLOTS))[:count]
    return tuple(_thing(rng, colour, _SLOTS[slot]) for colour, slot in zip(colours, slots, strict=True))


def _thing(rng: np.random.Generator, colour: str, slot: Point) -> Thing:
    dx, dy = rng.uniform(-0.025, 0.025, 2)
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    position = (slot[0] + float(dx), slot[1] + float(dy))
    return Thing(colour, shape, position, float(rng.uniform(0.08, 0.095)), float(rng.uniform(0, 180)))


def _action(
    rng: np.random.Generator, index: int, thing: Thing, place: str, window: int, window_seconds: float
) -> Action:
    early, late = rng.uniform(-0.15, 0.15, 2)
    grasp, put = window + 0.5 + float(early), window + 1.5 + float(late)
    dx, dy = rng.uniform(-1, 1, 2)
    if place == "same":
        target = thing.position
    else:
        (x, y), (jx, jy) = _TARGETS[place], _TARGET_JITTER[place]
        target = (x + jx * float(dx), y + jy * float(dy))
    times = (grasp - _DWELL - _REACH, grasp, put, put + _DWELL + _REACH)
    enter, grasp, put, leave = (round(max(t, 0.0) * window_seconds, 3) for t in times)
    return Action(index, place, target, enter, grasp, put, leave)


def hand_position(action: Action, origin: Point, entry_x: float, seconds: float, window_seconds: float) -> Point | None:
    """Position of the fingertips; None while the hand is out of view. `origin` is the object's first position."""
    dwell = _DWELL * window_seconds
    edge = (entry_x, 1.15)
    knots: list[tuple[float, Point]] = [
        (action.grasp_seconds - dwell - _REACH * window_seconds, edge),
        (action.grasp_seconds - dwell, origin),
        (action.grasp_seconds + dwell, origin),
        (action.put_seconds - dwell, action.target),
        (action.put_seconds + dwell, action.target),
        (action.put_seconds + dwell + _REACH * window_seconds, edge),
    ]
    return _follow(knots, seconds)


def thing_position(script: Script, thing: int, seconds: float) -> Point:
    """Position of an object: at rest, then carried with the fingertips, then at rest again."""
    position = script.things[thing].position
    for action in script.actions:
        if action.thing != thing or seconds <= action.grasp_seconds:
            continue
        dwell = _DWELL * script.window_seconds
        knots = [(action.grasp_seconds + dwell, position), (action.put_seconds - dwell, action.target)]
        position = _follow(knots, min(max(seconds, knots[0][0]), knots[1][0])) or position
    return position


def _follow(knots: list[tuple[float, Point]], seconds: float) -> Point | None:
    """Position on a path with rests, eased in and out between knots; None outside the path."""
    for (t0, (x0, y0)), (t1, (x1, y1)) in pairwise(knots):
        if t0 <= seconds <= t1:
            part = (seconds - t0) / (t1 - t0)
            eased = part * part * (3 - 2 * part)
            return x0 + (x1 - x0) * eased, y0 + (y1 - y0) * eased
    return None
