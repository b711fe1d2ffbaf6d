"""Fetch many videos in parallel, each at most once, resuming where an earlier run stopped.

The journal `fetched.jsonl` beside the videos says which file was fetched from what (`Source.fingerprint`) and its
digest. A file is kept while all agree. The journal grows line by line during a run, so a kill loses nothing; it is
sorted at the end.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import ItemError
from pipeline.files import replacing, sha256_of
from pipeline.sources.base import Source, VideoItem
from pipeline.sources.paths import digest_of
from pipeline.work.items import Workers
from pipeline.work.parallel import run_parallel


@dataclass(frozen=True)
class Task:
    """One video to bring into `folder` (the source's own below `videos/`)."""

    source: Source
    item: VideoItem
    folder: Path

    @property
    def path(self) -> Path:
        """Where the file will be."""
        return self.source.place(self.item, self.folder)


@dataclass(frozen=True)
class Entry:
    """A line of the journal; `path` is relative to the journal's folder, also for a file read in place."""

    path: str
    fingerprint: str
    sha256: str
    bytes: int


class FetchLog:
    """What has been fetched so far, on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = {entry.path: entry for entry in _read_entries(path)}

    def add(self, entry: Entry) -> None:
        """Remember one file at once."""
        self.entries[entry.path] = entry
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(entry))

    def finish(self, kept: set[str]) -> None:
        """Keep only the files of `kept`, sorted, in one line each."""
        self.entries = {path: entry for path, entry in sorted(self.entries.items()) if path in kept}
        with replacing(self.path) as partial:
            partial.write_text("".join(_line(entry) for entry in self.entries.values()), encoding="utf-8")


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"


def _read_entries(path: Path) -> Iterator[Entry]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        try:
            yield Entry(**json.loads(line))
        except (json.JSONDecodeError, TypeError):  # cut off by a kill; that file is fetched again
            continue


Probe = Callable[[Path], object]


@dataclass(frozen=True)
class FetchLimits:
    """The number of workers, and the limits on time and memory per video; see params.yaml."""

    workers: int
    fetch_seconds: float
    probe_seconds: float
    megabytes: int


@dataclass(frozen=True)
class Fetched:
    """The outcome of one task: the probe's result and the file's digest, or the error."""

    task: Task
    probed: object = None
    entry: Entry | None = None
    kept: bool = False
    error: ItemError | None = None


def fetch_all(tasks: Sequence[Task], journal: FetchLog, probe: Probe, limits: FetchLimits) -> Iterator[Fetched]:
    """Fetch every task, then probe each downloaded file, in no particular order; bad ones yield their `ItemError`.

    Foreign files are opened only in worker processes, so a file that crashes, stalls or fills one does not harm the
    run.
    """
    had: list[Fetched] = []
    for done in _fetched(tasks, journal, limits):
        if done.error is not None:
            yield done
        else:
            had.append(done)
    workers = Workers("processes", limits.workers, limits.probe_seconds, limits.megabytes)
    results = run_parallel(probe, [done.task.path for done in had], workers)
    for position, answer in tqdm(results, total=len(had), desc="probe", unit="video", disable=not had):
        if isinstance(answer, ItemError):
            yield replace(had[position], error=answer)
        else:
            yield replace(had[position], probed=answer)


def _fetched(tasks: Sequence[Task], journal: FetchLog, limits: FetchLimits) -> Iterator[Fetched]:
    jobs = [(task, journal.entries.get(_relative(task, journal)), journal.path.parent) for task in tasks]
    workers = Workers("processes", limits.workers, limits.fetch_seconds, limits.megabytes)
    results = run_parallel(_fetch_one, jobs, workers)
    for position, done in tqdm(results, total=len(jobs), desc="fetch", unit="video", disable=not jobs):
        if isinstance(done, ItemError):
            tasks[position].source.learn_of(done)  # a task takes the source's current state to its worker
            yield Fetched(tasks[position], error=done)
            continue
        if not done.kept:
            journal.add(done.entry)
        yield done


def _relative(task: Task, journal: FetchLog) -> str:
    return _from(journal.path.parent, task.path)


def _from(folder: Path, path: Path) -> str:
    """`path` as seen from `folder`, links not followed."""
    return Path(os.path.relpath(path, folder)).as_posix()


Job = tuple[Task, Entry | None, Path]


def _fetch_one(job: Job) -> Fetched:
    task, known, root = job
    fingerprint = task.source.fingerprint(task.item)
    if known is not None and known.fingerprint == fingerprint and _intact(task.path, known):
        return Fetched(task, entry=known, kept=True)
    task.folder.mkdir(parents=True, exist_ok=True)
    path = task.source.fetch(task.item, task.folder)
    entry = Entry(_from(root, path), fingerprint, sha256_of(path), path.stat().st_size)
    _check(task, entry, path)
    return Fetched(task, entry=entry)


def _intact(path: Path, known: Entry) -> bool:
    return path.is_file() and path.stat().st_size == known.bytes and sha256_of(path) == known.sha256


def _check(task: Task, entry: Entry, path: Path) -> None:
    """Check what the source promised; delete a fetched file that does not match."""
    item = task.item
    facts = [("size", item.bytes, entry.bytes), ("checksum", item.sha256, entry.sha256)]
    if item.md5 is not None:
        facts.append(("checksum", item.md5, digest_of(path, "md5")))
    for name, promised, found in facts:
        if promised is not None and promised != found:
            if path.is_relative_to(task.folder):  # never a user's own file
                path.unlink()
            raise ItemError(f"wrong_{name}", f"expected {promised}, found {found}")
