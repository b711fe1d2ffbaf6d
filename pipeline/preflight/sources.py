"""Whether the files that the sources name are there. No video is read: that takes hours, and is stage one."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.errors import EgovlmError
from pipeline.params import Params
from pipeline.preflight.findings import Finding
from pipeline.sources.base import Source
from pipeline.sources.ego4d import Ego4dSource
from pipeline.sources.egoschema import EgoschemaParams, EgoschemaSource
from pipeline.sources.folder import survey, told_of
from pipeline.sources.local import LocalSource
from pipeline.sources.paths import VIDEO_SUFFIXES
from pipeline.sources.registry import build_sources

STAGES = ("download_videos",)


def check_sources(params: Params, root: Path) -> Iterator[Finding]:
    """One line for each source that reads files of this machine."""
    for source in build_sources(params):
        yield from _source(source, params.max_bad_fraction, root)


def _source(source: Source, max_bad_fraction: float, root: Path) -> Iterator[Finding]:
    name, where = source.name, f"download_videos.sources.{source.name}"
    if isinstance(source, Ego4dSource) and shutil.which("ego4d") is None:
        yield Finding(name, "fail", "the ego4d command is missing", "`pip install ego4d`", STAGES)
    missing = [str(path) for path in source.local_paths() if not (root / path).exists()]
    if missing:
        mend = f"get them, correct {where}, or switch the source off by null"
        yield Finding(name, "fail", f"not there: {', '.join(missing)}", mend, STAGES)
        return
    if isinstance(source, LocalSource):
        yield _local(name, root / source.folder, where)
    elif isinstance(source, EgoschemaSource):
        yield _egoschema(name, source.params, max_bad_fraction, root)


def _local(name: str, folder: Path, where: str) -> Finding:
    found = survey(folder)
    beside = _beside(found.left_out)
    if not found.videos:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        return Finding(name, "fail", f"no video in {folder} ({suffixes}){beside}", f"correct {where}.folder", STAGES)
    return Finding(name, "ok", f"{len(found.videos)} videos in {folder}{beside}")


def _beside(left_out: Mapping[str, Sequence[str]]) -> str:
    return f"; left out: {told_of(left_out)}" if left_out else ""


def _egoschema(name: str, section: EgoschemaParams, max_bad_fraction: float, root: Path) -> Finding:
    places = {"questions": section.questions, "windows": section.windows, "videos": section.videos}
    places |= {"answers": section.answers} if section.answers is not None else {}
    rooted = section.model_copy(update={key: str(root / value) for key, value in places.items()})
    source = EgoschemaSource(name, 0, rooted)
    try:
        items = source.list_videos()
    except EgovlmError as error:
        return Finding(name, "fail", str(error), "get the pinned files", STAGES)
    absent = [item.video_id for item in items if not source.is_there(item)]
    beside = _beside(source.left_out())
    if not absent:
        return Finding(name, "ok", f"all {len(items)} videos in {section.videos}{beside}")
    found = f"{len(absent)} of {len(items)} videos are not in {section.videos} (first {absent[0]}){beside}"
    allowed = len(absent) / len(items) <= max_bad_fraction
    mend = "get them; what is there is scored as a part"
    return Finding(name, "warn" if allowed else "fail", found, mend, () if allowed else STAGES)
