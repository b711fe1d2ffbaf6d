"""What benchmarks and tests import from the project exists: no type checker looks at them."""

import ast
from pathlib import Path


def _defined(path: Path) -> set[str]:
    """Names that a module binds at its top level."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for part in ast.walk(node) if isinstance(node, ast.If | ast.Try) else [node]:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(part.name)
            elif isinstance(part, ast.Import | ast.ImportFrom):
                names |= {(alias.asname or alias.name).partition(".")[0] for alias in part.names}
            elif isinstance(part, ast.Assign | ast.AnnAssign):
                targets = part.targets if isinstance(part, ast.Assign) else [part.target]
                names |= {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return names


def test_names_that_benchmarks_and_tests_import_exist(repository: Path) -> None:
    wrong, seen = [], 0
    for path in [*repository.glob("benchmarks/**/*.py"), *repository.glob("tests/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module or node.level:
                continue
            base = repository.joinpath(*node.module.split("."))
            module = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
            if node.module.split(".")[0] not in ("pipeline", "flows", "benchmarks", "tests"):
                continue
            seen += 1
            known = _defined(module) if module else set()
            wrong += [
                f"{path.relative_to(repository)}: {node.module} has no {alias.name}"
                for alias in node.names
                if alias.name not in known
                and not (base / f"{alias.name}.py").is_file()
                and not (base / alias.name).is_dir()
            ]
    assert seen > 500
    assert not wrong, "\n".join(wrong)
