"""Run one training stage in several processes: the stage starts a launcher, whose workers run the stage's module."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from accelerate import PartialState

from pipeline.errors import ParamsError, StageError
from pipeline.files import write_json
from pipeline.models.device import resolve_device
from pipeline.params import Machine
from pipeline.processes import die_with_parent
from pipeline.records import Quarantined
from pipeline.reports import StageReport

GRACE_SECONDS = 5.0
JOIN_SECONDS = 1800.0  # how long a process waits for the others; transformers' default
LAUNCHERS = {"torchrun": "torch.distributed.run", "accelerate": "accelerate.commands.accelerate_cli"}


def is_worker() -> bool:
    """Whether a launcher started this process."""
    return "RANK" in os.environ


def is_main_worker() -> bool:
    """Whether this process writes the results."""
    return os.environ.get("RANK", "0") == "0"


def join_processes(machine: Machine) -> None:
    """Connect the processes of a launcher and give each its device, before a model is loaded."""
    PartialState(cpu=resolve_device(machine) == "cpu", timeout=timedelta(seconds=JOIN_SECONDS))


def launcher_command(launch: str, module: str) -> list[str]:
    """The command of `train_grpo.launch` for a Python module, without a shell.

    Raises:
        ParamsError: it does not start with a known launcher.
    """
    words = shlex.split(launch)
    if not words or words[0] not in LAUNCHERS:
        raise ParamsError(f"train_grpo.launch must start with one of {', '.join(LAUNCHERS)}, found {launch!r}")
    return [sys.executable, "-m", LAUNCHERS[words[0]], *words[1:], "-m", module]


def run_workers(launch: str, module: str, root: Path, handoff: Path, report: StageReport) -> None:
    """Run the workers in `root` and take over the report that the main one leaves in `handoff`.

    Raises:
        StageError: a worker failed; its message was printed before.
    """
    handoff.unlink(missing_ok=True)
    process = subprocess.Popen(
        launcher_command(launch, module), cwd=root, start_new_session=True, preexec_fn=_end_with_stage
    )
    try:
        code = process.wait()
    finally:
        if process.poll() is None:
            _end(process)
    if code or not handoff.is_file():
        raise StageError(f"train_grpo: {launch!r} exited with code {code}; see the worker's message above")
    collect_report(handoff, report)


def _end_with_stage() -> None:
    die_with_parent(signal.SIGTERM)  # a launcher passes it on to its workers


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to the launcher's group, SIGKILL after `GRACE_SECONDS`."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def write_report(handoff: Path, report: StageReport) -> None:
    """Leave a worker's report for the process that started it."""
    outcomes = {kind: dict(counts) for kind, counts in report.outcomes.items()}
    quarantined = [row.model_dump() for row in report.quarantined]
    write_json(handoff, {"outcomes": outcomes, "quarantined": quarantined, "values": report.values})


def collect_report(handoff: Path, report: StageReport) -> None:
    """Take over a worker's report."""
    content = json.loads(handoff.read_text(encoding="utf-8"))
    for kind, counts in content["outcomes"].items():
        for outcome, number in counts.items():
            report.count(kind, outcome, number)
    quarantined: Sequence[dict[str, str]] = content["quarantined"]
    report.quarantined += [Quarantined.model_validate(row) for row in quarantined]
    report.values |= content["values"]
    handoff.unlink()
