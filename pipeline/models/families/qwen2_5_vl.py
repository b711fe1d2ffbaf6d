"""Qwen2.5-VL: a video is one block of tokens, and seconds stretch its positions in time."""

from typing import Any

from pipeline.models.families.family import CLIP_MEAN, CLIP_STD, Family
from pipeline.models.families.windows import attend_in_batches


def _interval(vision: Any, seconds: float) -> float:
    return float(vision.tokens_per_second * seconds)


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
)
