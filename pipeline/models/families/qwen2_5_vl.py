"""Qwen2.5-VL: a video is one block of tokens, and seconds stretch its positions in time."""

from typing import Any

import transformers

from pipeline.models.families.family import CLIP_MEAN, CLIP_STD, Family
from pipeline.models.families.windows import attend_in_batches


def _interval(vision: Any, seconds: float) -> float:
    return float(vision.tokens_per_second * seconds)


def _small_config(text: dict[str, Any], vision: dict[str, Any], tokens: dict[str, int]) -> Any:
    """Every layer of the tower sees the whole frame; a second is one position."""
    own: dict[str, Any] = {"tokens_per_second": 1, "window_size": 8 * vision["patch_size"]}
    own["fullatt_block_indexes"] = list(range(vision["depth"]))
    config: dict[str, Any] = {"text_config": text, "vision_config": vision | own, "tie_word_embeddings": True, **tokens}
    return transformers.Qwen2_5_VLConfig(**config)


QWEN2_5_VL = Family(
    model_type="qwen2_5_vl",
    title="Qwen2.5-VL",
    model_class="Qwen2_5_VLForConditionalGeneration",
    decoder_layer="Qwen2_5_VLDecoderLayer",
    processor_class="Qwen2_5_VLProcessor",
    image_mean=CLIP_MEAN,
    image_std=CLIP_STD,
    files={"preprocessor_config.json": {"image_processor_type": "Qwen2VLImageProcessor"}},
    interval=_interval,
    no_mask={"full_attention": None},  # a dict is taken as it is
    adapt=attend_in_batches,
    small_config=_small_config,
)
