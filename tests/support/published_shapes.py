"""Shapes of published models, from the config.json of each on the hub; only what sets the number of weights."""

from typing import Any

from transformers import Qwen2_5_VLConfig, Qwen3VLConfig


def qwen2_5_vl(hidden: int, inter: int, layers: int, heads: int, kv_heads: int, vocabulary: int, tied: bool) -> Any:
    """Qwen2.5-VL; the tower is the same but for its last width."""
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": hidden}
    text = _text(hidden, inter, layers, heads, kv_heads, vocabulary, tied)
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def qwen3_vl(hidden: int, inter: int, layers: int, heads: int) -> Any:
    """The Qwen3-VL of 2B and 4B: heads of 128 whatever the width, the smaller of two towers."""
    vision = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": hidden,
              "patch_size": 16, "num_position_embeddings": 2304, "deepstack_visual_indexes": [5, 11, 17]}  # fmt: skip
    text = _text(hidden, inter, layers, heads, 8, 151_936, True) | {"head_dim": 128}
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)


def _text(
    hidden: int, inter: int, layers: int, heads: int, kv_heads: int, vocabulary: int, tied: bool
) -> dict[str, Any]:
    return {"vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": inter, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "tie_word_embeddings": tied}  # fmt: skip


# By profile: the config, and the number of weights that the hub shows for the published files.
PUBLISHED = {
    "full": (qwen2_5_vl(2048, 11008, 36, 16, 2, 151_936, True), 3_754_622_976),
    "qwen2.5-vl-7b": (qwen2_5_vl(3584, 18944, 28, 28, 4, 152_064, False), 8_292_166_656),
    "qwen3-vl-2b": (qwen3_vl(2048, 6144, 28, 16), 2_127_532_032),
    "qwen3-vl-4b": (qwen3_vl(2560, 9728, 36, 32), 4_437_815_808),
}
