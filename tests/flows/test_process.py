"""Commands: live output, real exit codes, and nothing that outlives its flow."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.dvc.errors import StageFailed
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.dvc.reproduce import StageOutcome, reproduce
from flows.processes.process import run_streaming
from flows.processes.progress import Progress, read_progress
from tests.flows.service import until
from tests.flows.toy import REPOSITORY, STAGES, behave


def _run(code: str, tmp_path: Path) -> tuple[int, list[tuple[str, bool]]]:
    lines: list[tuple[str, bool]] = []
    exit_code = run_streaming([sys.executable, "-c", code], tmp_path, lambda text, bar: lines.append((text, bar)))
    return exit_code, lines


def test_lines_bars_and_exit_code_arrive(tmp_path: Path) -> None:
    code = (
        "import sys; print('a'); print('b', end='\\r'); print('\\x1b[31mc\\x1b[0m'); sys.stderr.write('d'); sys.exit(7)"
    )
    assert _run(code, tmp_path) == (7, [("a", False), ("b", True), ("c", False), ("d", False)])


def test_flows_of_a_worker_that_was_started_by_hand_send_nothing_home(tmp_path: Path) -> None:
    code = "import flows.dvc, subprocess, sys; subprocess.run([sys.executable, '-m', 'dvc', 'version'], check=True)"
    ours = ("DVC_NO_ANALYTICS", "DO_NOT_TRACK")
    bare = {name: value for name, value in os.environ.items() if name not in ours}
    subprocess.run(["git", "init", "-q", str(tmp_path / "project")], check=True)
    (tmp_path / "reports").mkdir()  # where DVC lays down what it is about to send
    environment = {**bare, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path / "reports")}
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "project", env=environment, check=True, capture_output=True
    )
    assert list((tmp_path / "reports").glob("tmp*")) == []


def _grandchildren(tmp_path: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if _is_sleeper(p, str(tmp_path))]


def _is_sleeper(process: psutil.Process, word: str) -> bool:
    try:
        return word in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


# a child that starts a grandchild in a session of its own (as torchrun does), which ignores SIGTERM
STUBBORN = """
import subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(999)"
subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], start_new_session=True)
time.sleep(999)
"""


def test_an_error_ends_the_whole_tree_even_what_ignores_sigterm_in_another_session(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    def stop(text: str, is_progress: bool) -> None:
        raise Stop

    with pytest.raises(Stop):
        run_streaming([sys.executable, "-c", STUBBORN, str(tmp_path)], tmp_path, stop)
    assert not _grandchildren(tmp_path)


def test_the_guard_ends_the_tree_of_a_flow_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from flows.processes.process import run_streaming\n"
        f"run_streaming([sys.executable, '-c', {STUBBORN!r}, sys.argv[1]], Path('.'), lambda t, p: None)"
    )
    flow = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2])
    until(lambda: len(_grandchildren(tmp_path)) >= 3, 20, "the tree is up")
    os.kill(flow.pid, signal.SIGKILL)
    flow.wait()
    until(lambda: not _grandchildren(tmp_path), 12, "the tree is gone")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("frames:  45%|###   | 9/20 [00:10<00:12,  1.1it/s]", Progress(45, "frames 9/20, 00:10 gone, 00:12 to go")),
        (" 12%|█▏        | 3.1M/25M [00:01<?, ?B/s]", Progress(12, "3.1M/25M, 00:01 gone, ? to go")),
        ("loss 45% better", None),
    ],
)
def test_progress_is_read_from_tqdm_lines(line: str, expected: Progress | None) -> None:
    assert read_progress(line) == expected


def test_stages_run_once_are_restored_after_a_detour_and_fail_with_their_own_words(project: Project) -> None:
    graph = Graph(project)
    lines: list[str] = []

    def all_stages() -> dict[str, StageOutcome]:
        return {s.name: reproduce(graph, s.name, lambda text, _: lines.append(text)) for s in graph.stages}

    names = [name for name, _, _ in STAGES]
    assert [stage.name for stage in graph.stages] == names
    assert graph.changes(names[0]) == ["never run here"]
    assert all_stages() == dict.fromkeys(names, StageOutcome.RAN)
    assert all_stages() == dict.fromkeys(names, StageOutcome.CACHED)
    assert graph.status() == {}

    params = project.root / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("jpeg_quality: 95", "jpeg_quality: 96"))
    assert graph.changes("extract_frames") == ["extract_frames modified"]
    behave(project.root, "extract_frames", "crash")
    with pytest.raises(StageFailed) as failed:
        all_stages()
    assert failed.value.exit_code == 1  # DVC's own is 255
    assert "extract_frames: KeyError: 'clip a@1' (exit code 1)" in str(failed.value)
    assert any(line.startswith("Traceback") for line in failed.value.lines)
    behave(project.root, "extract_frames", "sleep=0.3 resume=1")
    with pytest.raises(StageFailed, match=r"killed by SIGKILL.*out of memory"):
        all_stages()
    assert "extract_frames: resumed from step 1" not in lines
    assert all_stages()["extract_frames"] is StageOutcome.RAN
    assert "extract_frames: resumed from step 1" in lines
    params.write_text(text)
    assert all_stages()["extract_frames"] is StageOutcome.RESTORED
    graph.close()
