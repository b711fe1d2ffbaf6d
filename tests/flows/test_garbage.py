"""What docs/scaling.md says of a full cache: what goes, what stays, and that nothing is lost that can be made again."""

import json
from pathlib import Path

import pytest

from flows.dvc.project import Project
from flows.promotion.promote import promote
from tests.flows.toy import dvc, finish_run, git

REPOSITORY = Path(__file__).resolve().parents[2]
REMOVE = "dvc exp remove --keep NAME ..."
COLLECT = "dvc gc --workspace --all-experiments --all-tags"


def _cached(root: Path) -> set[str]:
    return {path.parent.name + path.name for path in (root / ".dvc/cache/files/md5").glob("??/*")}


@pytest.mark.faults
def test_collecting_garbage_keeps_champion_kept_experiments_and_workspace(project: Project, tmp_path: Path) -> None:
    guide = (REPOSITORY / "docs/scaling.md").read_text(encoding="utf-8")
    assert REMOVE in guide and COLLECT in guide
    root = project.root
    best = finish_run(project, "best", learning_rate=8e-4)
    assert promote(project, best, print).promote
    before = _cached(root)
    finish_run(project, "poor", learning_rate=3e-4)
    of_poor = _cached(root) - before
    finish_run(project, "kept", learning_rate=6e-4)
    finish_run(project, "last", learning_rate=7e-4)
    dvc(root, *REMOVE.split()[1:-2], "kept", "last")  # the champion's own experiment goes, too: its tag holds it
    dvc(root, *COLLECT.split()[1:], "--force")

    assert of_poor and not of_poor & _cached(root)
    assert dvc(root, "status") == "Data and pipelines are up to date.\n"
    dvc(root, "artifacts", "get", ".", "egovlm-policy", "--stage", "champion", "-o", str(tmp_path / "champion"))
    assert json.loads((tmp_path / "champion/out.json").read_text())["params"]["learning_rate"] == 8e-4
    git(root, "checkout", "-q", "params.yaml")
    dvc(root, "exp", "apply", "kept")
    assert json.loads((root / "data/models/policy/out.json").read_text())["params"]["learning_rate"] == 6e-4

    trained = (root / "ran/train_grpo").read_text().count("in ")
    finish_run(project, "poor-again", learning_rate=3e-4)  # in the run cache, but its files are gone: trained again
    assert (root / "ran/train_grpo").read_text().count("in ") == trained + 1
    assert json.loads((root / "data/models/policy/out.json").read_text())["params"]["learning_rate"] == 3e-4
