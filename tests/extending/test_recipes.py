"""What docs/extend.md says is executed; a package of somebody else's registers an entry."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ParamsError
from pipeline.grpo.rewards import REWARDS, rewards_in_use
from pipeline.preflight.names import check_names
from tests.extending.recipes import copy_code, follow
from tests.support.small_run import small_params


def test_every_step_of_contributing_by_the_letter(repository: Path, tmp_path: Path) -> None:
    root = copy_code(repository, tmp_path / "code")
    changed = follow((root / "docs/extend.md").read_text(encoding="utf-8"), root)
    assert len(changed) == 11
    assert [path for path in changed if path.startswith(("tests/", "params.yaml", "pipeline/params"))] == []
    environment = {**os.environ, "PYTHONPATH": str(root)}
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-m", "tests.extending.extended", str(tmp_path / "work")]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("all six work\n"), done.stderr[-3000:]


@pytest.mark.slow
def test_the_tests_of_the_rooms_stay_green_with_the_new_entries(repository: Path, tmp_path: Path) -> None:
    root = copy_code(repository, tmp_path / "code")
    follow((root / "docs/extend.md").read_text(encoding="utf-8"), root)
    tests = ["contracts/test_graph.py", "contracts/test_layers.py", "unit/grpo/test_rewards.py"]
    tests += ["unit/grpo/test_trainer.py", "unit/grpo/test_tracking.py", "unit/keyframes/test_signals.py"]
    tests += [
        "unit/models/test_families.py",
        "unit/evaluation/test_benchmarks.py",
        "unit/sources/test_annotation_forms.py",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{name}" for name in tests)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def _install(repository: Path, folder: Path, version: str | None = None) -> None:
    """The package of docs/extend.md as pip leaves it behind: its module, and its metadata beside."""
    block = (repository / "docs/extend.md").read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    project = tomllib.loads(block)["project"]
    info = folder / f"{project['name'].replace('-', '_')}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    name, shown = project["name"], version or project["version"]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {shown}\n")
    points = project["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in entries.items()) for group, entries in points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (folder / "acme_egovlm.py").write_text(
        "from pipeline.grpo.rewards.rollout import Rollout\n\n\n"
        "def brief(rollout: Rollout) -> float:\n    return float(rollout.correct and rollout.tokens < 100)\n"
    )


@pytest.fixture
def installed(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    _install(repository, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("acme_egovlm", None)


def test_a_package_registers_a_reward_and_is_imported_only_if_it_is_used(installed: Path) -> None:
    assert "brief" in REWARDS and list(REWARDS)[-1] == "brief"
    assert rewards_in_use({"accuracy": 1.0}) == {"accuracy": 1.0}
    assert "acme_egovlm" not in sys.modules
    REWARDS.check(["brief"], "train_grpo.rewards", {"acme-egovlm": "1.2.0"})
    assert rewards_in_use({"brief": 0.1, "accuracy": 1.0}) == {"accuracy": 1.0, "brief": 0.1}
    assert REWARDS["brief"].__module__ == "acme_egovlm"


@pytest.mark.parametrize(("pins", "found"), [({}, "does not pin"), ({"acme-egovlm": "1.1.0"}, r"pins at 1\.1\.0")])
def test_another_version_than_the_pinned_one_is_refused(installed: Path, pins: dict[str, str], found: str) -> None:
    told = rf"comes from acme-egovlm 1\.2\.0, which params\.yaml {found}: set train_grpo\.plugins to .*\"1\.2\.0\""
    params = small_params(rewards={"accuracy": 1.0, "brief": 0.1}, plugins=pins)
    (finding,) = check_names(params, installed)
    assert finding.stages == ("train_grpo",)
    with pytest.raises(ParamsError, match=told):
        REWARDS.check(params.train_grpo.rewards, "train_grpo.rewards", pins)


def test_a_name_that_two_claim_or_nobody_has_is_refused(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REWARDS.own, "brief", lambda rollout: 0.0)
    with pytest.raises(ParamsError, match="'brief' is registered by egovlm and by acme-egovlm: remove one"):
        REWARDS.check(["brief"], "train_grpo.rewards", {"acme-egovlm": "1.2.0"})
    with pytest.raises(ParamsError, match=r"train_grpo\.rewards: no reward 'breif'; choose from format, accuracy, "):
        REWARDS.check(["breif"], "train_grpo.rewards", {})
