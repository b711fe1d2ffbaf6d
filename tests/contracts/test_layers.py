"""Imports point down (docs/decisions.md), heavy libraries stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LEVELS = [
    {"flows"},
    {"pipeline.cli", "pipeline.__main__"},
    {"pipeline.preflight"},
    {"pipeline.stages"},
    {"pipeline.report"},
    {"pipeline.comparison"},
    {"pipeline.grpo", "pipeline.evaluation", "pipeline.keyframes", "pipeline.checks", "pipeline.sources"}
    | {"pipeline.tiny_base", "pipeline.extraction"},
    {"pipeline.engine"},
    {"pipeline.models", "pipeline.questions", "pipeline.clips", "pipeline.decode"},
    {"pipeline.video", "pipeline.work", "pipeline.answers", "pipeline.text", "pipeline.synthetic", "pipeline.pictures"},
    {"pipeline.frames"},
    {
        "pipeline.records",
        "pipeline.reports",
        "pipeline.params",
        "pipeline.registry",
        "pipeline.tiny_params",
        "pipeline.train_params",
        "pipeline.sections",
        "pipeline.profiles",
        "pipeline.errors",
        "pipeline.escape",
        "pipeline.files",
        "pipeline.layout",
        "pipeline.processes",
        "pipeline.workspace",
        "pipeline.picture",
        "pipeline.provenance",
    },
    {"pipeline.environment"},
]
HOMES = {
    "prefect": "flows",
    "dvc": "flows",
    "gto": "flows",
    "trl": "pipeline/grpo",
    "great_expectations": "pipeline/checks",
}
FOUNDATION = LEVELS[-2] | LEVELS[-1]


def _modules(repository: Path) -> list[Path]:
    files = sorted([*repository.glob("pipeline/**/*.py"), *repository.glob("flows/**/*.py")])
    assert len(files) > 20, "found no code to check"
    return files


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _room(module: str) -> str | None:
    """Room of a dotted name: `pipeline.frames.store.FrameStore` -> `pipeline.video`; None for foreign modules."""
    parts = module.split(".")
    if parts[0] == "flows":
        return "flows"
    return ".".join(parts[:2]) if parts[0] == "pipeline" and len(parts) > 1 else None


def _level(room: str) -> int:
    return next(i for i, rooms in enumerate(LEVELS) if room in rooms)


def test_imports_point_down(repository: Path) -> None:
    wrong = []
    for path in _modules(repository):
        own = _room(".".join(path.relative_to(repository).with_suffix("").parts))
        if own in (None, "pipeline.__init__"):
            continue
        for name in _imports(path):
            other = _room(name)
            if other is None or other == own:
                continue
            beside = _level(other) == _level(own) and not {own, other} <= FOUNDATION
            if _level(other) < _level(own) or (beside and _level(own) not in (1,)):
                wrong.append(f"{path.relative_to(repository)} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("library", "home"), HOMES.items())
def test_a_library_stays_in_its_room(repository: Path, library: str, home: str) -> None:
    users = [
        str(path.relative_to(repository))
        for path in _modules(repository)
        if any(name.split(".")[0] == library for name in _imports(path))
    ]
    assert users, f"nobody imports {library}"
    assert [user for user in users if not user.startswith(home)] == []


def test_a_run_starts_without_torch(repository: Path) -> None:
    """torch and transformers cost each `make run` three CPU seconds, also one with nothing to do."""
    code = """
import sys
from pathlib import Path
import flows.full, flows.retrain, flows.run
from pipeline.params import load_params
from pipeline.preflight.check import preflight
preflight(load_params(Path("params.yaml")), Path())
print(sorted({"torch", "transformers", "trl"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_what_runs_inside_the_engine_imports_nothing_of_the_pipeline(repository: Path) -> None:
    files = sorted((repository / "pipeline/engine/inside").glob("*.py"))
    assert {file.name for file in files} == {"egovlm_worker.py", "install.py", "sitecustomize.py"}
    assert [f.name for f in files if any(name.split(".")[0] == "pipeline" for name in _imports(f))] == []


def test_files_are_short(repository: Path) -> None:
    long = {
        str(p.relative_to(repository)): n for p in _modules(repository) if (n := len(p.read_text().splitlines())) > 400
    }
    assert long == {}
