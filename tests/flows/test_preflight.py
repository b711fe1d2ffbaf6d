"""A run that cannot be finished here is refused before its first stage, and only if it has something to do."""

from pathlib import Path

import pytest

from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.preflight import stop_at_preflight
from flows.run import main
from pipeline.errors import StageError
from pipeline.profiles import write_merged
from tests.flows.toy import finish


@pytest.fixture(autouse=True)
def without_gpu(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.chdir(project.root)


def _has_run(project: Project) -> bool:
    return Path(project.root / "ran").exists()


def test_cuda_without_cuda_stops_before_the_first_stage(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "machine.device=cuda"]) == 1
    assert not _has_run(project)
    said = capsys.readouterr().err
    assert "this run cannot finish here: device: machine.device is cuda, but torch sees no CUDA device" in said
    assert said.count("\n") == 1


def test_a_stage_that_needs_no_gpu_is_not_stopped(project: Project) -> None:
    assert main(["download_videos", "--set", "machine.device=cuda"]) == 0
    assert _has_run(project)


def test_told_otherwise_it_starts(project: Project) -> None:
    assert main(["--unchecked", "--set", "machine.device=cuda"]) == 0
    assert _has_run(project)


def test_nothing_to_do_needs_nothing_and_another_machine_may_have_it(project: Project) -> None:
    write_merged(project.root, {"machine": {"device": "cuda", "workers": 10_000}})
    graph, said = Graph(project), list[str]()
    try:
        with pytest.raises(StageError, match=r"device: .*`egovlm doctor`"):
            stop_at_preflight(graph, graph.stages, (), (), said.append)
        assert said == []
        stop_at_preflight(graph, graph.stages, (), ("train_grpo", "evaluate_egoschema"), said.append)
        assert [line.partition(":")[0] + line.partition(":")[2][:12] for line in said] == ["note cores: mach"]
        finish(graph)
        stop_at_preflight(graph, graph.stages, (), (), said.append)
        with pytest.raises(StageError, match="device"):
            stop_at_preflight(graph, graph.stages, ("train_grpo",), (), said.append)
    finally:
        graph.close()
