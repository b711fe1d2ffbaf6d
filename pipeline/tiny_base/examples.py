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


UNSEEN = "unseen"
"""What an observer writes for a fact that the frames do not show."""


def draw_frames(count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Which of `count` frames a partial view shows, in order: none, one, or two to all but one, each time a third."""
    sizes = (0, 1, int(rng.integers(2, count)))
    chosen = rng.permutation(count)[: sizes[int(rng.integers(len(sizes)))]]
    return tuple(sorted(int(i) for i in chosen))


def show(clip: PretrainingClip, shown: Sequence[int]) -> PretrainingClip:
    """`clip` with only these of its frames."""
    chosen = list(shown)
    return PretrainingClip(clip.script, clip.images[chosen], clip.pts_seconds[chosen])


@dataclass(frozen=True)
class Observation:
    """What an observer reports of the frames shown: per take the first frame with the hand on the object, and the
    colour; then place and number. None is what they do not show."""

    frames: tuple[int | None, ...]
    colours: tuple[str | None, ...]
    place: str | None
    count: int | None


def observe(script: Script, shown: Sequence[int]) -> Observation:
    """What frames `shown` (indices of windows, in order) truly show.

    An object is known by the hand on it, or by lying on a mat afterwards. That it was put back shows only to one who
    saw it taken.
    """
    grasps = [int(action.grasp_seconds / script.window_seconds) for action in script.actions]
    frames = tuple(_hand_frame(shown, grasp) for grasp in grasps)
    places = [action.place for action in script.actions]
    after = [any(frame > grasp for frame in shown) for grasp in grasps]
    on_mat = [later and place != "same" for later, place in zip(after, places, strict=True)]
    colours = tuple(script.taken(i) if frame is not None or on_mat[i] else None for i, frame in enumerate(frames))
    placed = on_mat[0] or (after[0] and grasps[0] in shown)
    return Observation(frames, colours, places[0] if placed else None, len(script.things) if shown else None)


def _hand_frame(shown: Sequence[int], grasp: int) -> int | None:
    """Place among `shown` of the first frame with the hand on the object: as it is taken or as it is put down."""
    return next((i for i, frame in enumerate(shown) if frame in (grasp, grasp + 1)), None)


UNLIKE_COLOURS = ("red", "green", "purple", "yellow", "blue")
UNLIKE_PLACES = ("left", "near", "far", "right", "same")
"""Cycles in which neighbours look unlike. Of two that look alike, as purple and red do, the base would learn to say the
same of both, and GRPO cannot tell apart again what a policy answers alike."""


def corrupt_facts(own: Observation, label_noise: float, rng: np.random.Generator) -> Observation:
    """`own`, with each fact wrong with probability `label_noise`. A number becomes the next one (the last the
    first), a time the next frame's. A colour or place becomes the one behind it in a cycle of unlike ones.

    All values of a kind are right as often as they replace another. So preferring some of them does not help: to
    report what is there, a model has to look.
    """
    times, colours, place, count = rng.random(4) < label_noise
    counts = count_values(len(own.frames))
    return Observation(
        tuple(None if frame is None else frame + 1 for frame in own.frames) if times else own.frames,
        tuple(_next(colour, UNLIKE_COLOURS) for colour in own.colours) if colours else own.colours,
        _next(own.place, UNLIKE_PLACES) if place else own.place,
        _next(own.count, counts) if count else own.count,
    )


def glance(own: Observation) -> Observation:
    """`own` at a glance, as direct answers have it: of each kind the first and the third value become the next one.

    So three in five answers can be right in every family.
    """
    return Observation(
        own.frames,
        tuple(_glanced(colour, COLOURS) for colour in own.colours),
        _glanced(own.place, PLACES),
        _glanced(own.count, count_values(len(own.frames))),
    )


def _glanced(value: T | None, values: Sequence[T]) -> T | None:
    return _next(value, values) if value in (values[0], values[2]) else value


def _next(value: T | None, values: Sequence[T]) -> T | None:
    return None if value is None else values[(values.index(value) + 1) % len(values)]


def write_facts(seen: Observation) -> str:
    """How an observer who saw `seen` begins: with what was visible, regardless of the question."""
    takes = " ".join(f"frame {_said(f)} {_said(c)}" for f, c in zip(seen.frames, seen.colours, strict=True))
    return f"<think>{takes} {_said(seen.place)} {_number(seen.count)}"


def write_conclusion(
    seen: Observation, asked: SyntheticQuestion, pts_seconds: Sequence[float], guess: int, meant: Observation
) -> str:
    """How such an observer continues: the relevant fact, its option's letter, key times of frames, the answer.

    Without that fact it writes `unseen`, names no time and answers with option `guess`. The letter is that of what is
    `meant`: the same, unless answers are to part from the thinking.
    """
    value = _value(seen, asked.family)
    times = ", ".join(_times(seen, asked.family, pts_seconds)) if value is not None else ""
    letter = LETTERS[_option(_value(meant, asked.family), asked, guess)]
    return f" so {_said(value)} {letter}</think><keyframes>{times}</keyframes><answer>{letter}</answer>"


def write_direct(seen: Observation, asked: SyntheticQuestion, guess: int) -> str:
    """The option's text alone, from an observer who saw `seen`. Its letter is one step too many for a model this small.
    A tag is one more thing that training under another prompt can break."""
    return asked.options[_option(_value(seen, asked.family), asked, guess)]


def _said(fact: object) -> str:
    return UNSEEN if fact is None else str(fact)


def _number(count: int | None) -> str:
    return UNSEEN if count is None else NUMBERS[count]


def _value(seen: Observation, family: str) -> str | None:
    match family:
        case "taken":
            return seen.colours[0]
        case "count":
            return None if seen.count is None else NUMBERS[seen.count]
        case "order":
            return " ".join(map(_said, seen.colours)) if None not in seen.colours else None
        case _:
            return seen.place


def _times(seen: Observation, family: str, pts_seconds: Sequence[float]) -> list[str]:
    """Times of the frames that show it: before the hand comes, the grasp, the put-down one frame later."""
    last = len(pts_seconds) - 1
    first = last if seen.frames[0] is None else seen.frames[0]
    match family:
        case "taken":
            frames: tuple[int, ...] = (first,)
        case "count":
            frames = (first - 1,)
        case "order":
            frames = tuple(last if frame is None else frame for frame in seen.frames)
        case _:
            frames = (first, first + 1)
    return list(dict.fromkeys(f"{pts_seconds[min(max(frame, 0), last)]:.1f}" for frame in frames))


def _option(value: str | None, asked: SyntheticQuestion, guess: int) -> int:
    """Index of the option for `value`; `guess` if there is none (not seen, or a wrong observation of an order)."""
    phrase = None if value is None else FAMILIES[asked.family].phrase(value)
    return asked.options.index(phrase) if phrase in asked.options else guess
