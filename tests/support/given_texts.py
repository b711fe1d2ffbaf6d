"""Training on given completions instead of sampled ones: rewards differ, and a batch is what a test needs."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pipeline.grpo.trainer import VideoGRPOTrainer
from pipeline.models.generate import Completion, make_completion

Write = Callable[[VideoGRPOTrainer, Any, int], str]


def texts_for(write: Write) -> Callable[..., Any]:
    """A rollout of given texts: `write(trainer, sample, g)` is the g-th completion of a sample, "" none at all."""

    class Given:
        def __init__(self, training: Any) -> None:
            self.training = training

        def complete(self, samples: Sequence[Any], frames: Any, seeds: Any) -> list[list[Completion]]:
            return [[self._one(s, g) for g in range(4)] for s in samples]

        def _one(self, sample: Any, g: int) -> Completion:
            ids = self.training.policy.tokenizer(write(self.training, sample, g), add_special_tokens=False)["input_ids"]
            return make_completion(self.training.policy, ids)

    return Given


def with_rollout(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    real = VideoGRPOTrainer.__init__

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **{**kwargs, "rollout": texts_for(write)})

    monkeypatch.setattr(VideoGRPOTrainer, "__init__", start)


ANSWER = "<think> red </think> <keyframes> 0 . 5 </keyframes> <answer> {} </answer> <|im_end|>"


def right(_: Any, sample: Any, g: int) -> str:
    return ANSWER.format("ABCDE"[sample.answer])


def wrong(_: Any, sample: Any, g: int) -> str:
    return ANSWER.format("ABCDE"[(sample.answer + 1) % 5])


def half_right(_: Any, sample: Any, g: int) -> str:
    return [right, wrong][g % 2](_, sample, g)
