"""What differs between the families that are rehearsed: profile, name and commit on the hub, contents of files.

Fields of the published config.json and preprocessor files; only numbers of layers and widths are smaller.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

HIDDEN, HEADS = 64, 2  # heads of 32: the smallest that vLLM knows


@dataclass(frozen=True)
class StandIn:
    """One family's stand-in.

    Args:
        profile: laid over `full` by `egovlm profile`, or None.
        name, commit: of the hub, as the profile pins them.
        licence: of the published model.
        config: config.json, from token ids by name and the rows of the embedding.
        files: processor files by name.
        published: a weight's name in the hub's files, from its name in the model.
    """

    profile: str | None
    name: str
    commit: str
    config: Callable[[Mapping[str, int], int], dict[str, Any]]
    files: dict[str, dict[str, Any]]
    published: Callable[[str], str] = lambda name: name


def _qwen2_5_vl(ids: Mapping[str, int], rows: int) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": ids["endoftext"],
        "eos_token_id": ids["im_end"],
        "vision_start_token_id": ids["vision_start"],
        "vision_end_token_id": ids["vision_end"],
        "vision_token_id": ids["vision_pad"],
        "image_token_id": ids["image_pad"],
        "video_token_id": ids["video_pad"],
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": 2 * HIDDEN,
        "max_position_embeddings": 128000,
        "max_window_layers": 70,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": HEADS,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 2,
            "hidden_act": "silu",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "in_chans": 3,
            "out_hidden_size": HIDDEN,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "vocab_size": rows,
    }


def _qwen3_vl(ids: Mapping[str, int], rows: int) -> dict[str, Any]:
    text = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": ids["endoftext"],
        "dtype": "bfloat16",
        "eos_token_id": ids["im_end"],
        "head_dim": HIDDEN // HEADS,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": 2 * HIDDEN,
        "max_position_embeddings": 262144,
        "model_type": "qwen3_vl_text",
        "num_attention_heads": HEADS,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {"mrope_interleaved": True, "mrope_section": [6, 5, 5], "rope_type": "default"},
        "rope_theta": 5000000,
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": rows,
    }
    vision = {
        "deepstack_visual_indexes": [0],
        "depth": 2,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 32,
        "in_channels": 3,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "model_type": "qwen3_vl",
        "num_heads": 2,
        "num_position_embeddings": 2304,
        "out_hidden_size": HIDDEN,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "image_token_id": ids["image_pad"],
        "model_type": "qwen3_vl",
        "text_config": text,
        "tie_word_embeddings": True,
        "transformers_version": "4.57.0.dev0",
        "video_token_id": ids["video_pad"],
        "vision_config": vision,
        "vision_end_token_id": ids["vision_end"],
        "vision_start_token_id": ids["vision_start"],
    }


def _former_names(name: str) -> str:
    """Qwen2.5-VL's files have the names that transformers 4.49 gave the parts."""
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


_HALF = [0.5, 0.5, 0.5]
_QWEN3_PICTURES = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, "image_mean": _HALF, "image_std": _HALF}

STAND_INS = {
    "qwen2_5_vl": StandIn(
        None,
        "Qwen/Qwen2.5-VL-3B-Instruct",
        "66285546d2b821cf421d4f5eb2576359d3770cd3",
        _qwen2_5_vl,
        {
            "preprocessor_config.json": {
                "min_pixels": 3136,
                "max_pixels": 12845056,
                "patch_size": 14,
                "temporal_patch_size": 2,
                "merge_size": 2,
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711],
                "image_processor_type": "Qwen2VLImageProcessor",
                "processor_class": "Qwen2_5_VLProcessor",
            }
        },
        _former_names,
    ),
    "qwen3_vl": StandIn(
        "qwen3-vl-2b",
        "Qwen/Qwen3-VL-2B-Instruct",
        "89644892e4d85e24eaac8bacfd4f463576704203",
        _qwen3_vl,
        {
            "preprocessor_config.json": {
                "size": {"longest_edge": 16777216, "shortest_edge": 65536},
                **_QWEN3_PICTURES,
                "processor_class": "Qwen3VLProcessor",
                "image_processor_type": "Qwen2VLImageProcessorFast",
            },
            "video_preprocessor_config.json": {
                "size": {"longest_edge": 25165824, "shortest_edge": 4096},
                **_QWEN3_PICTURES,
                "processor_class": "Qwen3VLProcessor",
                "video_processor_type": "Qwen3VLVideoProcessor",
            },
        },
    ),
}
