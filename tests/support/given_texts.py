"""Training on given completions instead of sampled ones: rewards differ, and a batch is what a test needs."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pipeline.grpo.trainer import VideoGRPOTrainer
from pipeline.models.generate import Completion, make_completion

Write = Callable[[VideoGRPOTrainer, Any, int], str]


def with_rollout(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """Trainers roll out given texts: `write(trainer, sample, g)` is the g-th completion of a sample, "" none at all."""

    def one(trainer: VideoGRPOTrainer, sample: Any, g: int) -> Completion:
        ids = trainer.policy.tokenizer(write(trainer, sample, g), add_special_tokens=False)["input_ids"]
        return make_completion(trainer.policy, ids)

    def roll(self: VideoGRPOTrainer, _: Any, samples: Sequence[Any], shuffled: bool = False) -> list[list[Completion]]:
        return [[one(self, sample, g) for g in range(4)] for sample in samples]

    monkeypatch.setattr(VideoGRPOTrainer, "_roll", roll)


ANSWER = "<think> red </think> <keyframes> 0 . 5 </keyframes> <answer> {} </answer> <|im_end|>"


def right(_: Any, sample: Any, g: int) -> str:
    return ANSWER.format("ABCDE"[sample.answer])


def wrong(_: Any, sample: Any, g: int) -> str:
    return ANSWER.format("ABCDE"[(sample.answer + 1) % 5])


def half_right(_: Any, sample: Any, g: int) -> str:
    return [right, wrong][g % 2](_, sample, g)
