"""What training knows about a question: its prompt, its clip and its right answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from pipeline.answers.keyframes import Target, frame_spacing
from pipeline.answers.prompts import build_messages, fill, format_options
from pipeline.errors import ItemError
from pipeline.models.clip_frames import ClipFrames
from pipeline.records import LETTERS, Keyframe, Question
from pipeline.train_params import RewardSettings


class FrameSource(Protocol):
    """The source of frames: the frame store."""

    def load(self, clip_id: str) -> ClipFrames:
        """Frames of one clip."""
        ...


@dataclass(frozen=True)
class Sample:
    """One training question. `messages` name the clip by id and never contain frames. `key_seconds` are the times
    that a right answer names, from the start of the clip (empty if unknown). They are scored against `key_targets`:
    the same instants if the source knows them, else the mined events (start, end) around them. `sigma_seconds` is
    the width of a hit."""

    question_id: str
    clip_id: str
    family: str
    messages: list[dict[str, Any]]
    options: tuple[str, ...]
    answer: int
    key_seconds: tuple[float, ...]
    key_targets: tuple[Target, ...]
    sigma_seconds: float


def build_sample(
    question: Question, pts_seconds: Sequence[float], mined: Sequence[Keyframe], template: str, settings: RewardSettings
) -> Sample:
    """A sample from a question, the times of its clip's frames and its clip's mined candidates.

    Key times are the question's own if its source has them, else the best mined ones.

    Raises:
        ItemError: the question has no public answer, or its clip fewer than two frames.
    """
    if question.answer is None:
        raise ItemError("no_answer", question.question_id)
    if len(pts_seconds) < 2:
        raise ItemError("too_few_frames", f"{question.question_id}: {len(pts_seconds)}")
    start, end = question.start_seconds, question.end_seconds
    text = fill(template, question.question, question.options, pts_seconds, start, end)
    seconds, targets = _key_times(question, mined, settings)
    return Sample(
        question_id=question.question_id,
        clip_id=question.clip_id,
        family=question.family,
        messages=build_messages(text, question.clip_id, start),
        options=question.options,
        answer=question.answer,
        key_seconds=tuple(seconds),
        key_targets=tuple(targets),
        sigma_seconds=settings.keyframe_sigma_spacings * frame_spacing(pts_seconds),
    )


def _key_times(
    question: Question, mined: Sequence[Keyframe], settings: RewardSettings
) -> tuple[Sequence[float], Sequence[Target]]:
    """Key times from the start of the clip, in order of time, and the targets they are scored against."""

    def own(seconds: float) -> float:
        return max(0.0, seconds - question.start_seconds)

    if question.keyframe_seconds is not None and settings.keyframe_targets != "mined":
        known = sorted(own(t) for t in question.keyframe_seconds)
        targets: Sequence[Target] = known
    else:
        best = sorted(_best_of_each_event(mined)[: settings.mined_targets], key=lambda k: k.pts_seconds)
        targets = spans = [(own(k.event_start_seconds or 0.0), own(k.event_end_seconds or 0.0)) for k in best]
        known = [min(max(own(k.pts_seconds), start), end) for k, (start, end) in zip(best, spans, strict=True)]
    if settings.keyframe_targets == "random":
        known = targets = _anywhere(question, len(known))
    return known, targets


def _best_of_each_event(mined: Sequence[Keyframe]) -> list[Keyframe]:
    """The best candidate of each event, best first. Candidates outside events only cover the clip and are not
    targets."""
    best: dict[int, Keyframe] = {}
    for keyframe in sorted(mined, key=lambda k: k.rank):
        if keyframe.event >= 0:
            best.setdefault(keyframe.event, keyframe)
    return list(best.values())


def _anywhere(question: Question, count: int) -> list[float]:
    """`count` uniform random times of the clip, by the question's id: targets that cannot be found by looking."""
    draw = np.random.default_rng(list(f"random key times|{question.question_id}".encode()))
    return sorted(draw.uniform(0.0, question.end_seconds - question.start_seconds, count).tolist())


def reordered(sample: Sample, order: Sequence[int]) -> Sample:
    """The same question with option `order[i]` at letter i.

    Raises:
        ValueError: the prompt does not list the options as `format_options` writes them.
    """
    options = tuple(sample.options[i] for i in order)
    before, after = format_options(sample.options), format_options(options)
    *rest, last = sample.messages[-1]["content"]
    if before not in last["text"]:
        raise ValueError(f"{sample.question_id}: the prompt does not list its options: use {{options}} in it")
    content = [*rest, {**last, "text": last["text"].replace(before, after)}]
    messages = [*sample.messages[:-1], {**sample.messages[-1], "content": content}]
    return replace(sample, messages=messages, options=options, answer=list(order).index(sample.answer))


def gold_completion(sample: Sample) -> str:
    """A completion that earns every reward."""
    times = ", ".join(f"{t:.3f}" for t in sample.key_seconds)
    keyframes = f"<keyframes>{times}</keyframes>" if times else ""
    return f"<think>The frames show it.</think>{keyframes}<answer>{LETTERS[sample.answer]}</answer>"


def group_by_clip(keyframes: Iterable[Keyframe]) -> Mapping[str, list[Keyframe]]:
    """Mined candidates of each clip, best first."""
    by_clip: dict[str, list[Keyframe]] = {}
    for keyframe in keyframes:
        by_clip.setdefault(keyframe.clip_id, []).append(keyframe)
    return {clip: sorted(rows, key=lambda k: (k.rank, k.pts_seconds)) for clip, rows in by_clip.items()}
