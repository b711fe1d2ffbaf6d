"""A project of its own for every end-to-end test: this code in a new git and DVC repository, sized for seconds."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

COPIED = (
    "pipeline",
    "flows",
    "dvc.yaml",
    "params.yaml",
    ".dvcignore",
    ".gitignore",
    "prefect.yaml",
    "pyproject.toml",
    "data/README.md",
)


def set_keys(params: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set dotted keys in loaded params; a key that is not there is a mistake of the test."""
    for dotted, value in overrides.items():
        *path, last = dotted.split(".")
        section = params
        for part in path:
            section = section[part]
        assert last in section, f"params.yaml has no {dotted}"
        section[last] = value


class Project:
    """A folder with the pipeline's code, its own git repository and its own DVC repository."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the project with this interpreter's scripts first on the path."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # The project's own copy of the code is what runs, as for a person who works in a clone.
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(self.root)}
        result = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=800
        )
        if check and result.returncode != 0:
            pytest.fail(
                f"{' '.join(command)} exited {result.returncode}:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
            )
        return result

    def change(self, overrides: Mapping[str, Any]) -> None:
        """Change params.yaml by dotted keys."""
        params = self.params()
        set_keys(params, overrides)
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def params(self) -> dict[str, Any]:
        """params.yaml as it is now."""
        loaded: dict[str, Any] = yaml.safe_load((self.root / "params.yaml").read_text())
        return loaded


def make_project(repository: Path, root: Path) -> Project:
    """Copy the code at `repository` (as it is in the working tree) into the new repository `root`."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *COPIED],
        cwd=repository, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, files):
        if (repository / name).is_file():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((repository / name).read_bytes())
    project = Project(root)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.email", "toy@example.invalid")
    project.run("git", "config", "user.name", "toy")
    project.run("dvc", "init", "-q")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "toy")
    return project
