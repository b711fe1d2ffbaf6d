"""The model families that can be trained, one file each. A new one is an entry here (docs/extend.md)."""

from typing import Any

from pipeline.errors import ModelError
from pipeline.models.families.family import Family
from pipeline.models.families.qwen2_5_vl import QWEN2_5_VL
from pipeline.models.families.qwen3_vl import QWEN3_VL

FAMILIES: dict[str, Family] = {family.model_type: family for family in (QWEN2_5_VL, QWEN3_VL)}


def small_family(name: str) -> Family:
    """The family that `prepare_model.tiny.family` names.

    Raises:
        ModelError: none of that name is known, or no tiny base of it can be made.
    """
    if name in FAMILIES and FAMILIES[name].small_config is not None:
        return FAMILIES[name]
    made = ", ".join(key for key, family in FAMILIES.items() if family.small_config is not None)
    raise ModelError(
        f"prepare_model.tiny.family is {name}, and a tiny base is made of one of {made}: docs/extend.md, "
        '"A model family", says how to add one'
    )


def family_of(config: Any, name: str) -> Family:
    """The family of a model by its config; `name` is what messages call the model.

    Raises:
        ModelError: it is of none that is known.
    """
    if config.model_type not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ModelError(
            f"{name} is a {config.model_type} model, of no family that egovlm knows ({known}): docs/extend.md, "
            '"A model family", says how to add one'
        )
    return FAMILIES[config.model_type]
