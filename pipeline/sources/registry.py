"""Make sources from params: one class per `kind`."""

from typing import Any

from pipeline.errors import ParamsError
from pipeline.params import Params, SourceSection
from pipeline.records import is_safe_id
from pipeline.registry import Registry
from pipeline.sections import Plugins, parse_section
from pipeline.sources.base import Source, SourceParams
from pipeline.sources.ego4d import Ego4dSource
from pipeline.sources.egoschema import EgoschemaSource
from pipeline.sources.formats import READERS
from pipeline.sources.hub import HubSource
from pipeline.sources.local import LocalSource
from pipeline.sources.real import RealParams
from pipeline.sources.synthetic import SyntheticSource
from pipeline.sources.urls import UrlsSource

# Any: each is a subclass of Source that is called with (name, seed, an instance of its own `section`).
SOURCES: Registry[Any] = Registry(
    "kind of source",
    "egovlm.sources",
    {
        "synthetic": SyntheticSource,
        "local": LocalSource,
        "urls": UrlsSource,
        "hub": HubSource,
        "ego4d": Ego4dSource,
        "egoschema": EgoschemaSource,
    },
)


def read_sections(params: Params) -> dict[str, SourceParams]:
    """The sections of the enabled sources, as their kinds' own classes, sorted by name.

    Raises:
        ParamsError: all are disabled, a name cannot name a folder, or a section does not fit its kind.
    """
    chosen = {name: section for name, section in params.download_videos.sources.items() if section is not None}
    if not chosen:
        raise ParamsError("download_videos.sources: all sources are null; enable one")
    unsafe = [name for name in chosen if not is_safe_id(name)]
    if unsafe:
        raise ParamsError(f"download_videos.sources: {unsafe[0]!r} cannot name a folder; use letters, digits, _ . -")
    plugins = params.download_videos.plugins
    return {name: _parsed(name, section, plugins) for name, section in sorted(chosen.items())}


def _parsed(name: str, section: SourceSection, plugins: Plugins) -> SourceParams:
    key = f"download_videos.sources.{name}"
    SOURCES.check([section.kind], f"{key}.kind", plugins)
    kind: type[Source] = SOURCES[section.kind]
    parsed = parse_section(kind.section, section.model_dump(), f"{key}.")
    if isinstance(parsed, RealParams):
        READERS.check([parsed.format], f"{key}.format", plugins)
    return parsed


def build_sources(params: Params) -> list[Source]:
    """The enabled sources of params.yaml, sorted by name; see `read_sections`."""
    return [SOURCES[section.kind](name, params.seed, section) for name, section in read_sections(params).items()]
