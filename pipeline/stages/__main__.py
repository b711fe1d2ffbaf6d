"""`python -m pipeline.stages STAGE`: what every DVC stage runs.

Checks all of params.yaml, runs the stage's `run(params, root, report)`, writes its report and what it cost. An expected
error is one line and exit code 1.
"""

import importlib
import resource
import sys
import time
from pathlib import Path

from pipeline.environment import apply_defaults
from pipeline.errors import EgovlmError
from pipeline.params import load_params
from pipeline.reports import StageReport, write_json


def run_stage(name: str, root: Path) -> None:
    """Run one stage in `root`, the folder of params.yaml."""
    params = load_params(root / "params.yaml")
    stage = importlib.import_module(f"pipeline.stages.{name}")
    report = StageReport(name)
    started = time.perf_counter()
    stage.run(params, root, report)
    report.write(root)
    write_json(root / "data/reports/costs" / f"{name}.json", _cost(time.perf_counter() - started))


def _cost(wall_seconds: float) -> dict[str, float]:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "wall_seconds": round(wall_seconds, 1),
        "cpu_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 1),
        "peak_memory_mb": round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 0),
    }


def main() -> int:
    """Entry point; the exit code is 0, 1 for an expected error, 130/143 for an interrupt."""
    apply_defaults()
    name = sys.argv[1]
    try:
        run_stage(name, Path())
    except EgovlmError as error:
        print(f"egovlm {name}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"egovlm {name}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
