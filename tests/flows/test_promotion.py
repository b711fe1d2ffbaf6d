"""Experiments, the registry and promotion on a real git + DVC project, without a server."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.experiments import check_name, find_experiment, push_experiment, save_experiment
from flows.graph import Graph
from flows.project import Project
from flows.promotion import promote
from flows.registry import ChampionUnresolvable, champion, past_champions, push_registry, roll_back
from flows.reproduce import reproduce
from pipeline.errors import ParamsError, StageError
from pipeline.profiles import nested, write_merged
from tests.flows.toy import git


def _finish_run(project: Project, name: str, **overrides: float) -> str:
    """Run everything with `train_grpo.<key>` set, and save it; the experiment's commit."""
    write_merged(project.root, nested({f"train_grpo.{key}": value for key, value in overrides.items()}))
    graph = Graph(project)
    try:
        for stage in graph.stages:
            reproduce(graph, stage.name, lambda text, _: None)
        return save_experiment(graph, name, "toy run")[0]
    finally:
        graph.close()


def _dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_a_complete_run_is_saved_once_and_an_unfinished_one_not_at_all(project: Project) -> None:
    first = _finish_run(project, "first")
    assert find_experiment(project) == first == _finish_run(project, "again")
    second = _finish_run(project, "second", learning_rate=7e-4)
    shown = json.loads(_dvc(project.root, "exp", "show", "--json"))
    rows = {e["name"]: e for base in shown for e in (base["experiments"] or []) for e in e["revs"]}
    assert set(rows) == {"first", "second"}
    accuracy = {
        name: row["data"]["metrics"]["data/reports/metrics.json"]["data"]["accuracy"] for name, row in rows.items()
    }
    assert accuracy == {"first": 0.5, "second": 0.7}

    write_merged(project.root, {"train_grpo": {"learning_rate": 6e-4}})  # training and evaluation are now out of date
    graph = Graph(project)
    with pytest.raises(StageError, match="experiment half is not saved: train_grpo changed"):
        save_experiment(graph, "half", "no")
    graph.close()
    assert second != first and find_experiment(project) is None
    for name in ("a b", "-x", "x/../y", ""):
        with pytest.raises(ParamsError, match="experiment must be"):
            check_name(name)


def test_promotion_rollback_and_refusal(project: Project, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(project.root), "origin.git")
    git(project.root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    assert champion(project) is None

    one = _finish_run(project, "one")  # 50 % right, its base 30 %
    assert promote(project, one).promote
    assert champion(project) == past_champions(project)[0]
    assert f"{champion(project)}".startswith("Version(name='v1.0.0'")
    assert "(this run wrote no model card)" in git(project.root, "tag", "-n9", "--list", "egovlm-policy@v1.0.0")
    same = promote(project, one)
    assert not same.promote and same.against == ("the weights are those of the champion v1.0.0",)

    worse = promote(project, _finish_run(project, "worse", learning_rate=4e-4))
    assert not worse.promote and "the lower bound of the gain, -0." in worse.against[0]
    time.sleep(1.1)  # GTO orders assignments by the second
    better = _finish_run(project, "better", learning_rate=8e-4)
    assert promote(project, better).promote
    now = champion(project)
    assert now is not None and (now.name, now.commit) == ("v2.0.0", better)
    assert "refs/tags/egovlm-policy#champion#2" in git(project.root, "ls-remote", "origin")

    time.sleep(1.1)
    assert roll_back(project).name == "v1.0.0"
    back = champion(project)
    assert back is not None and back.commit == one
    fetched = tmp_path / "fetched"
    _dvc(project.root, "artifacts", "get", ".", "egovlm-policy", "--stage", "champion", "-o", str(fetched))
    assert json.loads((fetched / "out.json").read_text())["params"]["learning_rate"] == 5e-4
    with pytest.raises(StageError, match=r"no champion came before v1"):
        roll_back(project)
    with pytest.raises(StageError, match=r"v9 never was champion; champions: v1.0.0, v2.0.0"):
        roll_back(project, "v9")


def test_an_unresolvable_champion_is_never_replaced(project: Project, tmp_path: Path) -> None:
    one = _finish_run(project, "one")
    assert promote(project, one).promote
    better = _finish_run(project, "better", learning_rate=8e-4)

    kept = tmp_path / "cache"
    lock = git(project.root, "show", f"{one}:dvc.lock")
    digest = lock.split("path: data/predictions")[1].split("md5: ")[1].split(".dir")[0]
    (project.root / ".dvc/cache/files/md5" / digest[:2] / f"{digest[2:]}.dir").rename(kept)  # its answers are gone
    with pytest.raises(ChampionUnresolvable, match=r"the answers of the champion v1.0.0 .* are not to be had"):
        promote(project, better)
    kept.rename(project.root / ".dvc/cache/files/md5" / digest[:2] / f"{digest[2:]}.dir")

    git(project.root, "remote", "add", "origin", str(tmp_path / "nowhere.git"))  # nobody can say who is champion
    with pytest.raises(ChampionUnresolvable, match="the champion is not known"):
        promote(project, better)
    git(project.root, "remote", "remove", "origin")

    git(project.root, "tag", "-d", "egovlm-policy@v1.0.0")  # a champion without a version
    git(
        project.root,
        "tag",
        "-f",
        "-a",
        "egovlm-policy#champion#1",
        "-m",
        "torn",
        git(project.root, "rev-parse", "HEAD"),
    )
    with pytest.raises(ChampionUnresolvable):
        promote(project, better)
    git(project.root, "tag", "-d", "egovlm-policy#champion#1")
    assert promote(project, better).promote


def test_experiments_travel_with_their_data_to_the_remotes(project: Project, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(project.root), "origin.git")
    assert not push_experiment(
        project, "one", lambda text, _: None, has_dvc_remote=False
    )  # no git remote: said, not done
    git(project.root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    _dvc(project.root, "remote", "add", "-d", "store", str(tmp_path / "store"))
    git(project.root, "commit", "-q", "-am", "remote")
    git(project.root, "push", "-q", "origin", "main")
    _finish_run(project, "one")
    assert push_experiment(project, "one", lambda text, _: None, has_dvc_remote=True)
    assert push_registry(project)
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(tmp_path / "origin.git"), str(other))
    _dvc(other, "exp", "pull", "origin", "one")
    _dvc(other, "exp", "apply", "one")
    assert (other / "data/models/policy/out.json").read_bytes() == (
        project.root / "data/models/policy/out.json"
    ).read_bytes()
    shutil.rmtree(other)
