"""Stage download_videos: every source's videos and annotations into data/raw, probed and checksummed.

Files that are already there and still right are kept; files that no source asks for any longer are removed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipeline.errors import EmptyInput, ItemError, TooManyBadItems
from pipeline.files import write_json
from pipeline.layout import (
    ANNOTATIONS,
    BENCHMARK_QUESTIONS,
    FETCHED,
    RAW,
    RAW_VIDEOS,
    SOURCE_KINDS,
    VIDEOS,
    quarantine_of,
)
from pipeline.params import Params
from pipeline.records import Annotation, Quarantined, Video, is_safe_id, write_rows
from pipeline.reports import NOT_TAKEN, StageReport
from pipeline.sources.base import BadRow, Source
from pipeline.sources.ego4d_clips import Places, placed, read_places
from pipeline.sources.fetching import Fetched, FetchLimits, FetchLog, Task, fetch_all
from pipeline.sources.folder import told_of
from pipeline.sources.registry import build_sources
from pipeline.sources.rows import explain_row
from pipeline.video.probe import VideoProbe, probe

FETCH_SECONDS = 3600.0  # wall clock for one video; one that takes longer is quarantined
PROBE_SECONDS = 120.0  # wall clock to read one video's packets


def run(params: Params, root: Path, report: StageReport) -> None:
    """Fill `root/data/raw`: videos/, annotations, quarantine and benchmarks, and last the manifest videos.parquet."""
    settings, raw = params.download_videos, root / RAW
    raw.mkdir(parents=True, exist_ok=True)
    sources = build_sources(params)
    places = read_places(settings.ego4d_clips, sources, root)
    annotations = _annotations(sources, report)
    report.stop_if_too_bad("question", params.max_bad_fraction)  # before hours of fetching
    for source in sources:
        _stop_if_absent(source, params.max_bad_fraction)
    journal = FetchLog(root / FETCHED)
    tasks = _tasks(sources, root / RAW_VIDEOS, places, report)
    machine = params.machine
    limits = FetchLimits(machine.workers, FETCH_SECONDS, PROBE_SECONDS, machine.worker_megabytes_limit)
    rows = list(_videos(fetch_all(tasks, journal, probe, limits), report))
    report.stop_if_too_bad("video", params.max_bad_fraction)
    report.quarantined.sort(key=lambda row: (row.kind, row.item_id, row.reason))
    kept = {row.path for row in rows}
    journal.finish(kept)
    _remove_strangers(raw, kept)
    kinds = {name: section.kind for name, section in settings.sources.items() if section is not None}
    write_json(root / SOURCE_KINDS, dict(sorted(kinds.items())))
    write_json(root / BENCHMARK_QUESTIONS, {source.name: found for source in sources if (found := source.benchmark())})
    write_rows(root / ANNOTATIONS, annotations, Annotation)
    write_rows(root / quarantine_of(RAW), report.quarantined, Quarantined)
    write_rows(root / VIDEOS, sorted(rows, key=lambda row: row.video_id), Video)


def _annotations(sources: Sequence[Source], report: StageReport) -> list[Annotation]:
    """All readable rows, sorted by source and id; the others go to quarantine."""
    rows: list[Annotation] = []
    for source in sources:
        left_out = {reason: len(names) for reason, names in source.left_out().items()}
        if left_out:
            report.values.setdefault("files_left_out", {})[source.name] = left_out
            print(f"source {source.name}: files left out: {told_of(source.left_out())}", flush=True)
        for row in source.annotations():
            if isinstance(row, BadRow):
                _leave_out(row, source.name, report)
            else:
                report.count("question", "ok", source=source.name)
                rows.append(row)
        _say_not_taken(source.name, report)
    return sorted(rows, key=lambda row: (row.source, row.question_id))


def _leave_out(row: BadRow, source: str, report: StageReport) -> None:
    if row.reason != NOT_TAKEN:
        report.quarantine("question", row.item_id, row.reason, row.detail, source)
        return
    report.count("question", NOT_TAKEN, source=source)
    videos = report.values.setdefault(NOT_TAKEN, {}).setdefault(source, Counter())
    videos[row.detail] += 1


def _say_not_taken(source: str, report: StageReport) -> None:
    """Rows about videos that the source lacks are no error: using part of a data set is a choice. They are reported
    once.

    Raises:
        EmptyInput: all of its rows are like that, so its folder and questions do not belong together.
    """
    videos: Counter[str] | None = report.values.get(NOT_TAKEN, {}).get(source)
    if videos is None:
        return
    rows, first = sum(videos.values()), min(videos)
    told = f"{rows} rows are about {len(videos)} videos that it lacks ({first} ...)"
    counts = report.as_dict()["by_source"]["question"][source]
    if counts == {NOT_TAKEN: rows}:
        raise EmptyInput(
            f"source {source}: all of its {told}. Its folder and questions do not belong together: correct one of them"
        )
    print(f"source {source}: {told} and are left out; {counts.get('ok', 0)} rows are kept", flush=True)
    report.values[NOT_TAKEN][source] = {"rows": rows, "videos": len(videos), "first": first}


def _stop_if_absent(source: Source, most: float) -> None:
    """Say how many of the source's videos are there, if some are known not to be.

    Raises:
        TooManyBadItems: a larger share than `most` is missing.
    """
    missing = source.missing()
    if not missing:
        return
    total = len(source.list_videos())
    told = f"source {source.name}: {total - len(missing)} of {total} videos are there (missing: {min(missing)} ...)"
    if len(missing) / total > most:
        raise TooManyBadItems(
            f"{told}; max_bad_fraction={most} allows {int(most * total)} missing: get them or raise it"
        )
    print(told, flush=True)


def _tasks(sources: Sequence[Source], videos: Path, places: Places, report: StageReport) -> list[Task]:
    """What is to be fetched; ids that cannot name a file and ids given twice go to quarantine."""
    tasks: dict[str, Task] = {}
    for source in sources:
        for item in source.list_videos():
            if not (is_safe_id(item.video_id) and is_safe_id(item.filename)):
                report.quarantine("video", item.video_id, "unsafe_id", repr(item.filename), source.name)
            elif item.video_id in tasks:
                other = tasks[item.video_id].source.name
                report.quarantine("video", item.video_id, "duplicate_id", f"also in {other}", source.name)
            else:
                tasks[item.video_id] = Task(source, placed(item, places), videos / source.name)
    return list(tasks.values())


def _videos(results: Iterable[Fetched], report: StageReport) -> Iterator[Video]:
    """The videos that were fetched and can be read; the others go to quarantine."""
    for done in results:
        source, video_id = done.task.source.name, done.task.item.video_id
        error = done.error
        if error is None:
            try:
                yield _video(done)
            except ValidationError as problem:  # facts about a file that no manifest can hold
                error = ItemError("odd_video", explain_row(problem))
            else:
                report.count("video", "ok", source=source)
        if error is not None:
            report.quarantine("video", video_id, error.reason, error.detail, source)


def _video(done: Fetched) -> Video:
    item, entry, probed = done.task.item, done.entry, done.probed
    if entry is None or not isinstance(probed, VideoProbe):
        raise TypeError(f"{item.video_id}: a fetched video without its probe")
    return Video(
        video_id=item.video_id,
        path=entry.path,
        sha256=entry.sha256,
        bytes=entry.bytes,
        codec=probed.codec,
        width=probed.width,
        height=probed.height,
        frames_per_second=probed.frames_per_second,
        duration_seconds=probed.duration_seconds,
        rotation=probed.rotation,
        hdr=probed.hdr,
        parent_video_id=item.parent_video_id,
        parent_rule=item.parent_rule,
        parent_start_seconds=item.parent_start_seconds,
        source=done.task.source.name,
        licence=item.licence,
    )


def _remove_strangers(raw: Path, kept: set[str]) -> None:
    """Delete every file below videos/ that is not in `kept`, and folders left empty."""
    for path in sorted((raw / "videos").rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(raw).as_posix() not in kept:
            path.unlink()
