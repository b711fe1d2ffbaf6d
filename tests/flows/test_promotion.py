"""Experiments, the registry and promotion on a real git + DVC project, without a server."""

import json
from pathlib import Path

import pytest

from flows.core import nothing_to_do
from flows.dvc.experiments import check_name, commit_of, find_experiment, save_experiment
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.finalize import note_judged
from flows.promotion.promote import promote
from flows.promotion.registry import (
    ChampionUnresolvable,
    champion,
    champion_stack,
    past_champions,
    roll_back,
    withdrawn,
)
from pipeline.errors import ParamsError, StageError
from pipeline.profiles import write_merged
from tests.flows.toy import dvc, finish_run, git


def test_a_complete_run_is_saved_once_and_an_unfinished_one_not_at_all(project: Project) -> None:
    first = finish_run(project, "first")
    assert find_experiment(project) == first == finish_run(project, "again")
    second = finish_run(project, "second", learning_rate=7e-4)
    shown = json.loads(dvc(project.root, "exp", "show", "--json"))
    rows = {e["name"]: e for base in shown for e in (base["experiments"] or []) for e in e["revs"]}
    assert set(rows) == {"first", "second"}
    accuracy = {
        name: row["data"]["metrics"]["data/reports/result.json"]["data"]["accuracy"] for name, row in rows.items()
    }
    assert accuracy == {"first": 0.5, "second": 0.7}

    graph = Graph(project)  # a run that died before its verdict is not "nothing changed": it is still to be judged
    assert nothing_to_do(graph, graph.stages, promote=False) and not nothing_to_do(graph, graph.stages, promote=True)
    note_judged(project)
    assert nothing_to_do(graph, graph.stages, promote=True)
    graph.close()

    write_merged(project.root, {"train_grpo": {"learning_rate": 6e-4}})  # training and evaluation are now out of date
    graph = Graph(project)
    with pytest.raises(StageError, match=r"experiment half was not saved: .*train_grpo did not finish"):
        save_experiment(graph, "half", "no")
    graph.close()
    assert second != first
    assert [commit_of(project, where) for where in ("first", "second", "HEAD")] == [
        first,
        second,
        project.git("rev-parse", "HEAD"),
    ]
    for name in ("a b", "-x", "x/../y", ""):
        with pytest.raises(ParamsError, match="an experiment's name must be"):
            check_name(name)


def test_promotion_rollback_and_refusal(project: Project, tmp_path: Path) -> None:
    assert champion(project) is None

    one = finish_run(project, "one")  # 50 % right, its base 30 %
    assert promote(project, one, print).promote
    assert champion(project) == past_champions(project)[0]
    assert f"{champion(project)}".startswith("Version(name='v1.0.0'")
    assert "(this run wrote no model card)" in git(project.root, "tag", "-n9", "--list", "egovlm-policy@v1.0.0")
    same = promote(project, one, print)
    assert not same.promote and same.against == ("the weights are those of the champion v1.0.0",)

    worse = promote(project, finish_run(project, "worse", learning_rate=4e-4), print)
    assert not worse.promote and "the lower bound of the gain, -0." in worse.against[0]
    better = finish_run(project, "better", learning_rate=8e-4)
    assert promote(project, better, print).promote
    now = champion(project)
    assert now is not None and (now.name, now.commit) == ("v2.0.0", better)

    assert roll_back(project).name == "v1.0.0"
    back = champion(project)
    assert back is not None and back.commit == one
    fetched = tmp_path / "fetched"
    dvc(project.root, "artifacts", "get", ".", "egovlm-policy", "--stage", "champion", "-o", str(fetched))
    assert json.loads((fetched / "out.json").read_text())["params"]["learning_rate"] == 5e-4
    for to, message in (
        (None, r"there is no champion before v1.0.0"),
        ("v9", r"v9 was never champion; champions: v1.0.0, v2.0.0"),
        ("v1.0.0", r"v1.0.0 is already champion"),
    ):
        with pytest.raises(StageError, match=message):
            roll_back(project, to)

    again = promote(project, better, print)  # what a person took away, the gate does not bring back
    assert not again.promote and "those of v2.0.0, which was rolled back" in again.against[0]
    assert promote(project, finish_run(project, "best", learning_rate=9e-4), print).promote
    assert [version.name for version in champion_stack(project)] == ["v1.0.0", "v3.0.0"]
    assert roll_back(project).name == "v1.0.0"  # not v2, which was withdrawn
    assert roll_back(project, "v2.0.0").name == "v2.0.0" and withdrawn(project)[0].name == "v3.0.0"


def test_an_unresolvable_champion_is_never_replaced(project: Project, tmp_path: Path) -> None:
    one = finish_run(project, "one")
    assert promote(project, one, print).promote
    better = finish_run(project, "better", learning_rate=8e-4)

    kept = tmp_path / "cache"
    lock = git(project.root, "show", f"{one}:dvc.lock")
    digest = lock.split("path: data/predictions")[1].split("md5: ")[1].split(".dir")[0]
    (project.root / ".dvc/cache/files/md5" / digest[:2] / f"{digest[2:]}.dir").rename(kept)  # its answers are gone
    with pytest.raises(ChampionUnresolvable, match=r"the predictions of the champion v1.0.0 .* are unavailable"):
        promote(project, better, print)
    kept.rename(project.root / ".dvc/cache/files/md5" / digest[:2] / f"{digest[2:]}.dir")

    git(project.root, "remote", "add", "origin", str(tmp_path / "nowhere.git"))  # nobody can say who is champion
    write_merged(project.root, {"publish": {"git_remote": "origin"}})
    with pytest.raises(ChampionUnresolvable, match="the champion is unknown"):
        promote(project, better, print)
    write_merged(project.root, {"publish": {"git_remote": None}})

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
        promote(project, better, print)
    git(project.root, "tag", "-d", "egovlm-policy#champion#1")
    assert promote(project, better, print).promote
