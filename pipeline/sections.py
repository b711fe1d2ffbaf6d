"""The base class of every mapping in params.yaml, and its error messages."""

import difflib
import reprlib
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ParamsError

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Plugins = dict[str, str]
"""Version by package: the installed packages that the section uses (`pipeline.registry`)."""


class Section(BaseModel):
    """A mapping of params.yaml: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnySection = TypeVar("AnySection", bound=Section)


def parse_section(model: type[AnySection], raw: Any, start: str) -> AnySection:
    """`raw` as a `model`.

    Args:
        start: what to put before each key in a message: a file's name, or the key of the mapping and a dot.

    Raises:
        ParamsError: an unknown key or an invalid value. Every problem is named with its key, and an unknown key with
            the nearest valid one.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ParamsError("; ".join(start + _explain(model, e["loc"], e) for e in error.errors())) from error


def _explain(model: type[Section], location: tuple[int | str, ...], error: Any) -> str:
    key = ".".join(str(part) for part in location)
    if error["type"] != "extra_forbidden":
        found = "" if error["type"] == "missing" else f" (found {reprlib.repr(error['input'])})"
        return f"{key}: {error['msg']}{found}"
    valid = _valid_keys(model, location[:-1])
    near = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"valid keys: {', '.join(valid)}"
    return f"unknown key {key}; {hint}"


def _valid_keys(model: type[Section], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields at `location`; [] if it does not lead to a section."""
    here: Any = model
    for part in location:
        sections = _sections_in(here)
        field = sections[0].model_fields.get(str(part)) if sections else None
        here = field.annotation if field else here  # the key of a mapping, or the position in a list
    sections = _sections_in(here)
    return list(sections[0].model_fields) if sections else []


def _sections_in(annotation: Any) -> list[type[Section]]:
    """The sections that a type holds: `dict[str, Lora | None]` -> [Lora]."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for argument in get_args(annotation) for section in _sections_in(argument)]
