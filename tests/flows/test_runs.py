"""Runs side by side: `egovlm runs`, and what `dvc exp show --only-changed` fits into a terminal."""

import json
import re
from pathlib import Path

import pytest
import yaml

from flows.dvc.project import Project
from flows.dvc.runs import as_text, finished_runs, note_verdict
from pipeline.cli import main
from pipeline.errors import ParamsError
from pipeline.evaluation.result import ROW
from pipeline.layout import RESULT
from tests.flows.toy import dvc, finish_run, make_project

RATES = {"run-a": 5.0e-4, "run-b": 4.0e-4, "run-c": 8.0e-4}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three saved runs that differ in the learning rate."""
    project = Project(make_project(tmp_path_factory.mktemp("runs") / "toy"))
    for name, rate in RATES.items():
        finish_run(project, name, learning_rate=rate)
    return project


def test_best_first_with_what_differs(kept: Project) -> None:
    runs = finished_runs(kept)
    accuracies = [run.result["accuracy"] for run in runs]
    assert len(runs) == 3 and accuracies == sorted(accuracies, reverse=True) and len(set(accuracies)) > 1
    assert {run.name: run.changed for run in runs} == {
        name: {"train_grpo.learning_rate": rate} for name, rate in RATES.items()
    }
    assert [run.name for run in finished_runs(kept, "created")] == sorted(RATES) or len({r.created for r in runs}) < 3


def test_the_gates_verdict_stands_beside_the_run(kept: Project) -> None:
    best = finished_runs(kept)[0]
    note_verdict(kept, best.commit, "promoted: gain over its base model +10.0")
    table = as_text(finished_runs(kept)).splitlines()
    assert re.split(r"\s{2,}", table[0])[-2:] == ["gate", "learning_rate"]
    assert " promoted " in table[1] and " not asked " in table[2]
    assert all(len(line) <= 120 for line in table)


def test_json_is_whole_and_an_unknown_order_is_refused(
    kept: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(kept.root)
    assert main(["runs", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {run["name"] for run in found} == set(RATES)
    assert found[0]["params"]["train_grpo.learning_rate"] == found[0]["changed"]["train_grpo.learning_rate"]
    with pytest.raises(ParamsError, match="--sort must be one of accuracy, gain"):
        finished_runs(kept, "beauty")


def test_dvc_shows_few_numbers_with_short_names(kept: Project, repository: Path) -> None:
    """The tree and all numbers fit a terminal of 120 columns; the changed params follow."""
    shown = dvc(kept.root, "exp", "show", "--only-changed", "--csv").splitlines()[0].split(",")
    names = {column.rpartition(":")[2] for column in shown}  # the toy declares more metrics than the real graph
    assert set(ROW) | {"train_grpo.learning_rate"} <= names
    assert sum(len(column) + 3 for column in ("├── 1234567 [run-12345678]", "04:00 PM", *ROW)) <= 120
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"].values()
    declared = [name for stage in stages for metric in stage.get("metrics", []) for name in metric]
    assert declared == [RESULT]


def test_no_run_yet(tmp_path: Path) -> None:
    assert "`egovlm run` makes one" in as_text(finished_runs(Project(make_project(tmp_path / "toy"))))
