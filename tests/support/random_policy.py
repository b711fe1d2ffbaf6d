"""Models of a few thousand random weights with a word-level tokenizer, one of each family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen3VLConfig

from pipeline.models.families import FAMILIES
from pipeline.models.policy import Policy, make_policy

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIAL += ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
WORDS = ["user", "assistant", "<think>", "</think>", "<keyframes>", "</keyframes>", "<answer>", "</answer>"]
WORDS += [*"ABCDE.,?0123456789", "what", "is", "taken", "red", "blue", "cup", "first", "think", "frame", "[UNK]"]
STAMPS = ["<", ">", "seconds"]  # of Qwen3-VL's time stamps
UNKNOWN = "[UNK]"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif c['type'] == 'text' %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)


@dataclass(frozen=True)
class FakeClip:
    """Frames as the frame store gives them: `images` uint8 [T, H, W, 3], `pts_seconds` float64 [T]."""

    images: np.ndarray
    pts_seconds: np.ndarray


def make_clip(seed: int, frames: int = 4, height: int = 16, width: int = 32, spacing: float = 0.5) -> FakeClip:
    """Random frames."""
    images = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return FakeClip(images, np.arange(frames) * spacing + 0.25)


def make_tokenizer(more: Sequence[str] = ()) -> Any:
    """Words and single characters; Qwen's special tokens; `<think>` and its kin are ordinary tokens."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS, *more])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    words = Regex(r"</?[a-z]+>|[a-zA-Z]+|[0-9]|[^\w\s]")
    core.pre_tokenizer = pre_tokenizers.Split(words, "removed", invert=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token=UNKNOWN,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[2],
        extra_special_tokens=SPECIAL[1:],
        chat_template=TEMPLATE,
        padding_side="left",
    )


def text_config(tokenizer: Any, layers: int, rope: dict[str, Any], width: int = 32) -> dict[str, Any]:
    """Of the language model, whose family takes `rope` for its M-RoPE."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": width * 3 // 2,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, **rope},
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
    }


VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "patch_size": 4,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "initializer_range": 0.2,
}


def _qwen2_5_vl(tokenizer: Any, layers: int, width: int, ids: dict[str, int]) -> Any:
    text = text_config(tokenizer, layers, {"mrope_section": [width // 32, width // 32, width // 16]}, width)
    vision = {
        **VISION,
        "out_hidden_size": width,
        "depth": 2,
        "window_size": 16,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
    }
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **ids)


def _qwen3_vl(tokenizer: Any, layers: int, width: int, ids: dict[str, int]) -> Any:
    """Heads wider than hidden size / heads, as in the published 4B; DeepStack features from two of three layers."""
    rope = {"mrope_section": [4, 2, 2], "mrope_interleaved": True}
    text = {**text_config(tokenizer, layers, rope, width), "head_dim": 16}
    vision = {
        **VISION,
        "out_hidden_size": width,
        "depth": 3,
        "num_position_embeddings": 36,
        "deepstack_visual_indexes": [0, 1],
    }
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **ids)


CONFIGS = {"qwen2_5_vl": _qwen2_5_vl, "qwen3_vl": _qwen3_vl}


def make_random_policy(
    seed: int = 0, dtype: torch.dtype = torch.float32, layers: int = 2, family: str = "qwen2_5_vl", width: int = 32
) -> Policy:
    """Two layers of `width`, patches of 4 pixels, two key-value heads for four query heads."""
    tokenizer = make_tokenizer(STAMPS if family == "qwen3_vl" else ())
    names = ("image_token", "video_token", "vision_start_token", "vision_end_token")
    tokens = ("image_pad", "video_pad", "vision_start", "vision_end")
    ids = {f"{name}_id": tokenizer.convert_tokens_to_ids(f"<|{t}|>") for name, t in zip(names, tokens, strict=True)}
    config = CONFIGS[family](tokenizer, layers, width, ids)
    config._attn_implementation = "sdpa"
    torch.manual_seed(seed)
    model = FAMILIES[family].loader(config).to(dtype)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return make_policy(model.eval(), tokenizer)


def ask(text: str, *clip_ids: str) -> list[dict[str, Any]]:
    """Messages of one user turn about some clips."""
    content = [{"type": "video", "video": c, "text": None} for c in clip_ids]
    return [{"role": "user", "content": [*content, {"type": "text", "text": text, "video": None}]}]
