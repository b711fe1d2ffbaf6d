"""Whether the files that the sources name exist. No video is read: that takes hours, and is the first stage's work."""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.errors import EgovlmError
from pipeline.params import Params
from pipeline.preflight.findings import Finding
from pipeline.records import Annotation
from pipeline.reports import NOT_TAKEN
from pipeline.sources.base import BadRow, Source
from pipeline.sources.ego4d import Ego4dSource
from pipeline.sources.egoschema import EgoschemaParams, EgoschemaSource
from pipeline.sources.folder import survey, told_of
from pipeline.sources.local import LocalParams, LocalSource
from pipeline.sources.paths import VIDEO_SUFFIXES
from pipeline.sources.registry import build_sources

STAGES = ("download_videos",)


def check_sources(params: Params, root: Path) -> Iterator[Finding]:
    """One line for each source that reads local files."""
    for source in build_sources(params):
        yield from _source(source, params.max_bad_fraction, root)


def _source(source: Source, max_bad_fraction: float, root: Path) -> Iterator[Finding]:
    name, where = source.name, f"download_videos.sources.{source.name}"
    if isinstance(source, Ego4dSource) and shutil.which("ego4d") is None:
        yield Finding(name, "fail", "the ego4d command is not installed", "`pip install ego4d`", STAGES)
    missing = [str(path) for path in source.local_paths() if not (root / path).exists()]
    if missing:
        mend = f"get them, correct {where}, or disable the source with null"
        yield Finding(name, "fail", f"not there: {', '.join(missing)}", mend, STAGES)
        return
    if isinstance(source, LocalSource):
        yield from _local(source, root, where)
    elif isinstance(source, EgoschemaSource):
        yield _egoschema(name, source.params, max_bad_fraction, root)


def _local(source: LocalSource, root: Path, where: str) -> Iterator[Finding]:
    """The videos of the folder, and how many of those that the questions are about."""
    name, folder = source.name, root / source.folder
    found = survey(folder)
    beside = _beside(found.left_out)
    if not found.videos:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        yield Finding(name, "fail", f"no video in {folder} ({suffixes}){beside}", f"correct {where}.folder", STAGES)
        return
    told = f"{len(found.videos)} videos in {folder}{beside}"
    questions = str(root / source.params.questions)
    rooted = LocalParams.model_validate(source.params.model_dump() | {"questions": questions})
    try:
        rows = list(LocalSource(name, 0, rooted).rows_on([source.item(video) for video in found.videos]))
    except EgovlmError as error:
        yield Finding(name, "fail", str(error), f"correct {where}.questions", STAGES)
        return
    yield _rows(name, told, rows, where)


def _rows(name: str, told: str, rows: Sequence[Annotation | BadRow], where: str) -> Finding:
    """What the questions file holds for the videos that are there; a row on another video is left out, and no fault."""
    bad = [row for row in rows if isinstance(row, BadRow)]
    absent = {row.detail for row in bad if row.reason == NOT_TAKEN}
    used, without = len(rows) - len(bad), sum(row.reason == NOT_TAKEN for row in bad)
    told += f"; {used} of {len(rows)} questions are on them"
    if not used:
        return Finding(name, "fail", told, f"correct {where}: folder and questions do not belong together", STAGES)
    if without:
        told += f", {without} on {len(absent)} that are not there ({min(absent)} ...) and not taken"
        return Finding(name, "warn", told, "that share is what is trained on; get more videos if you want more")
    return Finding(name, "ok", told)


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
    absent, beside = source.missing(), _beside(source.left_out())
    if not absent:
        return Finding(name, "ok", f"all {len(items)} videos in {section.videos}{beside}")
    there = len(items) - len(absent)
    found = f"{len(absent)} of {len(items)} videos are not in {section.videos} (first {absent[0]}){beside}"
    found += f"; a score on {there} is no score of EgoSchema" + (
        f", and is uncertain by {_points(there)}" if there else ""
    )
    allowed = len(absent) / len(items) <= max_bad_fraction
    mend = "get them" if allowed else f"get them; up to {max_bad_fraction:.0%} may be missing (max_bad_fraction)"
    return Finding(name, "warn" if allowed else "fail", found, mend, () if allowed else STAGES)


def _points(questions: int) -> str:
    """Half a 95 % interval of an accuracy near one half, in percentage points."""
    return f"{98 / math.sqrt(questions):.0f} points"
