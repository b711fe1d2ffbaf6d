"""One recipe on several machines and seeds: `python -m benchmarks.machines FOLDER [--seeds 0 1 2] [--jobs 1]`.

PyTorch picks its kernels by the vector units that it finds, and each kind adds floats in another order. Held to fewer
units by ATEN_CPU_CAPABILITY, one computer is several "machines". Each cell is the README's run in its own clone of
the last commit. It has its own DVC cache, because a shared one would give a machine another's products. A finished
cell is not run again; an interrupted one continues. `--table` only prints what is there.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from pipeline.comparison.compare import read_predictions
from pipeline.evaluation.runs import HEADLINE
from pipeline.evaluation.scores import by_run
from pipeline.records import Prediction

ROOT = Path(__file__).resolve().parents[1]
MACHINES = ("native", "avx2", "default")
PREDICTIONS = "data/predictions/predictions.parquet"
TARGET = 0.80  # no family of questions below it


def cell(folder: Path, machine: str, seed: int) -> Path:
    """The clone of one machine and seed."""
    return folder / f"{machine}-{seed}"


def run_cell(folder: Path, machine: str, seed: int) -> None:
    """Clone and run, or go on with a run that was interrupted; its output goes to run.log beside the clone."""
    clone = cell(folder, machine, seed)
    done = clone.with_suffix(".done")
    if done.exists():
        return
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(clone),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
    }
    environment.pop("ATEN_CPU_CAPABILITY", None)
    if machine != "native":
        environment["ATEN_CPU_CAPABILITY"] = machine
    with clone.with_suffix(".log").open("a") as log:
        command = [sys.executable, "-m", "flows.run", "--set", f"seed={seed}"]
        code = subprocess.run(command, cwd=clone, env=environment, stdout=log, stderr=log, check=False).returncode
    if code:
        raise SystemExit(f"{clone.name} failed with exit code {code}: see {clone.with_suffix('.log')}")
    done.touch()


def accuracies(predictions: Sequence[Prediction], model: str) -> dict[str, float]:
    """Fraction right of all questions of the headline run ("all") and by family of question."""
    rows = by_run(predictions)[model, HEADLINE]
    families = sorted({row.family for row in rows})
    groups = {"all": rows, **{family: [row for row in rows if row.family == family] for family in families}}
    return {name: float(np.mean([row.correct for row in group])) for name, group in groups.items()}


def table(folder: Path, seeds: Iterable[int]) -> str:
    """Base, policy, gain in points and the policy by family, per machine and seed; then the range of each column."""
    rows: list[tuple[str, dict[str, float]]] = []
    for machine in MACHINES:
        for seed in seeds:
            path = cell(folder, machine, seed)
            if path.with_suffix(".done").exists():
                predictions = read_predictions(path / PREDICTIONS)
                base, policy = accuracies(predictions, "base"), accuracies(predictions, "policy")
                families = {name: value for name, value in policy.items() if name != "all"}
                gain = policy["all"] - base["all"]
                rows.append(
                    (f"{machine} | {seed}", {"base": base["all"], "policy": policy["all"], "gain": gain, **families})
                )
    if not rows:
        return "no run is done yet"
    columns = list(rows[0][1])
    lines = [f"| machine | seed | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    lines += [f"| {name} | {' | '.join(f'{100 * values[c]:.1f}' for c in columns)} |" for name, values in rows]
    spans = [[values[c] for _, values in rows] for c in columns]
    lines.append(
        "| lowest to highest | | " + " | ".join(f"{100 * min(s):.1f} to {100 * max(s):.1f}" for s in spans) + " |"
    )
    low = [f"{c} {100 * v[c]:.1f} ({name})" for name, v in rows for c in columns[3:] if v[c] < TARGET]
    lines += ["", f"Families below {100 * TARGET:.0f} %: {', '.join(low).replace(' | ', ', seed ') or 'none'}"]
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the clones lie: 1 GB each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=list(MACHINES))
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time, two cores each")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is there")
    args = parser.parse_args()
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not args.table:
        with ThreadPoolExecutor(args.jobs) as pool:
            cells = [(machine, seed) for seed in args.seeds for machine in args.machines]
            for job in as_completed([pool.submit(run_cell, folder, *one) for one in cells]):
                job.result()
                print(table(folder, args.seeds), flush=True)
    else:
        print(table(folder, args.seeds))


if __name__ == "__main__":
    main()
