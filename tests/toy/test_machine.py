"""`machine:` decides where, how fast and what is kept, never what comes out: another machine, the same bytes."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.toy.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STAGES = ("extract_frames", "mine_keyframes", "validate_dataset", "train_grpo", "evaluate_egoschema", "write_report")

ANOTHER = {
    "workers": 1,
    "worker_megabytes_limit": 3000,
    "clip_seconds_limit": 100,
    "device": "cpu",
    "feature_cache_megabytes": 1,
    "features_on_disk": True,
    "save_steps": 1,
    "keep_checkpoints": 1,
}


def test_another_machine_gives_the_same_bytes(whole_road: Project, tmp_path: Path) -> None:
    """Frames, candidates, policy, predictions and metrics, each made again; `dvc.lock` holds their digests."""
    project = Project(tmp_path / "another")
    shutil.copytree(whole_road.root, project.root, symlinks=True)
    here = project.params()["machine"]
    assert all(here[name] != value for name, value in ANOTHER.items())
    project.change({f"machine.{name}": value for name, value in ANOTHER.items()})
    for name in ("checkpoints", "frames", "keyframes", "models/policy", "predictions"):
        shutil.rmtree(project.root / "data" / name)
    before = _products(project)
    project.run("dvc", "repro", "--force", "--single-item", *STAGES)
    assert len(before) > len(STAGES)
    assert _products(project) == before
    assert list((project.root / "data/checkpoints").rglob("*.safetensors"))  # features on disk: the values were read


def _products(project: Project) -> dict[str, str]:
    """Digest of each product of `STAGES`, as DVC recorded it, but for what the run cost."""
    lock: dict[str, Any] = yaml.safe_load((project.root / "dvc.lock").read_text())
    return {
        out["path"]: out["md5"]
        for name in STAGES
        for out in lock["stages"][name]["outs"]
        if "/costs/" not in out["path"]
    }
