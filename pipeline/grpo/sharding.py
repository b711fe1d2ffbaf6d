"""What FSDP2 and DeepSpeed ZeRO-3 change: weights lie in pieces, and putting them together takes every process.

Completions end at different steps on different processes. A forward that gathers weights inside such a loop waits for
processes that have left it, so weights are gathered once before and scattered once after.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch.distributed.fsdp import FSDPModule

from pipeline.grpo.training import Training
from pipeline.models.policy import Policy


def wrap_decoder_layers(policy: Policy) -> None:
    """Tell accelerate's FSDP which layers of this policy are its pieces, unless the launcher's configuration does."""
    os.environ.setdefault("FSDP_TRANSFORMER_CLS_TO_WRAP", policy.family.decoder_layer)


@contextmanager
def whole_weights(model: torch.nn.Module) -> Iterator[None]:
    """All weights of an FSDP2 model whole on every process for a while; nothing to do for other models.

    All processes have to enter and leave together; inside, each may run as many forwards as it likes.
    """
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(part is not parts[0], recurse=False)  # the root stays, as FSDP2 has it
            part.reshard()


def shards_weights(accelerator: Accelerator) -> bool:
    """Whether each process holds a piece of the weights only."""
    plugin = accelerator.state.deepspeed_plugin
    return accelerator.distributed_type.value == "FSDP" or (plugin is not None and plugin.zero_stage == 3)


def whole_state(training: Training) -> dict[str, Any] | None:
    """The weights gathered for saving where they are sharded, else None; a call for all processes."""
    if not shards_weights(training.accelerator):
        return None
    state: dict[str, Any] = training.accelerator.get_state_dict(training.model_wrapped)
    return state
