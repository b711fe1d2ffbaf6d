"""The tiny base: a family's architecture at a few hundred thousand parameters, and the folder it is saved to."""

from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from pipeline.files import write_json
from pipeline.models.families.family import Family
from pipeline.models.policy import Policy
from pipeline.tiny_base.recipe import TinyShape

_CONTEXT = 512
_MAX_PIXELS = 12_845_056  # the published limit; the lower one is a token, so that frames are not enlarged


def build_config(family: Family, shape: TinyShape, tokenizer: Any) -> Any:
    """The config of a model of this family and shape whose token ids are those of `tokenizer`.

    Raises:
        ValueError: no tiny base of the family can be made.
    """
    if family.small_config is None:
        raise ValueError(f"no tiny base of {family.title} can be made")
    names = ("vision_start_token", "vision_end_token", "image_token", "video_token")
    tokens = ("vision_start", "vision_end", "image_pad", "video_pad")
    ids = {f"{n}_id": tokenizer.convert_tokens_to_ids(f"<|{t}|>") for n, t in zip(names, tokens, strict=True)}
    return family.small_config(_text_config(shape, tokenizer), _vision_config(shape), ids)


def _text_config(shape: TinyShape, tokenizer: Any) -> dict[str, Any]:
    half_head = shape.hidden_size // shape.heads // 2
    third = half_head // 3
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.hidden_size,
        "intermediate_size": 2 * shape.hidden_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "max_position_embeddings": _CONTEXT,
        "initializer_range": shape.initializer_range,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [half_head - 2 * third, third, third],
        },
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _vision_config(shape: TinyShape) -> dict[str, Any]:
    return {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_hidden_size,
        "intermediate_size": 2 * shape.vision_hidden_size,
        "num_heads": shape.vision_heads,
        "patch_size": shape.patch_size,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
        "out_hidden_size": shape.hidden_size,
        "initializer_range": shape.initializer_range,
    }


def build_model(family: Family, shape: TinyShape, tokenizer: Any, seed: int) -> Any:
    """A freshly initialised model, the same weights for the same arguments."""
    config = build_config(family, shape, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.loader(config)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model.generation_config = GenerationConfig(**ends)  # type: ignore[no-untyped-call]
    return model


def parameter_count(model: Any) -> int:
    """Number of different weights (a tied head counts once)."""
    return sum(p.numel() for p in model.parameters())


def save_tiny(policy: Policy, folder: Path, card: str) -> None:
    """Write a plain `from_pretrained` folder: safetensors, tokenizer, processor files and a model card."""
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    limits = {"min_pixels": policy.vision.size_multiple**2, "max_pixels": _MAX_PIXELS}
    size = {"shortest_edge": limits["min_pixels"], "longest_edge": _MAX_PIXELS}  # so a video processor calls them
    for name, content in policy.family.processor_files(policy.vision).items():
        given = {"size": size} if "video_processor_type" in content else limits
        write_json(folder / name, {**content, **given})
    (folder / "README.md").write_text(card, encoding="utf-8")
