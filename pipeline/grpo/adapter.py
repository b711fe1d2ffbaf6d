"""LoRA: which layers get an adapter."""

from typing import Any

import torch

from pipeline.errors import ParamsError
from pipeline.models.policy import Policy
from pipeline.train_params import Lora


def lora_config(settings: Lora, policy: Policy) -> Any:
    """PEFT's configuration for the language model's layers named in `targets`.

    Raises:
        ParamsError: a target is not a linear layer of the language model.
    """
    from peft import LoraConfig

    layers = policy.language_model.named_modules()
    known = {name.rpartition(".")[2] for name, module in layers if isinstance(module, torch.nn.Linear)}
    wrong = [target for target in settings.targets if target not in known]
    if wrong or not settings.targets:
        raise ParamsError(
            f"train_grpo.lora.targets: {', '.join(wrong) or 'nothing'} cannot have an adapter; "
            f"choose among {', '.join(sorted(known))}"
        )
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(settings.targets),
        exclude_modules=rf".*{policy.family.tower}.*",  # the vision tower has layers of the same names
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
