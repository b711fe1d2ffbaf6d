"""What the fault tests share: a very small project, stages as processes, and what a folder holds."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.toy.project import Project

# Every stage does all it does at full size, in a second or so of CPU.
TINY = {
    "download_videos.sources.synthetic.videos_train": 8,
    "download_videos.sources.synthetic.videos_dev": 2,
    "download_videos.sources.synthetic.videos_test": 4,
    "download_videos.sources.synthetic.seconds_max": 7.0,
    "extract_frames.shards": 4,
    "prepare_model.tiny.clips": 16,
    "prepare_model.tiny.held_out_clips": 4,
    "prepare_model.tiny.steps.lookup": 3,
    "prepare_model.tiny.steps.see": 3,
    "prepare_model.tiny.steps.combine": 3,
    "prepare_model.tiny.steps.degrade": 2,
    "train_grpo.max_steps": 3,
    "train_grpo.warmup_steps": 1,
    "train_grpo.dev_every": 1,
    "machine.save_steps": 1,
    "train_grpo.max_completion_length": 16,
    "evaluate_egoschema.max_new_tokens": 16,
    "evaluate_egoschema.bootstrap_draws": 100,
}

# What is not a product: costs are measured, checkpoints and locks are for resuming, caches are keyed by content.
NOT_PRODUCTS = ("data/.locks/", "data/reports/costs/", "data/checkpoints/", "data/reports/live/train_grpo/metrics.json")


@dataclass(frozen=True)
class Ended:
    """How a stage ended: `code` negative for a signal, `dying` seconds from the signal to the end (None: no signal)."""

    code: int
    seconds: float
    dying: float | None
    output: str


class Stages:
    """Runs the stages of one project; see forked.py."""

    def __init__(self, project: Project) -> None:
        self.project = project
        environment = {**os.environ, "PYTHONPATH": str(project.root), "OMP_NUM_THREADS": "1"}
        self._log = project.root.parent / "stage.log"
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forked.py")), str(project.root)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        assert self._server.stdin and self._server.stdout
        self._in, self._out = self._server.stdin, self._server.stdout
        assert json.loads(self._out.readline())["ready"]

    def run(self, stage: str, signal: int = 9, after: float | None = None) -> Ended:
        """Run one stage to its end, or to `signal` `after` seconds."""
        job = {"stage": stage, "log": str(self._log), "signal": signal, "after": after}
        self._in.write(json.dumps(job) + "\n")
        self._in.flush()
        answer = json.loads(self._out.readline())
        return Ended(output=self._log.read_text(encoding="utf-8", errors="replace"), **answer)

    def close(self) -> None:
        self._in.close()
        self._server.wait(30)
        self._out.close()


@contextmanager
def stages_of(project: Project) -> Iterator[Stages]:
    """The stages of a project, for the block."""
    stages = Stages(project)
    try:
        yield stages
    finally:
        stages.close()


def products(root: Path) -> dict[str, str]:
    """SHA-256 of every product below data/, by path; a checkpoint of a finished stage or a lock is none."""
    found = {}
    for path in sorted((root / "data").rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith(NOT_PRODUCTS):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def leftovers(root: Path) -> list[str]:
    """Files and folders that only exist while something is written."""
    marks = (".partial", "progress.json", "/writing", "/.hub")
    names = [p.relative_to(root).as_posix() for p in (root / "data").rglob("*")]
    return [name for name in names if any(mark in name for mark in marks)]


def outputs_of(root: Path, stage: str) -> list[str]:
    """What dvc.yaml says the stage makes."""
    graph = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    entries: list[Any] = [*graph.get("outs", []), *graph.get("metrics", []), *graph.get("plots", [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
