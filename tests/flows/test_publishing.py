"""Nothing leaves a machine unasked: a remote that writes down every ref it is sent."""

import json
from pathlib import Path

import pytest

from flows.commands import check_publishing
from flows.dvc.experiments import send_experiments, unsent
from flows.dvc.project import Project
from flows.dvc.publishing import Destination, for_another_machine
from flows.promotion.registry import champion
from flows.promotion.sending import is_registry_unsent, send_registry
from flows.run import main as run
from pipeline.cli import main as egovlm
from pipeline.errors import ParamsError, StageError
from pipeline.profiles import write_merged
from tests.flows.toy import RecordingRemote, dvc, finish_run, git


@pytest.fixture
def origin(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingRemote:
    """The `origin` of `project`, which is the working directory."""
    monkeypatch.chdir(project.root)
    return RecordingRemote(project.root, tmp_path / "origin.git")


def _publish(project: Project, **remotes: str | None) -> None:
    write_merged(project.root, {"publish": remotes})


def _learn(project: Project, rate: float) -> None:
    write_merged(project.root, {"train_grpo": {"learning_rate": rate}})


def test_unset_nothing_is_sent_and_every_run_is_a_row(
    project: Project, origin: RecordingRemote, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([]) == 0
    assert "saved as experiment run-" in (said := capsys.readouterr().out) and "on this machine only" in said
    assert egovlm(["promote"]) == 0
    _learn(project, 8e-4)
    assert run(["--experiment", "better"]) == 0
    assert egovlm(["promote"]) == 0
    assert "the champion is v1.0.0 (" in capsys.readouterr().err
    assert egovlm(["rollback"]) == 0
    assert run([]) == 0  # nothing to do, and no second row
    assert origin.pushed() == []
    (base, *_) = (one for one in json.loads(dvc(project.root, "exp", "show", "--json")) if one["experiments"])
    names = {row["name"] for row in base["experiments"]}
    assert len(names) == 2 and {name.split("-")[0] for name in names} == {"run", "better"}


def test_set_exactly_what_is_announced_is_sent(
    project: Project, origin: RecordingRemote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dvc(project.root, "remote", "add", "store", str(tmp_path / "store"))
    git(project.root, "commit", "-q", "-am", "a remote for data")
    _publish(project, git_remote="origin", dvc_remote="store")
    assert run([]) == 0
    assert egovlm(["promote"]) == 0
    text = "".join(capsys.readouterr())
    lines = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("sent to origin: ")]
    announced = [ref for line in lines for ref in line.partition(", data")[0].split()]
    assert sorted(announced) == sorted(origin.pushed())
    kinds = [ref.split("/")[1] for ref in announced]
    assert (kinds.count("exps"), kinds.count("tags"), len(kinds)) == (1, 2, 3)
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(origin.place), str(other))
    dvc(other, "artifacts", "get", ".", "egovlm-policy", "--stage", "champion", "--remote", "store", "-o", "champion")
    assert json.loads((other / "champion/out.json").read_text())["params"]["learning_rate"] == 5e-4


def test_without_push_rights_a_promotion_is_complete_and_sent_later(
    project: Project, origin: RecordingRemote, capsys: pytest.CaptureFixture[str]
) -> None:
    _publish(project, git_remote="origin")
    origin.refuses.touch()
    assert run([]) == 0
    assert "is saved here but was not sent: `git push" in capsys.readouterr().out
    assert egovlm(["promote"]) == 0
    error = capsys.readouterr().err
    assert error.startswith("registered on this machine, but not sent: ") and error.count("\n") == 1
    now = champion(project)
    assert now is not None and now.name == "v1.0.0" and is_registry_unsent(project) and origin.pushed() == []
    origin.refuses.unlink()
    assert egovlm(["promote"]) == 3  # it is the champion already
    assert "sent to origin: refs/tags/egovlm-policy" in capsys.readouterr().err
    assert run([]) == 0
    assert "sent to origin: refs/exps/" in capsys.readouterr().out
    assert len(origin.pushed()) == 3 and not is_registry_unsent(project)


def test_the_champion_of_a_clone_is_named_before_it_is_used(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.root)
    assert run([]) == 0 and egovlm(["promote"]) == 0
    other = Project(tmp_path / "other")
    git(tmp_path, "clone", "-q", str(project.root), str(other.root))
    git(other.root, "config", "user.email", "other@localhost")
    git(other.root, "config", "user.name", "other")
    monkeypatch.chdir(other.root)
    assert run(["--set", "train_grpo.learning_rate=0.0008"]) == 0
    capsys.readouterr()
    egovlm(["promote"])
    told = capsys.readouterr().err.splitlines()[0]
    assert told.startswith("the champion is v1.0.0 (") and "registered by toy on 20" in told
    assert told.endswith("its run is not in this checkout, so it came with the clone or from a remote")


def test_of_two_who_register_at_once_the_second_is_withdrawn(project: Project, origin: RecordingRemote) -> None:
    commit = finish_run(project, "one")
    git(project.root, "tag", "-a", "egovlm-policy@v1.0.0", "-m", "theirs", "HEAD")
    git(project.root, "push", "-q", "origin", "egovlm-policy@v1.0.0")
    for tag in ("@v1.0.0", "#champion#1"):
        git(project.root, "tag", "-f", "-a", f"egovlm-policy{tag}", "-m", "ours", commit)
    with pytest.raises(StageError, match=r"origin received another egovlm-policy@v1.0.0 meanwhile: .* are withdrawn"):
        send_registry(project, "origin")
    assert git(project.root, "tag", "--list") == "" and not is_registry_unsent(project)


def test_what_a_store_did_not_take_is_remembered(project: Project, origin: RecordingRemote, tmp_path: Path) -> None:
    dvc(project.root, "remote", "add", "store", str(tmp_path / "store"))
    git(project.root, "commit", "-q", "-am", "a remote for data")
    finish_run(project, "one")
    (tmp_path / "store").write_text("the remote's disk is not mounted")
    to = Destination("origin", "store")
    with pytest.raises(StageError, match="one is saved here but was not sent: DVC remote store refused its data"):
        send_experiments(project, ["one"], to, lambda text, is_progress: None)
    finish_run(project, "two", learning_rate=7e-4)
    assert unsent(project) == ["one"]
    (tmp_path / "store").unlink()
    assert len(send_experiments(project, [*unsent(project), "two"], to, lambda text, is_progress: None)) == 2
    assert unsent(project) == []


@pytest.mark.parametrize(
    ("remotes", "message"),
    [
        (
            {"git_remote": "upstream"},
            r"publish.git_remote names 'upstream', which is not a " r"remote here \(found: origin\)",
        ),
        ({"git_remote": "origin", "dvc_remote": "s3"}, r"publish.dvc_remote names 's3', .* \(found: none\)"),
        ({}, r"train_on=gpu sends code and data to another machine: name remotes that both machines reach"),
        ({"git_remote": "origin"}, r"train_on=gpu sends code and data"),
    ],
)
def test_a_remote_that_is_missing_is_named(
    remotes: dict[str, str], message: str, project: Project, origin: RecordingRemote
) -> None:
    _publish(project, **remotes)
    with pytest.raises(ParamsError, match=message):
        for_another_machine(project)


def test_a_stage_travels_through_one_dvc_remote(project: Project, origin: RecordingRemote, tmp_path: Path) -> None:
    dvc(project.root, "remote", "add", "--local", "store", str(tmp_path / "store"))
    _publish(project, git_remote="origin", dvc_remote="store")
    with pytest.raises(ParamsError, match=r"DVC's default remote \(none\), but publish.dvc_remote is store"):
        for_another_machine(project)
    dvc(project.root, "remote", "default", "--local", "store")
    assert for_another_machine(project) == ("origin", "store")


def test_the_doctor_says_what_leaves_this_machine(project: Project, origin: RecordingRemote) -> None:
    (off,) = check_publishing()
    _publish(project, git_remote="origin")
    (on,) = check_publishing()
    _publish(project, git_remote="upstream")
    (wrong,) = check_publishing()
    assert (off.state, on.state, wrong.state) == ("ok", "info", "warn")
    assert off.found.startswith("off: ") and on.found == "runs and promotions are sent to origin, no data"
