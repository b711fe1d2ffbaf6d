"""Ways in which people keep and share a checkout, each with a run, its experiment and its champion."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.server.schemas.schedules import CronSchedule

from flows.dvc.experiments import find_experiment
from flows.dvc.project import Project
from flows.promotion.promote import promote
from flows.promotion.registry import champion
from flows.run import main as run
from pipeline.profiles import write_merged
from pipeline.provenance import dvc_digest
from tests.flows.toy import REPOSITORY, dvc, git, make_project

# DVC's own git library leaves files open in shallow clones and worktrees
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished, committed run."""
    root = make_project(tmp_path_factory.mktemp("situations") / "toy")
    _dvc(root, "repro", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "run")
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "toy", symlinks=True)
    return tmp_path / "toy"


def _dvc(root: Path, *arguments: str) -> str:
    return dvc(root, *arguments)


def _cache_is_whole(cache: Path) -> bool:
    """Whether every object of a DVC cache has the digest it is named by: nobody wrote through a link."""
    objects = [path for path in (cache / "files/md5").rglob("*") if path.is_file()]
    assert objects
    return all(dvc_digest(path) == path.parent.name + path.name.removesuffix(".dir") for path in objects)


def _runs_and_promotes(root: Path, monkeypatch: pytest.MonkeyPatch, rate: float = 7e-4) -> None:
    monkeypatch.chdir(root)
    write_merged(root, {"train_grpo": {"learning_rate": rate}})
    assert run([]) == 0
    project = Project(root)
    commit = find_experiment(project)
    assert commit is not None and promote(project, commit, print).promote
    current = champion(project)
    assert current is not None and current.commit == commit
    assert run([]) == 0


def _shallow(root: Path, tmp: Path) -> Path:
    git(tmp, "clone", "--quiet", "--depth", "1", f"file://{root}", "other")
    return tmp / "other"


def _worktree(root: Path, tmp: Path) -> Path:
    git(root, "worktree", "add", "--quiet", "-b", "second", str(tmp / "other"))
    return tmp / "other"


def _detached(root: Path, tmp: Path) -> Path:
    git(root, "checkout", "--quiet", "--detach")
    return root


def _branch(root: Path, tmp: Path) -> Path:
    git(root, "checkout", "--quiet", "-b", "feature/a")
    return root


def _shared_cache(root: Path, tmp: Path) -> Path:
    (root / ".dvc/cache").rename(tmp / "cache")
    _dvc(root, "cache", "dir", "--local", str(tmp / "cache"))
    _dvc(root, "config", "--local", "cache.shared", "group")
    return root


def _lfs(root: Path, tmp: Path) -> Path:
    if shutil.which("git-lfs") is None:
        pytest.skip("no git-lfs here")
    git(root, "lfs", "install", "--local")
    git(root, "lfs", "track", "*.bin")
    (root / "weights.bin").write_bytes(bytes(1000))
    git(root, "add", ".gitattributes", "weights.bin")
    git(root, "commit", "-q", "-m", "a large file")
    return root


def _links(kind: str) -> Callable[[Path, Path], Path]:
    def link(root: Path, tmp: Path) -> Path:
        _dvc(root, "config", "--local", "cache.type", kind)
        _dvc(root, "checkout", "--relink", "-q")
        return root

    return link


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [_shallow, _worktree, _detached, _branch, _shared_cache, _lfs, _links("symlink"), _links("hardlink")],
    ids=["shallow clone", "worktree", "detached HEAD", "branch", "shared cache", "Git LFS", "symlinks", "hardlinks"],
)
def test_a_run_is_saved_and_judged(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, Path], Path]
) -> None:
    place = make(root, tmp_path)
    _runs_and_promotes(place, monkeypatch)
    cache = tmp_path / "cache" if make is _shared_cache else place / ".dvc/cache"
    assert _cache_is_whole(cache)


def test_line_ends_of_another_system_change_no_digest(root: Path, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / ".gitattributes", root)
    git(root, "add", ".gitattributes")
    git(root, "commit", "-q", "-m", "attributes")
    git(tmp_path, "-c", "core.autocrlf=true", "clone", "--quiet", str(root), "clone")
    for name in ("stage.py", "params.yaml", "dvc.yaml"):
        assert (tmp_path / "clone" / name).read_bytes() == (root / name).read_bytes()


