"""dvc.yaml, params.yaml, the code and the reports hold together."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.params import Params, load_params, parse_params
from pipeline.profiles import merge_overlay, profile_names, read_profile

# A change in these touches every stage by its meaning or none: see docs/decisions.md.
FOUNDATION = {
    "records",
    "reports",
    "params",
    "registry",
    "files",
    "layout",
    "tiny_params",
    "train_params",
    "sections",
    "profiles",
    "errors",
    "escape",
    "environment",
    "processes",
    "workspace",
    "picture",
    "provenance",
}

MOST_PARAMS = 146  # 150 with the empty `plugins`; a knob that nobody turns is a constant beside the code that reads it


@pytest.fixture(scope="module")
def stages(repository: Path) -> dict[str, Any]:
    graph: dict[str, Any] = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    assert len(graph) == 9
    return graph


def test_one_name_per_stage_everywhere(repository: Path, stages: dict[str, Any]) -> None:
    modules = {path.stem for path in (repository / "pipeline/stages").glob("[a-z]*.py")}
    assert modules == set(stages)
    for name, stage in stages.items():
        assert stage["cmd"] == f"python -m pipeline.stages {name}"
        assert name in Params.model_fields
        assert name in stage["params"]
        assert f"pipeline/stages/{name}.py" in stage["deps"]


def _imported_files(path: Path, repository: Path) -> set[Path]:
    """Files of the package that `path` imports, at any depth of its syntax tree."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] != "pipeline":
                continue
            base = repository.joinpath(*name.split("."))
            found |= {p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()}
    return found


def _closure(start: Path, repository: Path) -> set[Path]:
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        waiting += _imported_files(path, repository)
    return seen


def test_every_code_dependency_is_in_dvc_yaml(repository: Path, stages: dict[str, Any]) -> None:
    missing = []
    for name, stage in stages.items():
        closure = _closure(repository / f"pipeline/stages/{name}.py", repository)
        assert len(closure) > 1
        for path in sorted(closure):
            relative = path.relative_to(repository)
            if relative.stem in FOUNDATION or relative.name == "__init__.py":
                continue
            if not any(str(relative) == dep or str(relative).startswith(dep + "/") for dep in stage["deps"]):
                missing.append(f"{name} uses {relative}, which is no dependency in dvc.yaml")
    assert not missing, "\n".join(missing)


def test_no_code_dependency_is_idle(repository: Path, stages: dict[str, Any]) -> None:
    idle = []
    for name, stage in stages.items():
        closure = {
            str(p.relative_to(repository)) for p in _closure(repository / f"pipeline/stages/{name}.py", repository)
        }
        idle += [
            f"{name} names {dep} but does not use it"
            for dep in stage["deps"]
            if dep.startswith("pipeline") and not any(path == dep or path.startswith(dep + "/") for path in closure)
        ]
    assert not idle, "\n".join(idle)


def test_every_param_of_a_stage_is_its_dependency(repository: Path, stages: dict[str, Any]) -> None:
    """A stage reads `params.<section>` only for the sections that dvc.yaml lists."""
    wrong = []
    for name, stage in stages.items():
        read = {
            node.attr
            for path in _closure(repository / f"pipeline/stages/{name}.py", repository)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
        }
        used = read & set(Params.model_fields) - {"machine"}  # read by stages, listed by none: see the next test
        assert used, f"{name} reads no params"
        listed = {key.partition(".")[0] for key in stage["params"]}  # `section.key`: that part of a section only
        wrong += [f"{name} reads params.{key}" for key in sorted(used - listed)]
        wrong += [f"{name} lists {key} but does not read it" for key in sorted(listed - used)]
    assert not wrong, "\n".join(wrong)


def test_no_stage_lists_the_machine(stages: dict[str, Any]) -> None:
    """A laptop and a cluster differ in `machine`; a stage that listed it would run again for a number of workers."""
    assert "machine" in Params.model_fields
    assert [name for name, stage in stages.items() if "machine" in str(stage["params"])] == []


def test_a_stage_watches_what_it_imports(repository: Path, stages: dict[str, Any]) -> None:
    """At most a tenth of the lines that a stage watches are never imported by it: an edit there would run it for
    nothing."""
    loose = []
    for name, stage in stages.items():
        watched = {file for dep in stage["deps"] for file in _code(repository / dep)}
        idle = watched - _closure(repository / f"pipeline/stages/{name}.py", repository)
        share = sum(map(_lines, idle)) / sum(map(_lines, watched))
        assert len(watched) > 3
        if share > 0.1:
            loose.append(f"{name}: {share:.0%} of its lines, {sorted(str(p.relative_to(repository)) for p in idle)}")
    assert not loose, "\n".join(loose)


def _code(path: Path) -> list[Path]:
    if path.suffix == ".py":
        return [path]
    return list(path.rglob("*.py")) if path.is_dir() and "pipeline" in path.parts else []


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for key, sub in value.items() for k, v in _leaves(sub, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): value}


def test_every_param_is_read_somewhere(repository: Path) -> None:
    raw = yaml.safe_load((repository / "params.yaml").read_text())
    names = {key.rsplit(".", 1)[-1] for key in _leaves(raw)}
    assert len(names) > 30
    code = [
        path.read_text(encoding="utf-8")
        for path in [*repository.glob("pipeline/**/*.py"), *repository.glob("flows/**/*.py")]
        if path.name not in ("params.py", "tiny_params.py", "train_params.py")
    ]
    attributes = {node.attr for text in code for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    unread = {name for name in names if name not in attributes and not any(f'"{name}"' in text for text in code)}
    assert unread == set()


def test_params_stay_few(repository: Path) -> None:
    assert len(_leaves(yaml.safe_load((repository / "params.yaml").read_text()))) <= MOST_PARAMS


def test_params_yaml_is_valid(repository: Path) -> None:
    load_params(repository / "params.yaml")


def test_every_profile_fits_params_yaml(repository: Path) -> None:
    assert "full" in profile_names(repository)
    text = (repository / "params.yaml").read_text()
    for name in profile_names(repository):
        merged = merge_overlay(text, read_profile(repository, name))
        assert parse_params(yaml.safe_load(merged)) != load_params(repository / "params.yaml")


def test_the_drawing_of_the_rooms_is_true(repository: Path, stages: dict[str, Any]) -> None:
    """docs/rooms.md: every room is drawn, and its table says what dvc.yaml says."""
    text = (repository / "docs/rooms.md").read_text()
    rooms = {path.parent.name for path in (repository / "pipeline").glob("*/__init__.py")}
    assert len(rooms) > 15
    assert [room for room in sorted(rooms) if f"{room}/" not in text.split()] == []
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    drawn = {cells[0].strip("`"): cells[1:] for cells in lines}
    read = {room: [_mark(room, stage["deps"]) for stage in stages.values()] for room in rooms - {"stages"}}
    assert drawn == {room: marks for room, marks in read.items() if any(marks)}


def _mark(room: str, deps: list[str]) -> str:
    if f"pipeline/{room}" in deps:
        return "x"
    return "o" if any(dep.startswith(f"pipeline/{room}/") for dep in deps) else ""
