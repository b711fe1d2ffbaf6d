"""Overlays on params.yaml: a profile file (profiles/<name>.yaml) or single values by dotted key.

An overlay is merged into the text of params.yaml, so that comments and order stay. The result is checked first and then
replaces the whole file at once.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from pipeline.errors import ParamsError
from pipeline.files import replacing
from pipeline.params import parse_params
from pipeline.records import is_safe_id

Check = Callable[[Any], object]

_MOST_NODES = 100_000


class _Representer(RoundTripRepresenter):
    """Writes 1e-06 as 1.0e-06, because YAML 1.1 readers (PyYAML) read a float without a dot as a string.

    And None as `null`, as params.yaml does, so that a diff shows only real changes.
    """

    def represent_none(self, data: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")

    def represent_float(self, data: float) -> Any:
        node = super().represent_float(data)
        if "e" in node.value and "." not in node.value:
            node.value = node.value.replace("e", ".0e")
        return node


_Representer.add_representer(float, _Representer.represent_float)
_Representer.add_representer(type(None), _Representer.represent_none)


def profile_names(root: Path) -> list[str]:
    """Names of the profiles of the project in `root`."""
    return sorted(path.stem for path in (root / "profiles").glob("*.yaml"))


def read_profile(root: Path, name: str) -> dict[str, Any]:
    """The overlay profiles/<name>.yaml.

    Raises:
        ParamsError: the profile does not exist, or is not a mapping.
    """
    names = profile_names(root)
    if name not in names or not is_safe_id(name):
        known = ", ".join(names) or f"none in {root.resolve()}: run this in a checkout of egovlm"
        raise ParamsError(f"unknown profile {name!r}; profiles: {known}")
    path = root / "profiles" / f"{name}.yaml"
    overlay = _load(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(overlay, dict):
        raise ParamsError(f"{path} must be a mapping of params.yaml's sections, found {type(overlay).__name__}")
    return overlay


def nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as an overlay: {"train_grpo.learning_rate": 1e-6} -> {"train_grpo": {"learning_rate": 1e-6}}.

    Raises:
        ParamsError: two keys contradict each other (`a` and `a.b`).
    """
    overlay: dict[str, Any] = {}
    for key, value in overrides.items():
        *sections, last = key.split(".")
        here = overlay
        for section in sections:
            here = here.setdefault(section, {})
            if not isinstance(here, dict):
                raise ParamsError(f"override {key} contradicts an override of {section}")
        here[last] = value
    return overlay


def merge_overlay(text: str, *overlays: Mapping[str, Any], check: Check = parse_params) -> str:
    """`text` (YAML) with the overlays merged in, one after another; comments and order of `text` stay.

    Mappings merge key by key. A mapping with a different `kind` (a source), and any other value, replaces the old one.

    Raises:
        ParamsError: the text is not YAML or the result does not pass `check`.
    """
    document = _load(text, "params.yaml")
    if not isinstance(document, dict):
        raise ParamsError(f"params.yaml must be a mapping of sections, found {type(document).__name__}")
    for overlay in overlays:
        _merge(document, overlay)
    check(_plain(document, itertools.count()))
    stream = StringIO()
    try:
        _yaml().dump(document, stream)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ParamsError(f"the overlay cannot be written as YAML: {' '.join(str(error).split())[:200]}") from error
    return stream.getvalue()


def apply_profile(root: Path, name: str) -> None:
    """Merge profiles/<name>.yaml into params.yaml of the project in `root`, atomically.

    Raises:
        ParamsError: the profile does not exist, or the result is invalid. params.yaml is then unchanged.
    """
    write_merged(root, read_profile(root, name))


def write_merged(root: Path, *overlays: Mapping[str, Any], check: Check = parse_params) -> None:
    """Merge overlays into params.yaml of the project in `root`, atomically; see `merge_overlay`."""
    path = root / "params.yaml"
    merged = merge_overlay(path.read_text(encoding="utf-8"), *overlays, check=check)
    with replacing(path) as partial:
        partial.write_text(merged, encoding="utf-8")


def _merge(base: Any, overlay: Mapping[str, Any]) -> None:
    for key, value in overlay.items():
        old = base.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and _same_kind(old, value):
            _merge(old, value)
        else:
            base[key] = value


def _same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return "kind" not in new or new["kind"] == old.get("kind")


def _plain(node: Any, nodes: Iterator[int]) -> Any:
    """The document as plain dicts and lists, as a reader of the written file will get it.

    Raises:
        ParamsError: it has more than `_MOST_NODES` nodes (aliases of aliases can expand without end).
    """
    if next(nodes) > _MOST_NODES:
        raise ParamsError(f"params.yaml expands to more than {_MOST_NODES} values: write it without aliases")
    if isinstance(node, Mapping):
        return {key: _plain(value, nodes) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value, nodes) for value in node]
    return node


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.width = 200  # do not wrap long prompts
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _load(text: str, where: str) -> Any:
    try:
        return _yaml().load(text)
    except (YAMLError, ValueError, RecursionError, TypeError, AttributeError) as error:  # all seen in fuzzing
        raise ParamsError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