@pytest.mark.slow
def test_experiments_in_a_queue_and_in_a_temporary_copy(root: Path) -> None:
    _dvc(root, "exp", "run", "--temp", "-q", "-n", "temporary", "-S", "train_grpo.learning_rate=6e-4")
    _dvc(root, "exp", "run", "--queue", "-q", "-n", "queued", "-S", "train_grpo.learning_rate=8e-4")
    _dvc(root, "exp", "run", "--run-all")
    bases = json.loads(_dvc(root, "exp", "show", "--json"))
    rows = {e["name"]: e["revs"][0]["data"] for base in bases for e in base["experiments"] or []}
    metrics = "data/reports/metrics.json"
    assert {n: row["metrics"][metrics]["data"]["accuracy"] for n, row in rows.items()} == {
        "temporary": 0.6,
        "queued": 0.8,
    }


@pytest.mark.slow
def test_a_cache_that_may_not_be_written_is_named(root: Path) -> None:
    """In a mount namespace of its own: root may write everywhere else."""
    cache = root / ".dvc/cache"
    mount = f"mount --bind {cache} {cache} && mount -o remount,ro,bind {cache} || exit 77"
    script = f"{mount}; exec {sys.executable} -m flows.run"
    write_merged(root, {"train_grpo": {"learning_rate": 7e-4}})
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    unshare = shutil.which("unshare") or pytest.skip("no unshare here")
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", script], cwd=root, env=environment, capture_output=True, text=True
    )
    if done.returncode in (1, 77) and "egovlm" not in done.stderr:
        pytest.skip("nothing may be mounted here")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "egovlm: train_grpo: DVC: " in done.stderr and "Read-only file system" in done.stderr


def test_other_data_and_other_graphs_in_the_repository_are_no_part_of_a_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "notes").mkdir()
    (root / "notes/a.txt").write_text("one")
    _dvc(root, "add", "-q", "notes")
    (root / "side").mkdir()
    (root / "side/dvc.yaml").write_text("stages:\n  copy:\n    cmd: cp ../stage.py out.py\n    outs: [out.py]\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "more data, another graph")
    (root / "notes/a.txt").write_text("two")
    write_merged(root, {"train_grpo": {"learning_rate": 7e-4}})
    monkeypatch.chdir(root)
    assert run([]) == 0
    assert "saved as experiment" in capsys.readouterr().out
    assert (root / "notes/a.txt").read_text() == "two"


def test_two_sides_of_dvc_lock_merge_to_a_run_of_what_differs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(rate: float) -> None:
        write_merged(root, {"train_grpo": {"learning_rate": rate}})
        _dvc(root, "repro", "-q")
        git(root, "commit", "-qam", str(rate))

    git(root, "checkout", "-q", "-b", "other")
    change(6e-4)
    git(root, "checkout", "-q", "main")
    change(7e-4)
    subprocess.run(["git", "merge", "-q", "other"], cwd=root, check=False, capture_output=True)
    assert "<<<<<<<" in (root / "dvc.lock").read_text()
    git(root, "checkout", "--ours", "dvc.lock", "params.yaml")  # what the message says
    monkeypatch.chdir(root)
    assert run([]) == 0


def test_a_stash_between_two_runs_leaves_a_true_record(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_merged(root, {"train_grpo": {"learning_rate": 7e-4}})
    _dvc(root, "repro", "-q", "train_grpo")
    git(root, "stash")  # takes params.yaml and the new dvc.lock away
    monkeypatch.chdir(root)
    assert run([]) == 0
    assert '"accuracy": 0.5' in (root / "data/reports/metrics.json").read_text()
    git(root, "checkout", "--", ".")
    git(root, "stash", "pop")
    assert run([]) == 0
    assert '"accuracy": 0.7' in (root / "data/reports/metrics.json").read_text()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_one_night_one_run_when_the_clocks_change(zone: str) -> None:
    deployments = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    nightly = next(entry for entry in deployments if entry["name"] == "nightly")["schedules"][0]
    schedule = CronSchedule(cron=nightly["cron"], timezone=zone)
    for start in (datetime(2026, 3, 27, tzinfo=ZoneInfo(zone)), datetime(2026, 10, 23, tzinfo=ZoneInfo(zone))):
        dates = asyncio.run(schedule.get_dates(4, start))
        assert [date.astimezone(ZoneInfo(zone)).day - start.day for date in dates] == [0, 1, 2, 3]
