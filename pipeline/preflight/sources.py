"""Whether the files that the sources name are there. No video is read: that takes hours, and is stage one."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import EgovlmError
from pipeline.params import Params
from pipeline.preflight.findings import Finding
from pipeline.source_params import EgoschemaSource, LocalSource, Source
from pipeline.sources.paths import VIDEO_SUFFIXES

STAGES = ("download_videos",)
_PLACES = ("folder", "questions", "manifest", "uids", "answers", "windows", "videos")


def check_sources(params: Params, root: Path) -> Iterator[Finding]:
    """One line for each source that reads files of this machine."""
    for name, section in sorted(params.download_videos.sources.items()):
        if section is not None and section.kind != "synthetic":
            yield from _source(name, section, params.max_bad_fraction, root)


def _source(name: str, section: Source, max_bad_fraction: float, root: Path) -> Iterator[Finding]:
    where = f"download_videos.sources.{name}"
    if section.kind == "ego4d" and shutil.which("ego4d") is None:
        yield Finding(name, "fail", "the ego4d command is missing", "`pip install ego4d`", STAGES)
    missing = [f"{key} {value}" for key, value in _files(section) if not (root / value).exists()]
    if missing:
        mend = f"get them, correct {where}, or switch the source off by null"
        yield Finding(name, "fail", f"not there: {', '.join(missing)}", mend, STAGES)
        return
    if isinstance(section, LocalSource):
        yield _local(name, root / section.folder, where)
    elif isinstance(section, EgoschemaSource):
        yield _egoschema(name, section, max_bad_fraction, root)


def _files(section: Source) -> Iterator[tuple[str, str]]:
    """(key, path) of what a source reads here; a hub source names paths of its repository."""
    for key in _PLACES if section.kind != "hub" else ():
        value = getattr(section, key, None)
        if isinstance(value, str):
            yield key, value


def _local(name: str, folder: Path, where: str) -> Finding:
    videos = sum(Path(file).suffix.lower() in VIDEO_SUFFIXES for _, _, files in os.walk(folder) for file in files)
    if not videos:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        return Finding(name, "fail", f"no video in {folder} ({suffixes})", f"correct {where}.folder", STAGES)
    return Finding(name, "ok", f"{videos} videos in {folder}")


def _egoschema(name: str, section: EgoschemaSource, max_bad_fraction: float, root: Path) -> Finding:
    from pipeline.sources.egoschema import EgoschemaSource as Benchmark

    rooted = section.model_copy(update={key: str(root / value) for key, value in _files(section)})
    source = Benchmark(name, 0, rooted)
    try:
        items = source.list_videos()
    except EgovlmError as error:
        return Finding(name, "fail", str(error), "get the pinned files", STAGES)
    absent = [item.video_id for item in items if not source.is_there(item)]
    if not absent:
        return Finding(name, "ok", f"all {len(items)} videos in {section.videos}")
    found = f"{len(absent)} of {len(items)} videos are not in {section.videos} (first {absent[0]})"
    allowed = len(absent) / len(items) <= max_bad_fraction
    mend = "get them; what is there is scored as a part"
    return Finding(name, "warn" if allowed else "fail", found, mend, () if allowed else STAGES)
