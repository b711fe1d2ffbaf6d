"""Support for FSDP2 and DeepSpeed ZeRO-3: weights are sharded, and gathering them takes every process.

Completions end at different steps on different processes. A forward pass that gathers weights inside such a loop
would wait for processes that have left it. So weights are gathered once before and scattered once after.
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
    """Keep all weights of an FSDP2 model whole on every process during the block; nothing to do for other models.

    All processes must enter and leave together; inside, each may run any number of forward passes.
    """
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(part is not parts[0], recurse=False)  # the root stays gathered, as in FSDP2
            part.reshard()


def shards_weights(accelerator: Accelerator) -> bool:
    """Whether each process holds only a shard of the weights."""
    plugin = accelerator.state.deepspeed_plugin
    return accelerator.distributed_type.value == "FSDP" or (plugin is not None and plugin.zero_stage == 3)


def whole_state(training: Training) -> dict[str, Any] | None:
    """The weights gathered for saving if they are sharded, else None. All processes must call it."""
    if not shards_weights(training.accelerator):
        return None
    state: dict[str, Any] = training.accelerator.get_state_dict(training.model_wrapped)
    return state
