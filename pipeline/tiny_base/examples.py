"""What the tiny base is trained on: its own clips, questions about them, and what a good observer would write.

These clips never occur in a dataset: their split is "pretrain", which enters every random number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.frames.sampling import uniform_times
from pipeline.records import LETTERS
from pipeline.synthetic.families import FAMILIES, NUMBERS, OPTIONS, SyntheticQuestion, ask_at
from pipeline.synthetic.render import Renderer
from pipeline.synthetic.world import COLOURS, PLACES, Script, WorldSettings, count_values, make_script

T = TypeVar("T")


@dataclass(frozen=True)
class PretrainingClip:
    """A rendered clip: `images` uint8 [T, H, W, 3], `pts_seconds` float64 [T], and what happens in it."""

    script: Script
    images: NDArray[np.uint8]
    pts_seconds: NDArray[np.float64]


def render_clip(seed: int, index: int, settings: WorldSettings, frames: int, pixels: int) -> PretrainingClip:
    """Pretraining clip `index`: `frames` uniform frames, rendered at twice `pixels` x `pixels` and averaged down."""
    script = make_script(seed, f"pretrain_{index}", "pretrain", index, settings)
    renderer = Renderer(script, 2 * pixels, 2 * pixels, seed)
    times = uniform_times(0.0, script.duration_seconds, frames)
    size = (pixels, pixels)
    images = [cv2.resize(renderer.draw(float(t)), size, interpolation=cv2.INTER_AREA) for t in times]
    return PretrainingClip(script, np.stack(images).astype(np.uint8), times)


def draw_question(clip: PretrainingClip, families: Sequence[str], rng: np.random.Generator) -> SyntheticQuestion:
    """A question about a clip, with random family and letter."""
    family = families[int(rng.integers(len(families)))]
    return ask_at(clip.script, family, int(rng.integers(OPTIONS)), rng)


@dataclass(frozen=True)
class Observation:
    """What an observer says about a clip: per take the window of the grasp and the colour, then place and number."""

    windows: tuple[int, ...]
    colours: tuple[str, ...]
    place: str
    count: int


def observe(script: Script) -> Observation:
    """What truly happens."""
    windows = tuple(int(action.grasp_seconds / script.window_seconds) for action in script.actions)
    colours = tuple(script.taken(i) for i in range(len(script.actions)))
    return Observation(windows, colours, script.actions[0].place, len(script.things))


def corrupt_facts(own: Observation, label_noise: float, rng: np.random.Generator) -> Observation:
    """`own`, with each fact wrong with probability `label_noise`: a value becomes the next one of its kind (the last
    becomes the first), a time the next frame's.

    All values of a kind are right as often as they replace another. So preferring some of them does not help: to
    report what is there, a model has to look.
    """
    times, colours, place, count = rng.random(4) < label_noise
    counts = count_values(len(own.windows))
    return Observation(
        tuple(window + 1 for window in own.windows) if times else own.windows,
        tuple(_next(colour, COLOURS) for colour in own.colours) if colours else own.colours,
        _next(own.place, PLACES) if place else own.place,
        _next(own.count, counts) if count else own.count,
    )


def _next(value: T, values: Sequence[T]) -> T:
    return values[(values.index(value) + 1) % len(values)]


def write_facts(seen: Observation) -> str:
    """How an observer who saw `seen` begins: with what was visible, regardless of the question."""
    takes = " ".join(f"frame {w} {c}" for w, c in zip(seen.windows, seen.colours, strict=True))
    return f"<think>{takes} {seen.place} {NUMBERS[seen.count]}"


def write_conclusion(seen: Observation, asked: SyntheticQuestion, pts_seconds: Sequence[float]) -> str:
    """How such an observer continues: the relevant fact, its option's letter, key times of frames, the answer."""
    value = _value(seen, asked.family)
    times = ", ".join(_time(pts_seconds, w) for w in _key_windows(seen, asked.family))
    letter = LETTERS[_option(value, asked)]
    return f" so {value} {letter}</think><keyframes>{times}</keyframes><answer>{letter}</answer>"


def write_direct(seen: Observation, asked: SyntheticQuestion) -> str:
    """The letter alone, of an observer who saw `seen`."""
    return f"<answer>{LETTERS[_option(_value(seen, asked.family), asked)]}</answer>"


def _time(pts_seconds: Sequence[float], window: int) -> str:
    return f"{pts_seconds[min(max(window, 0), len(pts_seconds) - 1)]:.1f}"


def _value(seen: Observation, family: str) -> str:
    match family:
        case "taken":
            return seen.colours[0]
        case "count":
            return NUMBERS[seen.count]
        case "order":
            return " ".join(seen.colours)
        case _:
            return seen.place


def _key_windows(seen: Observation, family: str) -> tuple[int, ...]:
    """Windows whose frames show it: before the hand comes, the grasp, the put-down one window later."""
    match family:
        case "taken":
            return seen.windows[:1]
        case "count":
            return (seen.windows[0] - 1,)
        case "order":
            return seen.windows
        case _:
            return (seen.windows[0], seen.windows[0] + 1)


def _option(value: str, asked: SyntheticQuestion) -> int:
    """Index of the option for `value`; the first if there is none (a wrong observation of an order)."""
    phrase = FAMILIES[asked.family].phrase(value)
    return asked.options.index(phrase) if phrase in asked.options else 0
