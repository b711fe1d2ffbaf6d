"""Results between two clones through a DVC remote, without a server."""

import json
from pathlib import Path

import pytest

from flows.dvc.errors import RunCacheMiss
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.remote.clone import check_out, make_clone, use_dvc_remote
from flows.remote.runcache import MISS, main, result_digest
from flows.remote.travel import published_snapshot, pull_inputs, push_inputs, restore_result
from pipeline.errors import StageError
from tests.flows.toy import finish, git


def _silent(text: str, is_progress: bool) -> None:
    pass


@pytest.fixture
def clones(project: Project, tmp_path: Path) -> tuple[Graph, Project]:
    """A sender whose data stages have run, and a worker's clone of it."""
    store = str(tmp_path / "store")
    use_dvc_remote(project, store)
    graph = Graph(project)
    finish(graph, "extract_frames", "validate_dataset")
    worker = make_clone(str(project.root), tmp_path / "worker", store)
    return graph, worker


def _train_over_there(graph: Graph, worker: Project) -> str:
    """What egovlm-train does; the digest it reports."""
    push_inputs(graph, "train_grpo", "egovlm", _silent)
    with published_snapshot(graph.project, ".") as commit:
        check_out(worker, commit)
    there = Graph(worker)
    pull_inputs(there, "train_grpo", _silent)
    finish(there, "train_grpo")
    there.close()
    return result_digest(worker, "train_grpo")


def test_a_result_comes_home_whole_and_a_wrong_one_does_not(
    clones: tuple[Graph, Project], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    graph, worker = clones
    here = graph.project
    digest = _train_over_there(graph, worker)
    assert not (worker.root / "data/raw/videos").exists()  # only what the stage reads has travelled
    monkeypatch.chdir(here.root)
    assert main(["restore", "train_grpo", digest]) == MISS  # nobody has sent it yet
    assert "is not in the DVC remote for the present inputs" in capfd.readouterr().err
    assert not (here.root / "ran/train_grpo").exists()

    monkeypatch.chdir(worker.root)
    assert main(["push", "train_grpo"]) == 0
    (here.root / "data/reports/live.json").write_text('{"runs": 7}')  # of another run; DVC keeps such a file
    restore_result(here, "train_grpo", f"train_grpo: Completed, result {digest}", _silent)
    assert not (here.root / "ran/train_grpo").exists()
    for path in ("data/models/policy/out.json", "data/reports/train_grpo.json", "data/reports/live.json"):
        assert (here.root / path).read_bytes() == (worker.root / path).read_bytes()
    assert graph.changes("train_grpo") == [] and result_digest(here, "train_grpo") == digest

    with pytest.raises(RunCacheMiss, match="without naming its result"):
        restore_result(here, "train_grpo", "all went well", _silent)
    with pytest.raises(RunCacheMiss, match="is not in the DVC remote"):
        restore_result(here, "train_grpo", "result 0123456789abcdef", _silent)


def test_stale_and_missing_inputs_are_noticed(clones: tuple[Graph, Project], tmp_path: Path) -> None:
    graph, worker = clones
    _train_over_there(graph, worker)
    there = Graph(worker)
    assert there.stale_outputs(["data/frames", "data/dataset/questions.parquet"]) == []
    (worker.root / "data/dataset/questions.parquet").unlink()
    (worker.root / "data/dataset/questions.parquet").write_text("old")
    (worker.root / "data/frames/out.json").unlink()
    assert there.stale_outputs(["data/frames", "data/dataset/questions.parquet"]) == [
        "data/frames",
        "data/dataset/questions.parquet",
    ]
    pull_inputs(there, "train_grpo", _silent)  # mends both
    assert "stage" in json.loads((worker.root / "data/frames/out.json").read_text())
    assert there.stale_outputs(["data/frames", "data/dataset"]) == []
    there.close()


def test_a_worker_takes_only_commits_that_were_sent(project: Project, tmp_path: Path) -> None:
    worker = make_clone(str(project.root), tmp_path / "worker")
    with pytest.raises(StageError, match="commit must be a full hash, found 'main; rm -rf /'"):
        check_out(worker, "main; rm -rf /")
    with pytest.raises(StageError, match="checkout"):
        check_out(worker, "0" * 40)
    with pytest.raises(StageError, match="is not a worker's checkout"):
        check_out(project, git(worker.root, "rev-parse", "HEAD"))
