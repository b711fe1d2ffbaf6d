"""A Qwen2.5-VL of a few thousand random weights with a word-level tokenizer, for tests of models and training."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from pipeline.models.policy import Policy, make_policy

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIAL += ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
WORDS = ["user", "assistant", "<think>", "</think>", "<keyframes>", "</keyframes>", "<answer>", "</answer>"]
WORDS += [*"ABCDE.,?0123456789", "what", "is", "taken", "red", "blue", "cup", "first", "think", "frame", "[UNK]"]
UNKNOWN = "[UNK]"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if 'video' in c %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>{% endfor %}"
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


def make_tokenizer() -> Any:
    """Words and single characters; Qwen's special tokens; `<think>` and its kin are ordinary tokens."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
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


def make_random_policy(seed: int = 0, dtype: torch.dtype = torch.float32, layers: int = 2) -> Policy:
    """Two layers of 32, patches of 4 pixels, two key-value heads for four query heads."""
    tokenizer = make_tokenizer()
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad", "im_end")}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
            "eos_token_id": ids["im_end"],
            "tie_word_embeddings": True,
            "initializer_range": 0.2,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 4,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "window_size": 16,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
            "initializer_range": 0.2,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    config._attn_implementation = "sdpa"
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config).to(dtype)
    model.generation_config.eos_token_id = ids["im_end"]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return make_policy(model.eval(), tokenizer)


def ask(text: str, *clip_ids: str) -> list[dict[str, Any]]:
    """Messages of one user turn about some clips."""
    content = [{"type": "video", "video": c, "text": None} for c in clip_ids]
    return [{"role": "user", "content": [*content, {"type": "text", "text": text, "video": None}]}]
