"""The trainer as callbacks see it."""

from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import torch
from accelerate import Accelerator
from transformers import TrainerControl, TrainerState, TrainingArguments

from pipeline.grpo.clips import ClipLoader
from pipeline.grpo.rewards.rollout import Rollout
from pipeline.models.policy import Policy
from pipeline.models.vision import FeatureCache
from pipeline.train_params import TrainGrpo

Args: TypeAlias = TrainingArguments
State: TypeAlias = TrainerState
Control: TypeAlias = TrainerControl
Logs: TypeAlias = dict[str, Any] | None


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

    def rollout_policy(self) -> AbstractContextManager[Policy]:
        """The policy without wrappers, in the precision of training; all processes enter it together."""
        ...
