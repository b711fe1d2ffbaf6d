"""The part of params.yaml that says how the tiny base is made; see `pipeline/params.py`."""

from pydantic import Field

from pipeline.sections import Fraction, Positive, Section


class TinyShape(Section):
    """Shape of the tiny Qwen2.5-VL."""

    layers: Positive
    hidden_size: Positive
    heads: Positive
    vision_layers: Positive
    vision_hidden_size: Positive
    patch_size: Positive
    initializer_range: float = Field(gt=0)


class TinyExamples(Section):
    """Examples in one step of a phase, by kind; see pipeline/tiny_base/curriculum.py."""

    see: int = Field(ge=0)
    write: int = Field(ge=0)
    whole: int = Field(ge=0)


class TinyPhase(Section):
    """A phase of the tiny base's pretraining; `label_noise` of the facts in its texts are corrupted.

    It ends `COOLDOWN` steps after `stop_at_exact_match` of its examples were written word for word, or when greedy
    accuracy on held-out clips has fallen to `stop_at_accuracy`; both null: after all steps. `focal_gamma` is the
    exponent of the focal loss.
    """

    examples: TinyExamples
    steps: Positive
    learning_rate: float = Field(gt=0)
    focal_gamma: float = Field(ge=0)
    stop_at_exact_match: Fraction | None
    stop_at_accuracy: Fraction | None
    label_noise: Fraction


class TinyRecipe(Section):
    """How the tiny base is made; the clips it learns from are rendered in memory and belong to no split."""

    shape: TinyShape
    clips: Positive
    held_out_clips: Positive
    seconds_min: float = Field(gt=0)
    seconds_max: float = Field(gt=0)
    families: tuple[str, ...]
    frames_per_clip: Positive
    frame_pixels: Positive
    lookup: TinyPhase
    see: TinyPhase
    combine: TinyPhase
    degrade: TinyPhase
