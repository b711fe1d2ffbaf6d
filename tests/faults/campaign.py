"""kill -9, SIGTERM and SIGINT at random moments, over all stages; a table of what became of each.

    python -m tests.faults.campaign [--kills 10] [--stages ...] [--signal 9]

Every kill starts from the stage's inputs and no outputs, hits at a random moment of the time that the stage takes, and
is followed by one undisturbed run. Recovered means: that run ends with 0, every product has the hash that it had before
any kill, and nothing half-written is left.
"""

import argparse
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.forked import STAGES
from tests.faults.harness import TINY, Ended, Stages, leftovers, outputs_of, products, stages_of
from tests.toy.project import Project, make_project

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Outcomes:
    """What became of the kills of one stage."""

    stage: str
    hit: int = 0  # the process died of the signal
    missed: int = 0  # it had ended before: tried again
    recovered: int = 0
    slowest_end: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.stage:<20} hit {self.hit:>3}  recovered {self.recovered:>3}  not hit {self.missed:>3}"
            f"  slowest end {self.slowest_end:.2f} s  {'; '.join(self.problems)}"
        )


def undisturbed(stages: Stages, last: str = STAGES[-1]) -> dict[str, float]:
    """Run all stages up to `last` once; seconds by stage."""
    seconds = {}
    for stage in STAGES[: STAGES.index(last) + 1]:
        ended = stages.run(stage)
        assert ended.code == 0, f"{stage}: {ended.output[-3000:]}"
        seconds[stage] = ended.seconds
    return seconds


def clear(root: Path, stage: str) -> None:
    """Take away what the stage made, as `dvc repro` does before it runs one, and its state for resuming."""
    for name in outputs_of(root, stage):
        path = root / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.rmtree(root / "data/checkpoints", ignore_errors=True)


def disturb(stages: Stages, stage: str, seconds: float, kills: int, signal: int, rng: random.Random) -> Outcomes:
    """Kill one stage `kills` times, each time followed by a run that must make it whole."""
    root, outcomes = stages.project.root, Outcomes(stage)
    wanted = products(root)
    while outcomes.hit < kills and outcomes.missed < 10 * kills:
        clear(root, stage)
        ended = stages.run(stage, signal, after=rng.uniform(0.0, seconds))
        if ended.dying is None or ended.code == 0:
            outcomes.missed += 1
            continue
        outcomes.hit += 1
        outcomes.slowest_end = max(outcomes.slowest_end, ended.dying)
        outcomes.problems += signal_problems(ended, signal)
        problem = whole_again(stages, stage, wanted)
        outcomes.recovered += not problem
        outcomes.problems += [problem] if problem else []
    if products(root) != wanted:  # the last try may have missed
        stages.run(stage)
    return outcomes


def signal_problems(ended: Ended, signal: int) -> list[str]:
    """What is wrong with how a process took a signal: 130 and 143 as a shell counts, within ten seconds."""
    allowed = {-signal} if signal == 9 else {128 + signal, -signal}  # before its handler is set it dies of the signal
    problems = [] if ended.code in allowed else [f"exit code {ended.code}: {ended.output[-300:]}"]
    return problems + ([f"ended after {ended.dying} s"] if (ended.dying or 0) > 10 else [])


def whole_again(stages: Stages, stage: str, wanted: dict[str, str]) -> str:
    """Run the stage once more; "" if all is as it was, else what differs."""
    ended = stages.run(stage)
    if ended.code:
        return f"next run ended with {ended.code}: {ended.output[-300:]}"
    if left := leftovers(stages.project.root):
        return f"left over: {left[:3]}"
    found = products(stages.project.root)
    differing = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    return f"differ: {differing[:3]}" if differing else ""


def make_tiny(folder: Path) -> Project:
    """The project that all fault tests use."""
    folder.mkdir(parents=True, exist_ok=True)
    project = make_project(ROOT, folder)
    project.change(TINY)
    return project


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--signal", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="*", default=list(STAGES))
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, stages_of(make_tiny(Path(folder) / "project")) as stages:
        seconds = undisturbed(stages, max(options.stages, key=STAGES.index))
        print("undisturbed:", seconds, flush=True)
        for stage in options.stages:
            print(disturb(stages, stage, seconds[stage], options.kills, options.signal, rng), flush=True)


if __name__ == "__main__":
    main()
