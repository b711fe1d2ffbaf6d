"""`kill -9` at random steps of GRPO on the products in data/, and what is left of it at the end.

    python benchmarks/resume.py --kills 10 --steps 60     # after `dvc repro validate_dataset prepare_model`

Trains once without interruption and once killed at random steps and started again, in two scratch folders, and compares
the two policies bit by bit. Prints the steps of the kills, CPU seconds and the verdict.
"""

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

READ = ("dataset", "keyframes", "frames", "models/base")


def make_root(folder: Path, data: Path) -> Path:
    """A project whose inputs are links to those of `data`."""
    (folder / "data/models").mkdir(parents=True)
    for name in READ:
        (folder / "data" / name).symlink_to((data / name).resolve())
    return folder


def start(root: Path, steps: int) -> int:
    """Fork a training process; its pid."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        from pipeline.params import load_params
        from pipeline.reports import StageReport
        from pipeline.stages import train_grpo

        params = load_params(ROOT / "params.yaml")
        changed = {"max_steps": steps, "save_steps": 5, "dev_every": 20}
        settings = params.train_grpo.model_copy(update=changed)
        train_grpo.run(params.model_copy(update={"train_grpo": settings}), root, StageReport("train_grpo"))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def step_of(root: Path) -> int:
    """The last step that was logged."""
    try:
        return int(json.loads((root / "data/reports/live/train_grpo/metrics.json").read_text())["step"])
    except (OSError, ValueError, KeyError):
        return 0


def ended(child: int) -> bool:
    """Whether a child has ended by itself (it is not reaped)."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def killed_run(root: Path, steps: int, kills: int, rng: random.Random) -> list[int]:
    """Start, kill at a random step and anywhere within it, start again; the steps of the kills."""
    at: list[int] = []
    while True:
        child = start(root, steps)
        if len(at) < kills:
            goal = rng.randint(1, steps - 1)
            while step_of(root) < goal and not ended(child):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.3))
            if not ended(child):
                at.append(step_of(root))
                os.kill(child, signal.SIGKILL)
                (root / "data/reports/live/train_grpo/metrics.json").unlink(missing_ok=True)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                raise SystemExit("the training ended with an error, see above")
            return at


def files(folder: Path) -> dict[str, bytes]:
    """Contents of a policy folder."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    arguments = parser.parse_args()
    from pipeline.environment import apply_defaults

    apply_defaults()
    scratch = Path(tempfile.mkdtemp(prefix="resume-"))
    whole, cut = (make_root(scratch / name, arguments.data) for name in ("whole", "cut"))
    result: dict[str, Any] = {"steps": arguments.steps}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    killed_run(whole, arguments.steps, 0, random.Random(0))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result |= {"uninterrupted_cpu_seconds": round(cpu, 1), "wall_seconds": round(time.monotonic() - began, 1)}
    result["killed_at"] = killed_run(cut, arguments.steps, arguments.kills, random.Random(arguments.seed))
    left, right = files(whole / "data/models/policy"), files(cut / "data/models/policy")
    result["files_that_differ"] = sorted(n for n in left.keys() | right.keys() if left.get(n) != right.get(n))
    print(json.dumps(result))
    sys.exit(bool(result["files_that_differ"]))


if __name__ == "__main__":
    main()
