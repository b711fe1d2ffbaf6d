"""Completions from an engine: it gets the new weights before each rollout, its answers carry their version."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pipeline.engine.engine import Engine
from pipeline.engine.equality import check_equality
from pipeline.engine.options import engine_options
from pipeline.engine.weights import write_weights
from pipeline.errors import StageError
from pipeline.grpo.samples import Sample
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.generate import Completion
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.params import Params
from pipeline.train_params import TrainGrpo


class EngineRollout:
    """One engine per training process, on that process's own device."""

    def __init__(self, engine: Engine, settings: TrainGrpo) -> None:
        self.engine, self.settings = engine, settings
        self.weights = engine.options.room / f"weights-{os.environ.get('LOCAL_RANK', '0')}"
        self._unchecked = False

    def update(self, policy: Policy, step: int) -> None:
        """The weights as of `step` go to the engine, if it has not got them."""
        if self.engine.version == str(step):
            return
        write_weights(policy, self.weights, getattr(torch, self.engine.options.dtype))
        self.engine.load(self.weights, str(step))
        self._unchecked = True

    def complete(
        self, policy: Policy, samples: Sequence[Sample], frames: Sequence[ClipFrames], seeds: Sequence[str]
    ) -> list[list[Completion]]:
        """G completions of each sample; `seeds` is one string per sample. After each change of weights the engine is
        held to `policy` on the first sample."""
        clips = {s.clip_id: f for s, f in zip(samples, frames, strict=True)}
        if self._unchecked:
            check_equality(self.engine, policy, samples[0].messages, clips)
            self._unchecked = False
        settings = self.settings
        sampling = Sampling(settings.max_completion_length, settings.temperature, settings.top_p)
        prompts = [s.messages for s in samples]
        return self.engine.complete(policy, prompts, clips, sampling, settings.num_generations, seeds)


@contextmanager
def open_rollout(params: Params, room: Path) -> Iterator[EngineRollout | None]:
    """What `train_grpo.rollout` asks for; None: the policy itself. Its engine ends with the block."""
    settings = params.train_grpo
    if settings.rollout == "transformers":
        yield None
        return
    with Engine(engine_options(params.machine, settings.dtype, settings.threads, room)) as engine:
        yield EngineRollout(engine, settings)


MOST_DRIFT = 0.5  # nats per token, on average over a batch: far beyond what another precision explains


def check_ratios(batch: dict[str, Any], step: int) -> dict[str, float]:
    """Mean and spread of the importance ratios of a batch's tokens, before TRL cuts them: the probability of each token
    under the policy over that under the engine.

    Raises:
        StageError: the log ratio is beyond `MOST_DRIFT` on average: such completions are not the policy's.
    """
    mask = batch["completion_mask"].bool()
    log_ratio = (batch["old_per_token_logps"] - batch["sampling_per_token_logps"])[mask]
    log_ratio = log_ratio[~log_ratio.isnan()].float()
    if not len(log_ratio):
        return {}
    drift = float(log_ratio.abs().mean())
    if drift > MOST_DRIFT:
        raise StageError(
            f"step {step + 1}: engine and policy differ by {drift:.2g} nats per token on average, more than "
            f"{MOST_DRIFT}: these are not the policy's rollouts. Set train_grpo.rollout: transformers"
        )
    ratio = log_ratio.exp()
    return {"importance_ratio/mean": float(ratio.mean()), "importance_ratio/std": float(ratio.std(correction=0))}


def check_versions(completions: Sequence[Completion], step: int) -> None:
    """Every completion was made with the weights of `step`.

    Raises:
        StageError: one was not.
    """
    stale = {c.version for c in completions} - {str(step)}
    if stale:
        raise StageError(
            f"step {step + 1}: completions were made with the weights of step {', '.join(map(str, stale))}"
        )
