"""From params to sources: one `kind`, one class, imported only where it is asked for."""

from pipeline import source_params as types
from pipeline.errors import ParamsError
from pipeline.params import Params
from pipeline.records import is_safe_id
from pipeline.sources.base import Source


def build_sources(params: Params) -> list[Source]:
    """The sources of params.yaml that are switched on, sorted by name.

    Raises:
        ParamsError: all are switched off, or a name cannot name a folder.
    """
    chosen = {name: section for name, section in params.download_videos.sources.items() if section is not None}
    if not chosen:
        raise ParamsError("download_videos.sources: all sources are null; switch one on")
    unsafe = [name for name in chosen if not is_safe_id(name)]
    if unsafe:
        raise ParamsError(f"download_videos.sources: {unsafe[0]!r} cannot name a folder; use letters, digits, _ . -")
    return [build_source(name, params.seed, section) for name, section in sorted(chosen.items())]


def build_source(name: str, seed: int, section: types.Source) -> Source:
    """The source that one entry of `download_videos.sources` describes."""
    match section:
        case types.SyntheticSource():
            from pipeline.sources.synthetic import SyntheticSource

            return SyntheticSource(name, seed, section)
        case types.LocalSource():
            from pipeline.sources.local import LocalSource

            return LocalSource(name, seed, section)
        case types.UrlsSource():
            from pipeline.sources.urls import UrlsSource

            return UrlsSource(name, seed, section)
        case types.HubSource():
            from pipeline.sources.hub import HubSource

            return HubSource(name, seed, section)
        case types.Ego4dSource():
            from pipeline.sources.ego4d import Ego4dSource

            return Ego4dSource(name, seed, section)
        case types.EgoschemaSource():
            from pipeline.sources.egoschema import EgoschemaSource

            return EgoschemaSource(name, seed, section)
