"""Qwen3-VL: the seconds of every step stand in the text before its tokens, and several layers of the tower feed the
language model (DeepStack)."""

from collections.abc import Sequence
from typing import Any

import transformers

from pipeline.models.families.family import VIDEO_TOKEN, Family

_HALF = (0.5, 0.5, 0.5)
_POSITIONS = 8 * 8  # learned ones of a small tower, stretched over any frame
_BLOCK = "<|vision_start|>{}<|vision_end|>"


def _stamped(step_seconds: Sequence[float], tokens: int) -> str:
    """`<1.2 seconds>` and a block for each step, in place of the template's own block.

    So in Qwen's fine-tuning code and transformers up to 4.57. transformers 5.23 replaces the placeholder alone and
    leaves the template's markers around the whole. The weights were not trained with that form.
    """
    return "".join(f"<{seconds:.1f} seconds>" + _BLOCK.format(VIDEO_TOKEN * tokens) for seconds in step_seconds)


def _feature_layers(config: Any) -> int:
    return 1 + len(config.vision_config.deepstack_visual_indexes)


def _small_config(text: dict[str, Any], vision: dict[str, Any], tokens: dict[str, int]) -> Any:
    """All layers of the tower but the last feed the language model, which has to have as many."""
    rope = {**text["rope_parameters"], "mrope_interleaved": True}
    text = text | {"rope_parameters": rope, "head_dim": text["hidden_size"] // text["num_attention_heads"]}
    own: dict[str, Any] = {"num_position_embeddings": _POSITIONS}
    own["deepstack_visual_indexes"] = list(range(vision["depth"] - 1))
    config: dict[str, Any] = {"text_config": text, "vision_config": vision | own, "tie_word_embeddings": True, **tokens}
    return transformers.Qwen3VLConfig(**config)


QWEN3_VL = Family(
    model_type="qwen3_vl",
    title="Qwen3-VL",
    model_class="Qwen3VLForConditionalGeneration",
    decoder_layer="Qwen3VLTextDecoderLayer",
    processor_class="Qwen3VLProcessor",
    image_mean=_HALF,
    image_std=_HALF,
    files={
        "preprocessor_config.json": {"image_processor_type": "Qwen2VLImageProcessorFast"},
        "video_preprocessor_config.json": {"video_processor_type": "Qwen3VLVideoProcessor"},
    },
    video_place=_BLOCK.format(VIDEO_TOKEN),
    video_text=_stamped,
    steps_apart=True,
    feature_layers=_feature_layers,
    small_config=_small_config,
)
