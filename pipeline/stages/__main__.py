"""`python -m pipeline.stages STAGE`: what every DVC stage runs.

Checks all of params.yaml, runs the stage's `run(params, root, report)`, and writes its report and its cost. An expected
error is one line and exit code 1.
"""

import atexit
import importlib
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

from pipeline.environment import apply_defaults
from pipeline.errors import EgovlmError, StageError
from pipeline.escape import printable
from pipeline.files import write_json
from pipeline.layout import DATA, cost_of, report_of
from pipeline.params import load_params
from pipeline.picture import Picture, drop_picture, home_of, read_picture, start_from_picture, watching
from pipeline.processes import Stopped, die_with_parent, stop_on_signals
from pipeline.provenance import makers, ran_from, refuse_disagreements
from pipeline.reports import StageReport
from pipeline.workspace import disk_refusal, sole_run

MESSAGE_CHARACTERS = 4000


def run_stage(name: str, root: Path) -> None:
    """Run one stage in `root`, the folder of params.yaml.

    Raises:
        StageError: its params, code or data changed meanwhile. There is then no report, and its state is kept.
        ArtifactError: dvc.lock names other params or code for a stage whose result this one reads.
    """
    params = load_params(home_of(root) / "params.yaml")
    refuse_disagreements(root, makers(root, name))
    stage = importlib.import_module(f"pipeline.stages.{name}")
    report, picture = StageReport(name), read_picture(name)
    report.ran_from = ran_from(home_of(root), name)
    started = time.perf_counter()
    with watching(picture, root):
        stage.run(params, root, report)
    if picture is not None:
        picture.refuse_changes(root)
    for folder in report.state:
        shutil.rmtree(folder, ignore_errors=True)
    report.write(root)
    write_json(root / cost_of(name), _cost(time.perf_counter() - started))
    if picture is not None:
        _last_look(picture, root)


def _last_look(picture: Picture, root: Path) -> None:
    """Does not return on success: DVC takes over at once. Python needs a second to exit, and an edit in that second
    would still be recorded."""
    atexit._run_exitfuncs()
    drop_picture()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        picture.refuse_changes(root)
    except StageError:
        (root / report_of(picture.stage)).unlink(missing_ok=True)
        raise
    os._exit(0)


def _cost(wall_seconds: float) -> dict[str, float]:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "wall_seconds": round(wall_seconds, 1),
        "cpu_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 1),
        "peak_memory_mb": round(max(own.ru_maxrss, children.ru_maxrss) / 1024, 0),
    }


def main() -> int:
    """Entry point; the exit code is 0, or 1 for an expected error, or 130/143 for an interrupt."""
    apply_defaults()
    # started by `dvc repro`: a process that outlives it would write into the next run's files
    if "DVC_STAGE" in os.environ:
        die_with_parent(signal.SIGTERM)
    stop_on_signals()
    name = sys.argv[1]
    try:
        if "DVC_STAGE" in os.environ:
            start_from_picture(Path(), name)
        with sole_run(Path(), name):
            run_stage(name, Path())
    except EgovlmError as error:
        print(f"egovlm {name}: {type(error).__name__}: {_one_line(str(error))}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        print(f"egovlm {name}: ended by {stopped}; run it again to resume", file=sys.stderr)
        return stopped.exit_code
    except Exception as error:
        refused = disk_refusal(error, Path(DATA))
        if refused is None:
            raise
        print(f"egovlm {name}: StageError: {_one_line(refused)}", file=sys.stderr)
        return 1
    finally:
        drop_picture()
    return 0


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()), MESSAGE_CHARACTERS)


if __name__ == "__main__":
    sys.exit(main())
