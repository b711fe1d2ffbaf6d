"""What training knows about a question: its prompt, its clip and what a right answer is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.errors import ItemError
from pipeline.mcq.keyframes import frame_spacing
from pipeline.mcq.prompts import build_messages, fill
from pipeline.params import RewardSettings
from pipeline.records import LETTERS, Keyframe, Question


class Frames(Protocol):
    """Frames of a clip: `images` uint8 [T, H, W, 3], `pts_seconds` float64 [T] from the start of the video file."""

    @property
    def images(self) -> Any: ...

    @property
    def pts_seconds(self) -> Any: ...


class FrameSource(Protocol):
    """Where frames come from: the frame store."""

    def load(self, clip_id: str) -> Frames:
        """Frames of one clip."""
        ...


@dataclass(frozen=True)
class Sample:
    """One training question. `messages` name the clip by id, never hold frames; `key_seconds` are the times a right
    answer names, from the start of the clip (empty where nothing is known); `sigma_seconds` is the width of a hit."""

    question_id: str
    clip_id: str
    family: str
    messages: list[dict[str, Any]]
    options: tuple[str, ...]
    answer: int
    key_seconds: tuple[float, ...]
    sigma_seconds: float


def build_sample(
    question: Question, pts_seconds: Sequence[float], mined: Sequence[Keyframe], template: str, settings: RewardSettings
) -> Sample:
    """A sample from a question, the times of its clip's frames and its clip's mined candidates.

    Key times are the question's own where its source has them, else the best mined ones.

    Raises:
        ItemError: the question has no public answer, or its clip fewer than two frames.
    """
    if question.answer is None:
        raise ItemError("no_answer", question.question_id)
    if len(pts_seconds) < 2:
        raise ItemError("too_few_frames", f"{question.question_id}: {len(pts_seconds)}")
    start, end = question.start_seconds, question.end_seconds
    text = fill(template, question.question, question.options, pts_seconds, start, end)
    return Sample(
        question_id=question.question_id,
        clip_id=question.clip_id,
        family=question.family,
        messages=build_messages(text, question.clip_id),
        options=question.options,
        answer=question.answer,
        key_seconds=_key_seconds(question, mined, settings),
        sigma_seconds=settings.keyframe_sigma_spacings * frame_spacing(pts_seconds),
    )


def _key_seconds(question: Question, mined: Sequence[Keyframe], settings: RewardSettings) -> tuple[float, ...]:
    if question.keyframe_seconds is not None:
        times: Iterable[float] = question.keyframe_seconds
    else:
        times = [k.pts_seconds for k in mined if k.rank < settings.mined_targets]
    known = tuple(sorted(max(0.0, t - question.start_seconds) for t in times))
    return known if settings.keyframe_targets == "known" else _anywhere(question, len(known))


def _anywhere(question: Question, count: int) -> tuple[float, ...]:
    """`count` times drawn evenly from the clip by the question's id: targets that looking cannot find."""
    draw = np.random.default_rng(list(f"random key times|{question.question_id}".encode()))
    return tuple(sorted(draw.uniform(0.0, question.end_seconds - question.start_seconds, count).tolist()))


def gold_completion(sample: Sample) -> str:
    """A completion that deserves every reward."""
    times = ", ".join(f"{t:.3f}" for t in sample.key_seconds)
    keyframes = f"<keyframes>{times}</keyframes>" if times else ""
    return f"<think>The frames show it.</think>{keyframes}<answer>{LETTERS[sample.answer]}</answer>"


def group_by_clip(keyframes: Iterable[Keyframe]) -> Mapping[str, list[Keyframe]]:
    """Mined candidates of each clip, best first."""
    by_clip: dict[str, list[Keyframe]] = {}
    for keyframe in keyframes:
        by_clip.setdefault(keyframe.clip_id, []).append(keyframe)
    return {clip: sorted(rows, key=lambda k: (k.rank, k.pts_seconds)) for clip, rows in by_clip.items()}
