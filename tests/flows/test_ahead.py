"""A stage that needs no other starts with the run: beside it, with the same record, and ended if the run fails."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import yaml
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo

from flows.dvc.ahead import started_ahead
from flows.dvc.errors import StageFailed
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.dvc.reproduce import StageOutcome
from flows.dvc.walk import Walk
from flows.run import main
from tests.flows.service import stage_processes, until
from tests.flows.toy import REPOSITORY, behave, finish

EARLY = "prepare_model"
STAGE = """  prepare_model:
    cmd: python stage.py prepare_model data/models/base
    deps: [stage.py]
    params: [prepare_model]
    outs: [data/models/base]
  train_grpo:
    cmd: python stage.py train_grpo data/models/policy data/models/base data/frames data/dataset
    deps: [stage.py, data/models/base, data/frames, data/dataset]
"""


@pytest.fixture
def graph(project: Project) -> Iterator[Graph]:
    """The toy with a base model that needs nothing and stands in the fourth place."""
    path = project.root / "dvc.yaml"
    before, _, after = path.read_text().partition("  train_grpo:\n")
    path.write_text(before + STAGE + after.split("\n", 2)[2])
    graph = Graph(project)
    yield graph
    graph.close()


def run(graph: Graph, force: bool = False) -> tuple[dict[str, StageOutcome], list[str]]:
    """Outcomes by stage in their order, and the lines that are no progress bars."""
    lines: list[str] = []
    outcomes: dict[str, StageOutcome] = {}
    walk = Walk(graph, [], force)
    with started_ahead(graph, walk) as ahead:
        for step in walk:
            outcomes[step.stage.name] = ahead.reproduce(
                graph, step.stage.name, lambda text, bar: None if bar else lines.append(text), step.forced
            )
    return outcomes, lines


def recorded(graph: Graph) -> dict[str, dict[str, str]]:
    """Digest of each file by stage in dvc.lock, but for the one that counts the trainings."""
    lock = yaml.safe_load((graph.project.root / "dvc.lock").read_text())
    files = {name: [*stage["deps"], *stage["outs"]] for name, stage in lock["stages"].items()}
    return {
        name: {file["path"]: file["md5"] for file in some if not file["path"].endswith("live.json")}
        for name, some in files.items()
    }


def test_two_stages_run_at_once_and_the_record_is_that_of_one_after_the_other(graph: Graph) -> None:
    root = graph.project.root
    behave(root, "download_videos", f"meet={EARLY}")  # each ends only if it meets the other
    behave(root, EARLY, "meet=download_videos")
    outcomes, lines = run(graph)
    assert list(outcomes) == [s.name for s in graph.stages] and list(outcomes).index(EARLY) == 3
    assert set(outcomes.values()) == {StageOutcome.RAN}
    first = [line for line in lines if line.startswith("toy ")]
    assert [line.split()[1] for line in first] == list(outcomes)  # what it prints waits for its turn
    assert graph.status() == {}
    record = recorded(graph)
    for name in outcomes:
        behave(root, name, None)
    (root / "dvc.lock").unlink()
    finish(graph)
    assert recorded(graph) == record
    assert set(run(graph)[0].values()) == {StageOutcome.CACHED}


def test_the_lock_of_the_other_stage_is_waited_for_without_a_word(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At full scale DVC holds it for as long as it hashes a model of gigabytes."""
    monkeypatch.setattr("flows.dvc.graph.LOCK_ATTEMPTS", 1)
    other, held, enough = Repo(str(graph.project.root)), threading.Event(), threading.Event()

    def hold() -> None:
        with lock_repo(other):
            held.set()
            enough.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    with pytest.raises(LockError):
        graph.changes("download_videos")
    graph.is_patient = True
    threading.Timer(4, enough.set).start()  # longer than DVC itself tries
    assert graph.changes("download_videos") == ["never run here"]
    assert enough.is_set() and caplog.text == ""
    holder.join()
    other.close()


def test_it_waits_for_its_turn_if_nothing_before_it_has_to_run(graph: Graph) -> None:
    finish(graph)
    with started_ahead(graph, Walk(graph, [], [EARLY])) as ahead:
        assert ahead.names == frozenset()
    with started_ahead(graph, Walk(graph, [], ["extract_frames"])) as ahead:
        assert ahead.names == frozenset()  # it is up to date
    with started_ahead(graph, Walk(graph, [], ["extract_frames", EARLY])) as ahead:
        assert ahead.names == {EARLY}


def test_no_stage_starts_after_it_has_failed(graph: Graph) -> None:
    root = graph.project.root
    behave(root, EARLY, "fail")
    behave(root, "download_videos", "sleep=4")  # hours at full scale
    with pytest.raises(StageFailed, match="prepare_model: clip a@1 has no frames"):
        run(graph)
    assert not (root / "ran/train_grpo").exists() and not (root / "ran/validate_dataset").exists()


def test_it_is_ended_with_a_run_that_fails(
    graph: Graph, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = graph.project.root
    monkeypatch.chdir(root)
    behave(root, EARLY, "sleep=200")
    behave(root, "download_videos", f"meet={EARLY} fail")
    assert main(["--unchecked"]) == 1
    assert "download_videos: clip a@1 has no frames" in capsys.readouterr().err
    until(lambda: not stage_processes(EARLY, root), 30, "the other stage is gone, long before it would end")
    behave(root, EARLY, None)
    behave(root, "download_videos", None)
    assert main(["--unchecked"]) == 0
    said = capsys.readouterr().out
    assert "[4/6] prepare_model, started with the run\n" in said and "[4/6] prepare_model: ran, waited for it" in said


def test_ctrl_c_ends_both(graph: Graph) -> None:
    root = graph.project.root
    for stage in (EARLY, "download_videos"):
        behave(root, stage, "sleep=200")
    # a shell in the background, as CI's may be, starts its commands with SIGINT off
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from flows.run import main; "
    process = subprocess.Popen(
        [sys.executable, "-c", code + "raise SystemExit(main(['--unchecked']))"], cwd=root,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until(lambda: stage_processes(EARLY, root) and stage_processes("download_videos", root), 120, "both run")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "\negovlm: interrupted; run it again to resume: finished stages are kept\n"
    assert not stage_processes(EARLY, root) and not stage_processes("download_videos", root)
