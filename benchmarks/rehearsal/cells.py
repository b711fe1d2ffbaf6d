"""What a launcher starts for the matrix: several small trainings, one after another, each in a fork of this process.

`python -m benchmarks.rehearsal.cells CELLS.json`. Libraries are imported once, which takes longer than a training
here; every training still starts from a fresh process with its own process group. A cell may ask for a `kill -9` of one
of its processes at some step: the others then have to end by themselves.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

OK, REFUSED, BROKEN = 0, 3, 4
SURVIVE_SECONDS = 90.0  # how long the others may take to notice that one was killed


@dataclass(frozen=True)
class Cell:
    """One training: its folder (params.yaml and data/), and the step at which one process is killed, if any."""

    name: str
    folder: str
    kill_at: int | None = None


def main() -> int:
    """Do the cells; each process writes `<folder>/<name>.<rank>` with how its part ended."""
    cells = [Cell(**cell) for cell in json.loads(Path(sys.argv[1]).read_text("utf-8"))]
    rank, port = int(os.environ.get("RANK", "0")), int(os.environ.get("MASTER_PORT", "0"))
    import torch

    torch.set_num_threads(1)
    importlib.import_module("pipeline.stages.train_grpo")
    from pipeline.environment import apply_defaults

    apply_defaults()
    for number, cell in enumerate(cells, 1):
        child = os.fork()
        if child == 0:
            os._exit(_train(cell, port + number))
        victim = cell.kill_at is not None and rank == int(os.environ.get("WORLD_SIZE", "1")) - 1
        code = _wait(child, cell, victim)
        (Path(cell.folder) / f"{cell.name}.{rank}").write_text(str(code), "utf-8")
    return 0


def _train(cell: Cell, port: int) -> int:
    """The stage's own work in the cell's folder; what it refuses goes to `<name>.reason`."""
    from pipeline.errors import EgovlmError
    from pipeline.params import load_params
    from pipeline.reports import StageReport
    from pipeline.stages import train_grpo

    os.chdir(cell.folder)
    params = load_params(Path("params.yaml"))
    if "RANK" in os.environ:
        mixed = "bf16" if params.train_grpo.dtype == "bfloat16" else "no"
        store = {"MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "False"}
        os.environ.update(store | {"ACCELERATE_MIXED_PRECISION": mixed})
    try:
        report = StageReport("train_grpo")
        train_grpo.run(params, Path(), report)
        if os.environ.get("RANK", "0") == "0":
            Path(f"{cell.name}.json").write_text(json.dumps(report.values), "utf-8")
        return OK
    except EgovlmError as error:
        Path(f"{cell.name}.reason").write_text(f"{type(error).__name__}: {error}", "utf-8")
        return REFUSED
    except BaseException as error:
        text = traceback.format_exc()
        Path(f"{cell.name}.broke").write_text(text, "utf-8")
        Path(f"{cell.name}.reason").write_text(f"{type(error).__name__}: {str(error)[:300]}", "utf-8")
        return BROKEN


def _wait(child: int, cell: Cell, victim: bool) -> int:
    """The child's exit code, -9 if it was killed; a survivor of a kill is given some time."""
    live = Path(cell.folder) / "data/reports/live/train_grpo/metrics.json"
    reached: float | None = None
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if cell.kill_at is not None and reached is None and _step(live) >= cell.kill_at:
            reached = time.monotonic()
            if victim:
                os.kill(child, signal.SIGKILL)
        if reached is not None and time.monotonic() - reached > SURVIVE_SECONDS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return BROKEN
        time.sleep(0.01)


def _step(live: Path) -> int:
    try:
        return int(json.loads(live.read_text("utf-8"))["step"])
    except (OSError, ValueError, KeyError):
        return 0


if __name__ == "__main__":
    sys.exit(main())
