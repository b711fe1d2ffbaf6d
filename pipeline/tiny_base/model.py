"""The tiny base: the Qwen2.5-VL architecture at a few hundred thousand parameters, and the folder it is saved to."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from pipeline.models.families.family import CLIP_MEAN, CLIP_STD
from pipeline.tiny_base.recipe import TinyShape

_CONTEXT = 512


def build_config(shape: TinyShape, tokenizer: Any) -> Qwen2_5_VLConfig:
    """The config of a Qwen2.5-VL of this shape whose token ids are those of `tokenizer`."""
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end")}
    ids |= {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad")}
    return Qwen2_5_VLConfig(
        text_config=_text_config(shape, tokenizer),
        vision_config=_vision_config(shape),
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        tie_word_embeddings=True,
    )


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
        "tokens_per_second": 1,
        "window_size": 8 * shape.patch_size,
        "fullatt_block_indexes": list(range(shape.vision_layers)),
        "out_hidden_size": shape.hidden_size,
        "initializer_range": shape.initializer_range,
    }


def build_model(shape: TinyShape, tokenizer: Any, seed: int) -> Any:
    """A freshly initialised model, the same weights for the same arguments."""
    config = build_config(shape, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model.generation_config = GenerationConfig(**ends)  # type: ignore[no-untyped-call]
    return model


def parameter_count(model: Any) -> int:
    """Number of different weights (a tied head counts once)."""
    return sum(p.numel() for p in model.parameters())


def save_tiny(model: Any, tokenizer: Any, folder: Path, card: str) -> None:
    """Write a plain `from_pretrained` folder: safetensors, tokenizer, colour statistics and a model card."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    vision = model.config.vision_config
    preprocessor = {
        "image_mean": list(CLIP_MEAN),
        "image_std": list(CLIP_STD),
        "patch_size": vision.patch_size,
        "temporal_patch_size": vision.temporal_patch_size,
        "merge_size": vision.spatial_merge_size,
        "min_pixels": (vision.patch_size * vision.spatial_merge_size) ** 2,  # so that frames are not enlarged
        "max_pixels": 12845056,  # as Qwen's
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")
