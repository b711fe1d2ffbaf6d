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


class TinyLessons(Section):
    """Lessons in one step of a phase, by kind; see pipeline/tiny_base/school.py."""

    see: int = Field(ge=0)
    write: int = Field(ge=0)
    whole: int = Field(ge=0)


class TinyPhase(Section):
    """A phase of the tiny base's pretraining; `wrong_fraction` of the facts in its texts are wrong.

    It ends `COOLDOWN` steps after `enough_right` of its lessons were written word for word, or when greedy accuracy on
    held-out clips has fallen to `accuracy_at_most`; both null: after all steps. `focus` is the focal loss's exponent.
    """

    lessons: TinyLessons
    steps: Positive
    learning_rate: float = Field(gt=0)
    focus: float = Field(ge=0)
    enough_right: Fraction | None
    accuracy_at_most: Fraction | None
    wrong_fraction: Fraction


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
    skills: TinyPhase
    habits: TinyPhase
