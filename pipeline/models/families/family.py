"""What a model family is: everything that prompt, rollout, loss, evaluation and export have to know of one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
import transformers

from pipeline.models.families.positions import Interval, rope_index

VIDEO_TOKEN = "<|video_pad|>"  # noqa: S105

# OpenAI CLIP's colour statistics.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# Config of a small model from what all families share: settings of language model and vision tower, token ids.
SmallConfig = Callable[[dict[str, Any], dict[str, Any], dict[str, int]], Any]

# Placeholder text of one video, from the seconds of its steps and the tokens of each.
VideoText = Callable[[Sequence[float], int], str]


def one_block(step_seconds: Sequence[float], tokens: int) -> str:
    """A video as one run of placeholders."""
    return VIDEO_TOKEN * (tokens * len(step_seconds))


@dataclass(frozen=True)
class EncodedVideos:
    """What transformers' forward reads of an encoder's output; a plain class passes through DDP untouched."""

    pooler_output: tuple[torch.Tensor, ...]
    deepstack_features: tuple[tuple[torch.Tensor, ...], ...] = ()


@dataclass(frozen=True)
class Family:
    """One family. A *step* is a temporal patch: the frames that become one layer of tokens.

    Args:
        model_type: of config.json.
        title: what people call it.
        model_class, decoder_layer, processor_class: names of transformers' classes; FSDP wraps the second.
        image_mean, image_std: per RGB channel, where a folder has no preprocessor_config.json.
        interval: positions between two steps of a video; None: time does not stretch them.
        video_place: what stands for a video in the text that the chat template writes.
        video_text: what is written instead.
        steps_apart: whether the steps of a video have text between them.
        feature_layers: how many tensors [video tokens, hidden size] the tower gives for a clip, by the model's config.
        no_mask: the `attention_mask` that a forward takes for "none", once positions are given.
        adapt: what else a loaded model needs.
        tower, language_model: names of the two parts in the model.
        vision_tokens: never sampled.
        files: what a folder needs beside weights and tokenizer: kinds that transformers' Auto classes read, by file.
        small_config: how a tiny base of the family is shaped; None: none can be made here.
    """

    model_type: str
    title: str
    model_class: str
    decoder_layer: str
    processor_class: str
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    files: dict[str, dict[str, str]]
    interval: Interval | None = None
    video_place: str = VIDEO_TOKEN
    video_text: VideoText = one_block
    steps_apart: bool = False
    feature_layers: Callable[[Any], int] = lambda config: 1
    no_mask: Any = None
    adapt: Callable[[Any], None] = lambda model: None
    tower: str = "visual"
    language_model: str = "language_model"
    small_config: SmallConfig | None = None
    vision_tokens: tuple[str, ...] = ("<|video_pad|>", "<|image_pad|>", "<|vision_start|>", "<|vision_end|>")

    @property
    def loader(self) -> Any:
        """The model's class of transformers."""
        return getattr(transformers, self.model_class)

    def rope_index(self, config: Any, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions by the publisher's rule; see `positions.rope_index`."""
        return rope_index(config, *args, **kwargs, interval=self.interval, steps_apart=self.steps_apart)

    def prepare(self, model: Any) -> None:
        """Let a loaded model compute positions by the publisher's rule wherever it is given none (in a plain forward
        and in the library's `generate`), and give it what else the family needs."""

        def get_rope_index(inner: Any, input_ids: torch.Tensor, mm_token_type_ids: torch.Tensor, **kwargs: Any) -> Any:
            names = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts", "attention_mask")
            return self.rope_index(inner.config, input_ids, mm_token_type_ids, **{n: kwargs.get(n) for n in names})

        model.model.get_rope_index = MethodType(get_rope_index, model.model)
        self.adapt(model)

    def join_features(self, outputs: Any) -> torch.Tensor:
        """The tower's output for one clip as one tensor [video tokens, feature layers x hidden size]."""
        layers = [outputs.pooler_output, *(getattr(outputs, "deepstack_features", None) or ())]
        return torch.cat([layer[0] for layer in layers], dim=-1)

    def encoder_outputs(self, features: Sequence[torch.Tensor], config: Any) -> dict[str, EncodedVideos]:
        """Joined features of the V videos of a batch, in order, as the `mm_encoder_outputs` that a forward takes."""
        split = [clip.chunk(self.feature_layers(config), dim=-1) for clip in features]
        pooled, *deep = zip(*split, strict=True)
        return {"video": EncodedVideos(pooled, tuple(deep))}

    def processor_files(self, vision: Any) -> dict[str, dict[str, Any]]:
        """Contents of `files`, with colours and patch geometry of `vision` (`VisionSettings`)."""
        colours = {"image_mean": list(vision.image_mean), "image_std": list(vision.image_std)}
        geometry = {name: getattr(vision, name) for name in ("patch_size", "temporal_patch_size", "merge_size")}
        names = {"processor_class": self.processor_class}
        return {name: {**colours, **geometry, **kinds, **names} for name, kinds in self.files.items()}
