"""Start a run, kill it with SIGKILL at a random time, start it again, until it ends by itself; prints what happened.

    python kill_runs.py FOLDER KILLS

Each start is a fork of this process, so that the libraries are imported once.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pipeline.grpo.run import train  # noqa: E402
from tests.support.small_run import small_run  # noqa: E402


def start(folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(small_run(folder, max_steps=12))
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def wait_for_progress(folder: Path, child: int) -> None:
    """Until there is a checkpoint that was not there, or the child has ended."""
    before = newest(folder)
    while newest(folder) == before and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.005)


def newest(folder: Path) -> str:
    """Name of the newest checkpoint."""
    return max((p.name for p in (folder / "checkpoints").glob("checkpoint-*")), default="")


def main(folder: Path, kills: int) -> dict[str, object]:
    rng, seen, done = random.Random(1), [], 0
    while True:
        child = start(folder)
        if done < kills:
            wait_for_progress(folder, child)
            time.sleep(rng.uniform(0.0, 0.25))  # anywhere within the next steps and their checkpoints
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        seen.append(sorted(p.name for p in (folder / "checkpoints").glob("checkpoint-*")))
        done += 1
        if os.WIFEXITED(status):
            return {"starts": done, "code": os.WEXITSTATUS(status), "checkpoints": seen}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
