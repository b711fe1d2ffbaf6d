import errno
import multiprocessing
import os
import re
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.clips.incremental import Item, update_shards
from pipeline.errors import ItemError, StageError
from pipeline.frames.shards import COMMON, Layout, read_bucket, write_manifest
from pipeline.work.items import Workers, call
from pipeline.work.parallel import _work, run_parallel
from tests.unit.work.workers import work

LAYOUT = Layout(pa.schema([*COMMON, ("value", pa.int64())]), 4, 10**6)


def workers(number: int = 2, limit: float = 30.0) -> Workers:
    return Workers("processes", number, limit, 4096)


def test_results_come_with_their_positions_whatever_the_width() -> None:
    tasks = [{"value": i} for i in range(20)]
    for number in (1, 3):
        assert dict(run_parallel(work, tasks, workers(number))) == {i: {"value": i} for i in range(20)}


def test_no_task_no_process() -> None:
    assert list(run_parallel(work, [], workers())) == []


def test_a_bad_item_is_a_value_and_the_others_go_on() -> None:
    results = dict(run_parallel(work, [{"value": 0}, {"value": 1, "do": "bad"}, {"value": 2}], workers()))
    assert results[0] == {"value": 0} and results[2] == {"value": 2}
    assert isinstance(results[1], ItemError) and (results[1].reason, results[1].detail) == ("truncated", "by order")


def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    tasks = [{"value": i} for i in range(6)]
    tasks[2] |= {"do": "crash once", "marker": str(tmp_path / "died")}
    assert dict(run_parallel(work, tasks, workers())) == {i: {"value": i} for i in range(6)}
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_two_workers_is_given_up(tmp_path: Path) -> None:
    results = dict(run_parallel(work, [{"value": 0, "do": "crash"}, {"value": 1}, {"value": 2}], workers(1)))
    assert results[0].reason == "worker_lost" and "-9" in results[0].detail
    assert results[1] == {"value": 1} and results[2] == {"value": 2}


def test_a_worker_that_hangs_is_killed() -> None:
    results = dict(run_parallel(work, [{"value": 0, "do": "hang"}, {"value": 1}], workers(1, limit=1.0)))
    assert results[0].reason == "time_limit"
    assert results[1] == {"value": 1}


def test_a_worker_whose_owner_is_gone_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    spawn = multiprocessing.get_context("spawn")
    ours, other = spawn.Pipe()
    ours.send({"value": 0})
    worker = spawn.Process(target=_work, args=(other, work, 4096))
    worker.start()
    other.close()
    ours.close()  # its task is in the pipe, and nobody will read the result
    worker.join(60)
    assert (worker.exitcode, capfd.readouterr().err) == (0, "")


def test_what_nobody_foresaw_costs_its_item_and_says_where_it_happened() -> None:
    results = dict(run_parallel(work, [{"value": 0, "do": "bug"}, {"value": 1}], workers()))
    assert results[1] == {"value": 1}
    assert results[0].reason == "unexpected"
    assert re.fullmatch(r"ZeroDivisionError: a bug \(at workers\.py:\d+ work < items\.py:\d+ call\)", results[0].detail)


def test_many_surprises_are_a_bug_and_end_the_run() -> None:
    three = [{"value": i, "do": "bug"} for i in range(3)]
    assert len(list(run_parallel(work, three, workers()))) == 3
    with pytest.raises(StageError, match=r"4 items .* ZeroDivisionError: a bug \(at workers\.py"):
        list(run_parallel(work, [*three, {"value": 3, "do": "bug"}], workers()))


def test_what_ends_the_whole_work_comes_home_with_the_place_where_it_happened() -> None:
    with pytest.raises(StageError, match="the disk is full") as error:
        list(run_parallel(work, [{"value": 0, "do": "stop"}], workers()))
    assert "workers.py" in error.value.__notes__[0]


