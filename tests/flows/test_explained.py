"""What DVC, git and GTO raise for a user's mistakes and bad luck is one line with a next step, never a traceback."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.dvc import graph
from flows.dvc.errors import StageFailed
from flows.dvc.explain import explain, explained
from flows.dvc.project import Project
from flows.run import main as run
from pipeline.cli import main as egovlm
from pipeline.errors import StageError
from tests.flows.service import until
from tests.flows.toy import finish_run, make_project

HOLD = """
import time; from pathlib import Path; from dvc.repo import Repo, lock_repo
with lock_repo(Repo(".")):
    Path("locked").touch()
    time.sleep(120)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished run."""
    project = Project(make_project(tmp_path_factory.mktemp("explained") / "toy"))
    finish_run(project, "one")
    return project.root


@pytest.fixture
def root(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(template, tmp_path / "toy", symlinks=True)
    monkeypatch.chdir(tmp_path / "toy")
    return tmp_path / "toy"


def _marks(root: Path) -> None:
    text = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")


def _no_git(root: Path) -> None:
    shutil.rmtree(root / ".git")


def _cycle(root: Path) -> None:
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text.replace("deps: [stage.py]", "deps: [stage.py, data/predictions]", 1))


def _writes(name: str, text: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        (root / name).write_text(text)

    return write


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_marks, "dvc.lock"),
        (_writes("dvc.lock", ""), "dvc.lock"),  # a power cut
        (_writes("dvc.lock", "\0" * 400), "dvc.lock"),
        (_no_git, "git init && git add -A && git commit"),
        (_cycle, "no stage may depend on its own results"),
        (_writes("dvc.yaml", "stages:\n  a: [\n"), "dvc.yaml"),
        (_writes(".dvc/config", "[core\n"), "fix .dvc/config"),
        (_writes(".dvc/tmp/rwlock", "{"), "remove it while no DVC command is running"),
    ],
    ids=["merge marks", "empty lock", "zeroed lock", "no git", "cycle", "torn dvc.yaml", "torn config", "torn rwlock"],
)
def test_a_harmed_checkout_is_one_line(
    root: Path, harm: Callable[[Path], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(root)
    for command in (lambda: run([]), lambda: egovlm(["promote"])):
        code = command()
        error = capsys.readouterr().err
        assert "Traceback" not in error
        if code:  # promote needs neither the config nor the locks
            assert said in error and error.startswith("egovlm: ") and error.count("\n") == 1


def test_a_lock_file_of_a_merge_names_its_line_and_the_way_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _marks(root)
    assert run([]) == 1
    error = capsys.readouterr().err
    assert "'dvc.lock', YAML file structure is corrupted, line 2: take one side of a merge" in error
    assert "git checkout --ours dvc.lock" in error


def test_another_dvc_command_is_waited_for_then_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = subprocess.Popen([sys.executable, "-W", "ignore", "-c", HOLD], cwd=root)
    try:
        until(lambda: (root / "locked").exists(), 60, "DVC is locked")
        monkeypatch.setattr(graph, "LOCK_ATTEMPTS", 1)
        assert run([]) == 1
        assert "another DVC command is running in this checkout: wait for it to end" in capsys.readouterr().err
        monkeypatch.setattr(graph, "LOCK_ATTEMPTS", 20)
        told: list[str] = []
        monkeypatch.setattr(graph.logger, "warning", lambda text, *_: (told.append(text), holder.kill()))
        assert run([]) == 0 and told == ["waiting: another DVC command is running in %s"]
    finally:
        holder.kill()
        holder.wait()


def test_a_bug_is_no_users_mistake() -> None:
    assert explain(KeyError("clip")) is None
    with pytest.raises(KeyError), explained():
        raise KeyError("clip")
    with pytest.raises(StageError, match="mine"), explained():
        raise StageError("mine")


def test_an_error_behind_an_unfinished_progress_bar_is_the_cause() -> None:
    bar = "train_grpo:  50%|#####     | 1/2 [00:14<00:14, 14.33s/step, reward=0.000]"
    output = [f"{bar}egovlm train_grpo: StageError: step 2 is skipped.", bar, "ERROR: exited with 1"]
    assert str(StageFailed("train_grpo", output, 255)) == (
        "train_grpo: step 2 is skipped. Then run again: finished stages are kept"
    )
