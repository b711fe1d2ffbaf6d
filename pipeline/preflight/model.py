"""The base model before its weights are fetched: does it exist, do we have access, can it be trained?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import EgovlmError
from pipeline.params import Params
from pipeline.preflight.findings import Finding
from pipeline.train_params import Lora

STAGES = ("prepare_model",)
REACH_SECONDS = 10.0


@dataclass(frozen=True)
class BaseModel:
    """What the estimates need of a base model: its numbers of weights, and the shape of its key-value cache."""

    parameters: int
    vision_parameters: int
    layers: int
    kv_heads: int
    head_size: int
    linears: tuple[tuple[str, int, int], ...]  # name, inputs, outputs of the language model's

    def adapter_parameters(self, lora: Lora) -> int:
        """Weights of a LoRA adapter on the layers that it names."""
        chosen = [(n, m) for name, n, m in self.linears if name.rsplit(".", 1)[-1] in lora.targets]
        return sum(lora.rank * (inputs + outputs) for inputs, outputs in chosen)


def check_base(params: Params, root: Path) -> tuple[BaseModel | None, list[Finding]]:
    """The base model as far as its small files describe it, and what is wrong with it."""
    hub = params.prepare_model.hub
    try:
        folder = _small_files(hub.model, hub.revision, root)
        base = counted(_config(folder, hub.model))
    except EgovlmError as error:
        mend = "correct prepare_model.hub, log in, or name a local folder"
        return None, [Finding("base model", "fail", str(error), mend, STAGES)]
    billions = base.parameters / 1e9
    return base, [
        Finding("base model", "ok", f"{hub.model}: {billions:.2f} billion weights, its chat template accepts video")
    ]


def _small_files(model: str, revision: str | None, root: Path) -> Path:
    """A folder with the model's JSON files: the local one, the cache's, or fetched now (a few MB)."""
    from pipeline.models.hub import hub_small_folder
    from pipeline.models.policy import check_source

    for folder in (Path(model), root / model):
        if folder.is_dir():
            return folder
    check_source(model, revision)
    return hub_small_folder(model, str(revision), REACH_SECONDS)


def _config(folder: Path, name: str) -> Any:
    """The config, after checking config, tokenizer and chat template as loading does."""
    from pipeline.models.policy import load_small

    return load_small(folder, name)[0]


def counted(config: Any) -> BaseModel:
    """The weights of a model with this config, without allocating memory."""
    import torch

    from pipeline.models.families import family_of

    family = family_of(config, "the base")
    with torch.device("meta"):
        model: Any = family.loader(config)
    text = config.get_text_config()
    return BaseModel(
        parameters=sum(weight.numel() for weight in model.parameters()),
        vision_parameters=sum(weight.numel() for weight in getattr(model.model, family.tower).parameters()),
        layers=text.num_hidden_layers,
        kv_heads=text.num_key_value_heads,
        head_size=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        linears=tuple(_linears(getattr(model.model, family.language_model))),
    )


def _linears(model: Any) -> Iterator[tuple[str, int, int]]:
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            yield name, module.in_features, module.out_features