# --- shards kept up to date -------------------------------------------------------------------------------------------


def items(values: dict[str, int], log: Path, **extra: object) -> list[Item]:
    return [Item(i, f"key{v}", {"value": v, "log": str(log), **extra}) for i, v in values.items()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("shard-*")}


def made(log: Path) -> list[int]:
    return sorted(int(line) for line in log.read_text().split()) if log.exists() else []


def test_only_what_changed_is_made_again_and_the_files_do_not_tell(tmp_path: Path) -> None:
    values = {f"clip{i}": i for i in range(12)}
    update_shards(tmp_path / "a", LAYOUT, items(values, tmp_path / "first"), work, workers(), "test")
    assert made(tmp_path / "first") == list(range(12))
    changed = {**values, "new": 99, "clip3": 33}
    del changed["clip5"]
    outcome = update_shards(tmp_path / "a", LAYOUT, items(changed, tmp_path / "second"), work, workers(), "test")
    assert made(tmp_path / "second") == [33, 99]
    assert (outcome.made, outcome.kept) == (2, 10)
    update_shards(tmp_path / "b", LAYOUT, items(changed, tmp_path / "third"), work, workers(1), "test")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_untouched_bucket_is_not_written(tmp_path: Path) -> None:
    values = {f"clip{i}": i for i in range(12)}
    update_shards(tmp_path, LAYOUT, items(values, tmp_path / "log"), work, workers(), "test")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("shard-*")}
    update_shards(tmp_path, LAYOUT, items({**values, "new": 99}, tmp_path / "log"), work, workers(), "test")
    touched = {path.name for path in tmp_path.glob("shard-*") if path.stat().st_mtime_ns != before.get(path.name)}
    assert touched == {f"shard-{LAYOUT.bucket_of('new'):04d}-000.arrow"}


def test_a_failed_item_is_named_and_tried_again(tmp_path: Path) -> None:
    bad = items({"a": 1}, tmp_path / "log", do="bad")
    outcome = update_shards(tmp_path, LAYOUT, bad + items({"b": 2}, tmp_path / "log"), work, workers(), "test")
    assert {i: e.reason for i, e in outcome.failed.items()} == {"a": "truncated"}
    outcome = update_shards(tmp_path, LAYOUT, items({"a": 1, "b": 2}, tmp_path / "log"), work, workers(), "test")
    assert (outcome.failed, outcome.made, outcome.kept) == ({}, 1, 1)


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    values = {f"clip{i}": i for i in range(12)}
    stopped = items(values, tmp_path / "first")
    last = max(stopped, key=lambda item: (LAYOUT.bucket_of(item.item_id), item.item_id))
    last.task["do"] = "stop"
    with pytest.raises(StageError):
        update_shards(tmp_path, LAYOUT, stopped, work, workers(1), "test")
    kept = sum(len(read_bucket(tmp_path, bucket)) for bucket in range(4))
    assert kept > 0
    outcome = update_shards(tmp_path, LAYOUT, items(values, tmp_path / "second"), work, workers(), "test")
    assert outcome.kept == kept and outcome.made == 12 - kept


def test_files_of_other_layouts_go(tmp_path: Path) -> None:
    values = {f"clip{i}": i for i in range(12)}
    update_shards(tmp_path, LAYOUT, items(values, tmp_path / "log"), work, workers(), "test")
    fewer = Layout(LAYOUT.schema, 2, LAYOUT.max_bytes)
    update_shards(tmp_path, fewer, items(values, tmp_path / "log"), work, workers(), "test")
    write_manifest(tmp_path, fewer, {})
    assert sum(len(read_bucket(tmp_path, bucket)) for bucket in range(4)) == 12


def test_a_full_disk_is_no_fault_of_an_item() -> None:
    def write(number: int) -> None:
        raise OSError(number, os.strerror(number))

    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            call(write, number)
    assert call(write, errno.EIO).reason == "unexpected"
