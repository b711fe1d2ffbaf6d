"""Results between two clones through a DVC remote, without a server."""

import json
import shutil
from pathlib import Path

import pytest

from flows.dvc.errors import ResultMissing
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.remote.clone import check_out, make_clone, use_dvc_remote
from flows.remote.remote_stage import published_snapshot, pull_inputs, push_inputs
from flows.remote.result import push_result, restore_result
from pipeline.errors import StageError
from pipeline.profiles import write_merged
from pipeline.provenance import dvc_digest
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


def _train_over_there(graph: Graph, worker: Project) -> Graph:
    """What egovlm-train does before it sends the result; the worker's graph."""
    push_inputs(graph, "train_grpo", "egovlm", _silent)
    with published_snapshot(graph.project, ".") as commit:
        check_out(worker, commit)
    there = Graph(worker)
    pull_inputs(there, "train_grpo", _silent)
    finish(there, "train_grpo")
    return there


def test_a_result_comes_home_whole_and_a_wrong_one_does_not(clones: tuple[Graph, Project], tmp_path: Path) -> None:
    graph, worker = clones
    here, before = graph.project, (graph.project.root / "dvc.lock").read_bytes()
    there = _train_over_there(graph, worker)
    assert not (worker.root / "data/raw/videos").exists()  # only what the stage reads has travelled
    digest = push_result(there, "train_grpo", _silent)
    assert git(worker.root, "status", "--porcelain", "egovlm-result") == ""  # nothing is left of the trip

    (here.root / "data/reports/live.json").write_text('{"runs": 7}')  # of another run; DVC keeps such a file
    restore_result(graph, "train_grpo", f"train_grpo: Completed, result {digest}", "egovlm", _silent)
    assert not (here.root / "ran/train_grpo").exists()
    for path in ("data/models/policy/out.json", "data/reports/train_grpo.json", "data/reports/live.json"):
        assert (here.root / path).read_bytes() == (worker.root / path).read_bytes()
    assert graph.changes("train_grpo") == []
    assert not (here.root / "egovlm-result").exists()
    taken = (here.root / "dvc.lock").read_bytes()
    assert taken != before
    finish(graph, "train_grpo")  # DVC agrees: nothing to do, and the file is as it would have written it
    assert not (here.root / "ran/train_grpo").exists() and (here.root / "dvc.lock").read_bytes() == taken

    with pytest.raises(ResultMissing, match="without naming its result"):
        restore_result(graph, "train_grpo", "all went well", "egovlm", _silent)
    with pytest.raises(
        ResultMissing, match=r"its result \(0+\) is not in the DVC remote; the stage " "is not run here instead"
    ):
        restore_result(graph, "train_grpo", f"result {'0' * 32}", "egovlm", _silent)
    assert (here.root / "dvc.lock").read_bytes() == taken
    there.close()


def test_a_half_sent_result_and_one_for_other_inputs_leave_the_record_as_it_was(
    clones: tuple[Graph, Project], tmp_path: Path
) -> None:
    graph, worker = clones
    there = _train_over_there(graph, worker)
    message = f"result {push_result(there, 'train_grpo', _silent)}"
    here, before = graph.project, (graph.project.root / "dvc.lock").read_bytes()
    write_merged(here.root, {"train_grpo": {"learning_rate": 7e-4}})  # somebody edits while the stage is away
    with pytest.raises(ResultMissing, match="code or inputs changed here meanwhile: train_grpo"):
        restore_result(graph, "train_grpo", message, "egovlm", _silent)
    assert (here.root / "dvc.lock").read_bytes() == before and not (here.root / "ran/train_grpo").exists()

    write_merged(here.root, {"train_grpo": {"learning_rate": 5e-4}})
    policy = dvc_digest(worker.root / "data/models/policy/out.json")
    (tmp_path / "store/files/md5" / policy[:2] / policy[2:]).unlink()
    shutil.rmtree(here.root / ".dvc/cache/files/md5" / policy[:2])
    with pytest.raises(ResultMissing, match="is not in the DVC remote"):
        restore_result(graph, "train_grpo", message, "egovlm", _silent)
    assert (here.root / "dvc.lock").read_bytes() == before and not (here.root / "ran/train_grpo").exists()
    there.close()


def test_stale_and_missing_inputs_are_noticed(clones: tuple[Graph, Project], tmp_path: Path) -> None:
    graph, worker = clones
    there = _train_over_there(graph, worker)
    assert there.stale_outputs(["data/frames", "data/dataset/questions.parquet"]) == []
    (worker.root / "data/dataset/questions.parquet").unlink()
    (worker.root / "data/dataset/questions.parquet").write_text("old")
    (worker.root / "data/frames/out.json").unlink()
    assert there.stale_outputs(["data/frames", "data/dataset/questions.parquet"]) == [
        "data/frames",
        "data/dataset/questions.parquet",
    ]
    pull_inputs(there, "train_grpo", _silent)  # restores both
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
