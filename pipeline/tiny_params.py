"""The part of params.yaml that says how the tiny base model is made; see `pipeline/params.py`."""

from pipeline.sections import Positive, Section


class TinySteps(Section):
    """Optimizer steps of each phase (see pipeline/tiny_base/recipe.py), at most."""

    lookup: Positive
    see: Positive
    combine: Positive
    degrade: Positive


class TinyRecipe(Section):
    """How the tiny base model is made. The clips it learns from are rendered in memory and belong to no split."""

    family: str
    clips: Positive
    held_out_clips: Positive
    families: tuple[str, ...]
    steps: TinySteps
