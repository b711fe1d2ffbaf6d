"""The commands that need git and DVC: compare by file, revision and workspace; promote and rollback in one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.dvc.project import Project
from pipeline.cli import main
from pipeline.records import Prediction, read_rows, write_rows
from tests.flows.toy import git, make_project
from tests.support.report_run import Size, make_run

PREDICTIONS = "data/predictions/predictions.parquet"


def _dvc(root: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, capture_output=True)


def _improve(path: Path) -> int:
    """Make the policy right on three questions it had wrong; returns how many predictions changed."""
    rows, changed = read_rows(path, Prediction), 0
    for i, row in enumerate(rows):
        if changed < 3 and (row.model, row.mode, row.view) == ("policy", "reasoning", "video") and not row.correct:
            rows[i] = row.model_copy(update={"option": row.answer})
            changed += 1
    write_rows(path, rows, Prediction)
    return changed


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """HEAD holds the predictions of a run, the workspace better ones on three questions; only read by the tests."""
    project = Project(make_project(tmp_path_factory.mktemp("history") / "toy"))
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    (project.root / ".gitignore").write_text("")
    make_run(project.root, Size(questions=30))
    _dvc(project.root, "add", "-q", "data/predictions")
    git(project.root, "add", "data/predictions.dvc", "dvc.yaml", ".gitignore")
    git(project.root, "commit", "-q", "-m", "first run")
    git(project.root, "tag", "first")
    (project.root / PREDICTIONS).chmod(0o644)
    assert _improve(project.root / PREDICTIONS) == 3
    return project


@pytest.fixture
def two_revisions(history: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """`history`, as the working directory."""
    monkeypatch.chdir(history.root)
    return history


def test_compare_a_revision_with_the_workspace(two_revisions: Project, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = two_revisions.root / "flips"
    assert main(["compare", "first", "workspace", "--json", "--pictures", str(pictures)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["questions"], len(found["gained_questions"]), found["lost_questions"]) == (30, 3, [])
    assert found["gain"]["difference"]["value"] == pytest.approx(0.1)
    with_frames = set(found["gained_questions"]) - {"q-00029"}  # its clip has none
    assert {path.stem for path in pictures.iterdir()} == with_frames


def test_compare_prints_the_test_and_the_flips(two_revisions: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "first", PREDICTIONS, "--most", "2"]) == 0
    text = capsys.readouterr().out
    assert "McNemar" in text
    assert "3 gained, 0 lost" in text
    assert "and 1 more" in text


def test_base_against_policy_of_one_run(two_revisions: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "first", "first", "--models", "base,policy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["second"]["value"] > found["first"]["value"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "no-such-revision"], "the predictions of no-such-revision are unavailable"),
        (
            ["compare", "first", "workspace", "--run", "direct/video"],
            "has no scored prediction of policy direct/video",
        ),
        (["promote"], "nothing has run in this checkout: `egovlm run` first"),
        (["promote", "no-such-commit"], "no-such-commit"),
        (["rollback"], "there is no champion before"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], words: str, two_revisions: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
