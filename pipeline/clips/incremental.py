"""Bring a folder of shards up to date: only items whose content, settings or code version changed are made again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from pipeline.errors import ArtifactError, ItemError
from pipeline.frames.shards import Digests, Layout, Row, bucket_files, read_bucket, read_table, write_bucket
from pipeline.work.items import Function, Workers
from pipeline.work.parallel import run_parallel


@dataclass(frozen=True)
class Item:
    """One item wanted in the folder. `key` is a digest of all that determines its row; `task` is what a worker gets."""

    item_id: str
    key: str
    task: Any


@dataclass
class ShardUpdate:
    """What an update did: `failed` by item id; `made` and `kept` are numbers of rows."""

    failed: dict[str, ItemError]
    made: int = 0
    kept: int = 0


def update_shards(
    folder: Path, layout: Layout, items: Sequence[Item], function: Function, workers: Workers, title: str
) -> ShardUpdate:
    """Make the rows that are missing or out of date, keep the others, and drop those no longer wanted.

    The files depend on `items` alone: not on earlier contents, the executor or the number of workers. A bucket is
    written as soon as its last row is there, so an interrupted run resumes where it stopped. The folder has no
    manifest until the caller writes one. The next run tries failed items again.

    Args:
        function: makes the row of one task, without `item_id` and `key`; see `run_parallel`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digests = Digests(folder)
    digests.open()
    buckets: list[list[Item]] = [[] for _ in range(layout.buckets)]
    for item in sorted(items, key=lambda item: item.item_id):
        buckets[layout.bucket_of(item.item_id)].append(item)
    outcome = ShardUpdate({})
    waiting: dict[int, _Bucket] = {}
    for number, wanted in enumerate(buckets):
        bucket = _Bucket(number, wanted, _keys(folder, layout, number, digests))
        outcome.kept += len(wanted) - len(bucket.missing)
        if bucket.missing:
            waiting[number] = bucket
        elif bucket.has_extra:
            bucket.write(folder, layout, digests)
    _make(folder, layout, digests, waiting, function, workers, title, outcome)
    return outcome


class _Bucket:
    """One bucket's wanted items, and the new rows received so far."""

    def __init__(self, number: int, wanted: list[Item], present: dict[str, str]) -> None:
        self.number = number
        self.wanted = {item.item_id: item.key for item in wanted}
        self.missing = [item for item in wanted if present.get(item.item_id) != item.key]
        self.usable = bool(present)  # a bucket with a damaged file is made again as a whole
        self.has_extra = bool(set(present) - set(self.wanted))
        self.made: list[Row] = []
        self.pending = len(self.missing)

    def write(self, folder: Path, layout: Layout, digests: Digests) -> None:
        old = read_bucket(folder, self.number) if self.usable else {}
        kept = [row for item_id, row in old.items() if self.wanted.get(item_id) == row["key"]]
        made_ids = {row["item_id"] for row in self.made}
        rows = [row for row in kept if row["item_id"] not in made_ids] + self.made
        write_bucket(folder, layout, self.number, rows, digests)


def _make(
    folder: Path,
    layout: Layout,
    digests: Digests,
    waiting: dict[int, _Bucket],
    function: Function,
    workers: Workers,
    title: str,
    outcome: ShardUpdate,
) -> None:
    items = [item for bucket in waiting.values() for item in bucket.missing]
    results = run_parallel(function, [item.task for item in items], workers)
    for position, result in _progress(results, len(items), title):
        item = items[position]
        bucket = waiting[layout.bucket_of(item.item_id)]
        if isinstance(result, ItemError):
            outcome.failed[item.item_id] = result
        else:
            bucket.made.append({"item_id": item.item_id, "key": item.key, **result})
            outcome.made += 1
        bucket.pending -= 1
        if not bucket.pending:
            bucket.write(folder, layout, digests)
            bucket.made.clear()


def _progress(results: Iterator[Any], total: int, title: str) -> Iterator[Any]:
    bar = tqdm(results, total=total, desc=title, unit="clip", smoothing=0.1, mininterval=0.5, disable=not total)
    return iter(bar)


def _keys(folder: Path, layout: Layout, bucket: int, digests: Digests) -> dict[str, str]:
    """Keys of the rows in a bucket, by item id; {} if any of its files is unusable."""
    keys: dict[str, str] = {}
    for path in bucket_files(folder, bucket):
        if not digests.whole(path):
            return {}
        try:
            table = read_table(path)
        except ArtifactError:
            return {}
        if not table.schema.equals(layout.schema):
            return {}
        keys |= dict(zip(*(_strings(table, name) for name in ("item_id", "key")), strict=True))
    return keys


def _strings(table: pa.Table, column: str) -> list[str]:
    values: list[str] = table.column(column).to_pylist()
    return values
