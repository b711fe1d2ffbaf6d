"""A champion is not lost by a setting: prune, shallow and new clones, worktrees, make clean, hands on the tags."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.promotion.memory import RECORD, forget, known_champion
from flows.promotion.promote import promote
from flows.promotion.registry import (
    MODEL,
    REFSPEC,
    ChampionUnresolvable,
    champion,
    champion_stack,
    events,
    registry_tags,
)
from pipeline.cli import main as egovlm
from pipeline.profiles import write_merged
from tests.flows.toy import REPOSITORY, dvc, finish, finish_run, git, make_project

ONE, BETTER = 5e-4, 8e-4


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose run `one` is champion, and whose run `better` waits in the workspace."""
    project = Project(make_project(tmp_path_factory.mktemp("champion") / "toy"))
    assert promote(project, finish_run(project, "one"), print).promote
    finish_run(project, "better", learning_rate=BETTER)
    return project.root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    root = tmp_path / "toy"
    shutil.copytree(template, root, symlinks=True)
    return Project(root)


def _better(project: Project) -> str:
    """The commit of experiment `better`."""
    refs = git(project.root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    return next(ref.split()[0] for ref in refs if ref.endswith("/better"))


def _is_champion(project: Project, name: str = "v1.0.0") -> bool:
    found = known_champion(project, print)
    return found is not None and found.name == name


def _bare_before_the_promotion(project: Project, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(project.root), "origin.git")
    for tag in git(tmp_path / "origin.git", "tag").split():
        git(tmp_path / "origin.git", "tag", "-d", tag)
    git(project.root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    for key in ("fetch.prune", "fetch.pruneTags", "remote.origin.prune"):
        git(project.root, "config", key, "true")


def test_a_promotion_is_written_down_beside_its_tags(project: Project) -> None:
    line = json.loads((project.root / RECORD).read_text())
    current = champion(project)
    assert current is not None
    assert line == {"number": 1, "champion": "v1.0.0", "commit": current.commit, "on": line["on"]}
    assert len(line["on"]) == len("2026-11-26")


def test_a_fetch_that_prunes_takes_no_champion_away(project: Project, tmp_path: Path) -> None:
    _bare_before_the_promotion(project, tmp_path)
    git(project.root, "fetch", "--quiet", "origin")
    assert registry_tags(project) == {}  # git did what the settings say
    said: list[str] = []
    verdict = promote(project, _better(project), said.append)
    assert verdict.promote and verdict.rival == "the champion"
    assert "git had lost egovlm-policy#champion#1, egovlm-policy@v1.0.0 (a fetch that prunes?): restored" in said

    write_merged(project.root, {"publish": {"git_remote": "origin"}})  # our own fetches do not prune
    git(tmp_path / "origin.git", "config", "core.bare", "true")
    promote(project, _better(project), said.append)
    assert len(events(project)) == 2 and _is_champion(project, "v2.0.0")


@pytest.mark.parametrize("is_committed", [True, False], ids=["record in git", "record not in git"])
def test_a_shallow_clone_asks_for_the_champion_it_lacks(project: Project, tmp_path: Path, is_committed: bool) -> None:
    if is_committed:
        git(project.root, "add", RECORD)
        git(project.root, "commit", "--quiet", "-m", "v1.0.0 is champion")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project.root}", "clone")
    clone = Project(tmp_path / "clone")
    assert registry_tags(clone) == {}
    with pytest.raises(ChampionUnresolvable) as refused:
        promote(clone, "HEAD", print)
    said = str(refused.value)
    assert (
        "champions.jsonl names v1.0.0" if is_committed else "origin has a champion (egovlm-policy#champion#1)"
    ) in said
    assert REFSPEC in said and "egovlm rollback --forget" in said
    git(clone.root, "fetch", "--quiet", "origin", REFSPEC)  # the way out that the message names
    assert _is_champion(clone)


def test_a_remote_that_does_not_answer_is_told(project: Project, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project.root}", "clone")
    clone, said = Project(tmp_path / "clone"), list[str]()
    git(clone.root, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    assert known_champion(clone, said.append) is None
    assert said == ["origin does not answer: it is unknown whether it has a champion"]


def test_a_new_clone_and_a_worktree_know_the_champion(project: Project, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(project.root), "clone")
    git(project.root, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    assert _is_champion(Project(tmp_path / "clone")) and _is_champion(Project(tmp_path / "tree"))


def test_tags_removed_by_hand_and_objects_collected_come_back(project: Project) -> None:
    commit = git(project.root, "rev-parse", f"{MODEL}@v1.0.0^{{commit}}")
    dvc(project.root, "exp", "remove", "--all-commits")
    git(project.root, "tag", "-d", *registry_tags(project))
    git(project.root, "reflog", "expire", "--expire=now", "--all")
    git(project.root, "gc", "--quiet", "--prune=now")
    assert _is_champion(project) and git(project.root, "cat-file", "-t", commit) == "commit"


def test_make_clean_leaves_the_champion_and_two_ways_out(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    better = _better(project)
    subprocess.run(
        ["make", "-f", str(REPOSITORY / "Makefile"), "clean"], cwd=project.root, check=True, capture_output=True
    )
    _run(project)  # the better model is made again
    with pytest.raises(ChampionUnresolvable) as refused:
        promote(project, better, print)
    said = str(refused.value)
    assert "the predictions of the champion v1.0.0" in said and "egovlm rollback --forget" in said

    commit = said.split("`dvc exp apply ")[1].split("`")[0]  # make it again, as the message says
    subprocess.run(["dvc", "exp", "apply", commit], cwd=project.root, check=False, capture_output=True)
    _run(project)
    subprocess.run(["dvc", "exp", "apply", "better"], cwd=project.root, check=True, capture_output=True)
    verdict = promote(project, better, print)
    assert verdict.promote and verdict.rival == "the champion"


def _run(project: Project) -> None:
    graph = Graph(project)
    try:
        finish(graph)
    finally:
        graph.close()


def test_a_champion_is_forgotten_deliberately(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.root)
    better = _better(project)
    assert promote(project, better, print).promote
    assert egovlm(["rollback", "--forget", "--to", "v1.0.0"]) == 1
    assert "use only one of them" in capsys.readouterr().err
    assert egovlm(["rollback", "--forget"]) == 0
    assert "there is no champion any more; removed: v1.0.0, v2.0.0" in capsys.readouterr().out
    assert known_champion(project, print) is None and champion_stack(project) == []
    shown = subprocess.run(
        ["gto", "show", f"{MODEL}#champion", "--json"], cwd=project.root, capture_output=True, text=True
    )
    assert json.loads(shown.stdout or "[]") == []
    git(project.root, "tag", "-d", *(tag for tag in registry_tags(project) if "!" in tag))
    assert known_champion(project, print) is None  # also remembered

    verdict = promote(project, finish_run(project, "third", learning_rate=ONE + 1e-4), print)
    assert verdict.promote and verdict.rival == "its base model (there is no champion yet)"
    assert _is_champion(project, "v3.0.0")


def test_what_no_tag_and_no_remote_can_bring_back_is_forgotten_too(project: Project, tmp_path: Path) -> None:
    git(project.root, "add", RECORD)
    git(project.root, "commit", "--quiet", "-m", "v1.0.0 is champion")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project.root}", "clone")
    clone = Project(tmp_path / "clone")
    with pytest.raises(ChampionUnresolvable):
        known_champion(clone, print)
    assert forget(clone) == []
    assert known_champion(clone, print) is None
    assert json.loads((clone.root / RECORD).read_text().splitlines()[-1])["champion"] is None


def test_a_merge_of_the_record_is_a_union_and_its_marks_are_one_line(project: Project) -> None:
    path = project.root / RECORD
    line = path.read_text()
    path.write_text(line + line)  # both sides
    assert _is_champion(project)
    path.write_text(f"<<<<<<< HEAD\n{line}=======\n{line}>>>>>>> other\n")
    with pytest.raises(ChampionUnresolvable, match=r"champions\.jsonl cannot be read .*keep the lines of both sides"):
        known_champion(project, print)
