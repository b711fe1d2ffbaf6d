"""A small git + DVC project with the real stages' names and trivial commands, so that flows are tested in seconds."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from flows.dvc.experiments import save_experiment
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from pipeline.profiles import nested, write_merged

REPOSITORY = Path(__file__).resolve().parents[2]


# name, output, inputs
STAGES = (
    ("download_videos", "data/raw", ()),
    ("extract_frames", "data/frames", ("data/raw",)),
    ("validate_dataset", "data/dataset", ("data/raw",)),
    ("train_grpo", "data/models/policy", ("data/frames", "data/dataset")),
    ("evaluate_egoschema", "data/predictions", ("data/models/policy", "data/dataset", "data/raw/out.json")),
)


def _dvc_yaml() -> str:
    lines = ["stages:"]
    for name, out, inputs in STAGES:
        lines += [
            f"  {name}:",
            f"    cmd: python stage.py {name} {out} {' '.join(inputs)}".rstrip(),
            f"    deps: [stage.py{''.join(', ' + i for i in inputs)}]",
            f"    params: [{name}]",
            f"    outs: [{out}]",
            "    metrics:",
            f"      - data/reports/{name}.json: {{cache: false}}",
        ]
        if name == "train_grpo":
            lines.append("      - data/reports/live.json: {cache: false, persist: true}")
        if name == "evaluate_egoschema":
            lines += ["      - data/reports/metrics.json: {cache: false}"]
            lines.append("      - data/reports/result.json: {cache: false}")
    lines += ["artifacts:", "  egovlm-policy: {path: data/models/policy, type: model}"]
    return "\n".join(lines) + "\n"


def git(root: Path, *arguments: str) -> str:
    """Output of a git command in `root`."""
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_project(root: Path) -> Path:
    """A committed toy project in `root`."""
    from dvc.repo import Repo

    root.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.email", "toy@localhost")
    git(root, "config", "user.name", "toy")
    Repo.init(str(root)).close()
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    for name in ("stage.py", "toy_rows.py"):
        shutil.copy(Path(__file__).parent / f"toy_{name.removeprefix('toy_')}", root / name)
    (root / "dvc.yaml").write_text(_dvc_yaml())
    params = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    # the toy's accuracy is made of it
    params = re.sub(r"\n  learning_rate: \S+", "\n  learning_rate: 5.0e-4", params)
    (root / "params.yaml").write_text(params, encoding="utf-8")
    (root / "profiles").mkdir()
    (root / "profiles/quick.yaml").write_text("train_grpo:\n  learning_rate: 3.0e-6\n")
    (root / ".gitignore").write_text("__pycache__/\n/data/*\n!/data/reports/\n/.toy/\n/ran/\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "toy")
    return root


class RecordingRemote:
    """A bare git remote that writes down every ref it is sent; it refuses them all while `refuses` is there.

    Args:
        project: whose remote `name` it becomes.
    """

    def __init__(self, project: Path, place: Path, name: str = "origin") -> None:
        git(place.parent, "clone", "--quiet", "--bare", str(project), str(place))
        git(project, "remote", "add", name, str(place))
        self.place, self.log, self.refuses = place, place / "pushed", place / "refuses"
        hook = place / "hooks/pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text('#!/bin/sh\nif [ -e refuses ]; then echo "no push rights"; exit 1; fi\ncat >> pushed\n')
        hook.chmod(0o755)

    def pushed(self) -> list[str]:
        """Refs in the order they came."""
        return [line.split()[2] for line in self.log.read_text().splitlines()] if self.log.exists() else []


def finish(graph: Graph, *targets: str) -> None:
    """Bring `targets` (all if none) up to date in this process, as `dvc repro` does: for tests whose subject comes
    after the stages, without a process per stage."""
    with contextlib.chdir(graph.project.root):
        graph.repo.reproduce(list(targets) or None)


def finish_run(project: Project, name: str, **overrides: float) -> str:
    """Run everything with `train_grpo.<key>` set, and save it; the experiment's commit."""
    write_merged(project.root, nested({f"train_grpo.{key}": value for key, value in overrides.items()}))
    graph = Graph(project)
    try:
        finish(graph)
        return save_experiment(graph, name, "toy run")[0]
    finally:
        graph.close()


def dvc(root: Path, *arguments: str) -> str:
    """Output of a DVC command in `root`."""
    command = [sys.executable, "-W", "ignore", "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def behave(root: Path, stage: str, words: str | None) -> None:
    """From now on `stage` does `words` (`fail`, `crash`, `sleep=3`); None makes it work again. Not a dependency."""
    note = root / ".toy" / stage
    note.parent.mkdir(exist_ok=True)
    if words is None:
        note.unlink(missing_ok=True)
    else:
        note.write_text(words)


def environment(tmp: Path) -> dict[str, str]:
    """Environment of processes started for a test."""
    return {**os.environ, "PREFECT_HOME": str(tmp / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
