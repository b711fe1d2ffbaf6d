"""Every path is written once in code, in `pipeline/layout.py`, and dvc.yaml agrees with it."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import layout


@pytest.fixture(scope="module")
def outputs(repository: Path) -> set[str]:
    stages: dict[str, Any] = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    entries = [e for s in stages.values() for kind in ("outs", "metrics", "plots") for e in s.get(kind, [])]
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def _paths() -> set[str]:
    return {value for name, value in vars(layout).items() if name.isupper() and isinstance(value, str)}


def _within(path: str, folders: set[str] | tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def test_every_path_is_written_by_a_stage_or_stays_on_this_machine(outputs: set[str]) -> None:
    assert len(_paths()) > 30
    above = {str(parent) for output in outputs for parent in Path(output).parents}
    assert {path for path in _paths() - above if not _within(path, outputs | set(layout.OF_THIS_MACHINE))} == set()
    assert not any(_within(path, outputs) for path in layout.OF_THIS_MACHINE)


def test_every_output_of_dvc_yaml_is_known(repository: Path, outputs: set[str]) -> None:
    stages = list(yaml.safe_load((repository / "dvc.yaml").read_text())["stages"])
    known = _paths() | {layout.report_of(stage) for stage in stages} | {layout.cost_of(stage) for stage in stages}
    unknown = {path for path in outputs if path not in known and not _within(path, (layout.PLOTS, layout.LIVE))}
    assert len(outputs) > 20
    assert unknown == set()


def test_no_other_module_spells_a_path_out(repository: Path) -> None:
    spelled, seen = [], 0
    for path in sorted([*repository.glob("pipeline/**/*.py"), *repository.glob("flows/**/*.py")]):
        if path.name == "layout.py":
            continue
        seen += 1
        spelled += [
            f"{path.relative_to(repository)}:{node.lineno} {node.value.splitlines()[0]}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("data/")
        ]
    assert seen > 200
    assert not spelled, "\n".join(spelled)
