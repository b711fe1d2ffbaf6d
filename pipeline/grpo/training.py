"""The trainer as callbacks and other rollout backends see it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import torch
from accelerate import Accelerator
from transformers import TrainerControl, TrainerState, TrainingArguments

from pipeline.grpo.clips import ClipLoader
from pipeline.grpo.rewards.rollout import Rollout
from pipeline.grpo.samples import Sample
from pipeline.models.generate import Completion
from pipeline.models.inputs import ClipFrames
from pipeline.models.policy import Policy
from pipeline.models.vision import FeatureCache
from pipeline.train_params import TrainGrpo

Args: TypeAlias = TrainingArguments
State: TypeAlias = TrainerState
Control: TypeAlias = TrainerControl
Logs: TypeAlias = dict[str, Any] | None

ExternalRollout = Callable[[Sequence[Sample], Sequence[ClipFrames], Sequence[str]], list[list[Completion]]]
"""From samples, their frames and one seed string each to G completions of each."""


class Training(Protocol):
    """A training run in progress. `rollouts` are the current batch's; `trouble` says why the current step cannot be
    computed (None: it can)."""

    settings: TrainGrpo
    policy: Policy
    clips: ClipLoader
    cache: FeatureCache | None
    rollouts: list[Rollout]
    trouble: str | None
    accelerator: Accelerator
    model_wrapped: torch.nn.Module
    args: Args
    state: State
    control: Control
    callback_handler: Any
    vllm_generation: Any

    def rollout_policy(self) -> AbstractContextManager[Policy]:
        """The policy without wrappers, in the precision of training; all processes enter it together."""
        ...
