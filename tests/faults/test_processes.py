"""One stage as a real process: signals, a second run beside it, a full disk, a read-only folder."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline import workspace
from pipeline.errors import StageError
from pipeline.workspace import disk_refusal, sole_run, stop_if_full
from tests.faults.harness import TINY, leftovers, products
from tests.toy.project import set_keys

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and orphans are tested on Linux")


def start(root: Path, stage: str = "download_videos") -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.stages", stage],
        cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(root: Path, stage: str = "download_videos") -> tuple[int, str]:
    process = start(root, stage)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.fixture
def root(tmp_path: Path) -> Path:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    set_keys(params, TINY)
    (tmp_path / "project").mkdir()
    (tmp_path / "project/params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path / "project"


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    """Until the stage has written something into `path`."""
    deadline = time.monotonic() + 90
    while not (path.is_file() and path.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_stage_is_stopped_killed_and_resumed(root: Path, tmp_path: Path) -> None:
    journal = root / "data/raw/fetched.jsonl"
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = start(root)
        wait_for(journal, process)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == code, said
        assert "Traceback" not in said
        _, alive = psutil.wait_procs(family, timeout=5)
        assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []
        journal.unlink(missing_ok=True)
    assert finish(root)[0] == 0
    assert leftovers(root) == []
    once = products(root)
    again = tmp_path / "again"
    again.mkdir()
    (again / "params.yaml").write_bytes((root / "params.yaml").read_bytes())
    assert finish(again)[0] == 0
    assert products(again) == once


def test_ctrl_c_while_the_workers_start_is_one_line(root: Path) -> None:
    process = start(root)
    workers: list[psutil.Process] = []
    while process.poll() is None and not workers:
        time.sleep(0.005)
        children = psutil.Process(process.pid).children()
        workers = [child for child in children if any("spawn_main" in word for word in child.cmdline())]
    assert all(deaf_to(signal.SIGINT, worker.pid) for worker in workers)  # whether it is hit in time is luck
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the stage and all its workers
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "ended by SIGINT" in said
    assert "Traceback" not in said


def test_a_stop_waits_until_the_worker_is_started() -> None:
    code = """
import os, signal
from pipeline.processes import Stopped, starting_a_process, stop_on_signals
stop_on_signals()
try:
    with starting_a_process():
        os.kill(os.getpid(), signal.SIGTERM)
        print("started")
except Stopped as stopped:
    print(stopped)
"""
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["started", "SIGTERM"]


def deaf_to(number: int, process: int) -> bool:
    """Whether a process holds the signal back or ignores it, as the kernel says."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    masks = {
        name: int(value, 16)
        for name, _, value in (line.partition(":") for line in lines)
        if name.startswith("Sig") and name != "SigQ"
    }
    return bool((masks["SigBlk"] | masks["SigIgn"]) >> (number - 1) & 1)


def test_two_runs_of_one_stage_do_not_meet(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "WAIT_SECONDS", 0.2)
    with sole_run(root, "extract_frames"):
        with pytest.raises(StageError, match=f"another run of extract_frames .process {os.getpid()}."), \
                sole_run(root, "extract_frames"):  # fmt: skip
            pass
        with sole_run(root, "prepare_model"):  # other stages may run beside it, as DVC lets them
            pass
    with sole_run(root, "extract_frames"):
        pass


@pytest.fixture
def small_disk(root: Path) -> Iterator[Path]:
    """The project's data/ on a tmpfs of 300 KiB."""
    data = root / "data"
    data.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(data)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield data
    subprocess.run(["umount", "-l", str(data)], check=True)


def test_a_full_disk_is_said_so_and_the_run_goes_on_when_there_is_room(root: Path, small_disk: Path) -> None:
    code, said = finish(root)
    assert code == 1
    assert "is full" in said and "free some space" in said
    assert "Traceback" not in said
    assert not (small_disk / "raw/videos.parquet").exists()
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    code, said = finish(root)
    assert code == 0, said
    assert leftovers(root) == []


def test_a_read_only_data_folder_is_said_so(root: Path) -> None:
    data = root / "data"
    data.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(data)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a read-only tmpfs cannot be mounted here: {done.stderr.strip()}")
    try:
        with pytest.raises(StageError, match=r"cannot write.*make data/ writable"), sole_run(root, "download_videos"):
            pass
    finally:
        subprocess.run(["umount", "-l", str(data)], check=True)


def test_what_a_library_says_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    wrapped = RuntimeError("I/O error: No space left on device (os error 28)")
    assert "is full" in (disk_refusal(wrapped, tmp_path) or "")
    inner = RuntimeError("cannot save")
    inner.__cause__ = OSError(errno.EDQUOT, "quota")
    assert "is full" in (disk_refusal(inner, tmp_path) or "")
    assert "cannot write" in (disk_refusal(PermissionError(errno.EACCES, "no", "x.json"), tmp_path) or "")
    assert disk_refusal(ValueError("a bug"), tmp_path) is None
    stop_if_full(OSError(errno.ECONNRESET, "reset"), tmp_path)
    with pytest.raises(StageError, match="is full"):
        stop_if_full(OSError(errno.ENOSPC, "full"), tmp_path)
