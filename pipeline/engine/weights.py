"""A policy as it stands, as a folder that an engine loads: an adapter merged, in the engine's precision."""

from pathlib import Path
from typing import Any

import torch

from pipeline.files import replacing_folder
from pipeline.models.folder import copy_small
from pipeline.models.policy import Policy

_NOT_FOR_ENGINES = frozenset({"README.md", "generation_config.json", "training.json"})


def write_weights(policy: Policy, folder: Path, dtype: torch.dtype) -> None:
    """Write `folder`, whole or not at all; the policy itself is left as it is."""
    state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in merged_state(policy).items()}
    with replacing_folder(folder) as partial:
        policy.base.save_pretrained(partial, safe_serialization=True, state_dict=state)
        if policy.folder:
            copy_small(Path(policy.folder), partial, _NOT_FOR_ENGINES | {"config.json"})
        else:
            policy.tokenizer.save_pretrained(partial)


def merged_state(policy: Policy) -> dict[str, torch.Tensor]:
    """Weights by the base's own names. An adapter's product is added to a copy: to merge it in place and take it out
    again would leave rounding errors in the weights that are trained."""
    base: Any = policy.base
    changed = {
        f"{name}.weight": module.get_base_layer().weight + sum(map(module.get_delta_weight, module.active_adapters))
        for name, module in base.named_modules()
        if hasattr(module, "get_delta_weight") and hasattr(module, "active_adapters")
    }
    plain = {
        name.replace(".base_layer.", "."): value.detach()
        for name, value in base.state_dict().items()
        if ".lora_" not in name
    }
    return plain | {name: value.detach() for name, value in changed.items()}
