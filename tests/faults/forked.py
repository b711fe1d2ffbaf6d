"""Runs stages as real processes, forked from one that has imported the libraries: a start costs milliseconds.

    python tests/faults/forked.py FOLDER

Reads one JSON object per line, `{"stage", "log", "signal", "after"}`. The stage runs in FOLDER exactly as
`python -m pipeline.stages STAGE` does, and its output goes to `log`. After `after` seconds (null: never) it gets
`signal`. Answers `{"code", "seconds", "dying"}`: exit code (negative: died of a signal), how long it ran, and how
long from the signal to its end.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path

STAGES = (
    "download_videos",
    "prepare_questions",
    "extract_frames",
    "mine_keyframes",
    "validate_dataset",
    "prepare_model",
    "train_grpo",
    "evaluate_egoschema",
    "write_report",
)


def main(folder: Path) -> None:
    """Import everything, then serve."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries say while they are imported is no answer
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    from pipeline.environment import apply_defaults

    apply_defaults()
    import torch

    torch.set_num_threads(1)
    for stage in STAGES:
        importlib.import_module(f"pipeline.stages.{stage}")
    for lazy in ("pipeline.tiny_base.phases", "pipeline.tiny_base.curriculum", "pipeline.sources.synthetic"):
        importlib.import_module(lazy)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_serve(json.loads(line))), file=answers, flush=True)


def _serve(job: dict[str, object]) -> dict[str, object]:
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_stage(str(job["stage"]), str(job["log"]))
    told = None
    if job["after"] is not None:
        while time.monotonic() - started < float(str(job["after"])):
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(0.002)
        else:
            told = time.monotonic()
            os.kill(child, int(str(job["signal"])))
    _, status = os.waitpid(child, 0)
    ended = time.monotonic()
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": round(ended - started, 3),
        "dying": None if told is None else round(ended - told, 3),
    }


def _be_the_stage(stage: str, log: str) -> None:
    """Never returns."""
    from pipeline.stages.__main__ import main as run

    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.argv = ["pipeline.stages", stage]
    code = 1
    try:
        code = run()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
