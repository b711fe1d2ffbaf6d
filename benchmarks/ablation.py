"""What each reward does: arms and training seeds, run one after another, and their table.

    python -m benchmarks.ablation run --seeds 0,1,2,3,4    # hours; goes on where it was stopped
    python -m benchmarks.ablation table                    # of what is there

`run` calls `egovlm run --set ...` for every arm of `ARMS` and every seed, and keeps each run's predictions and
metrics below `tmp/ablation`, which git ignores. Data and base are made once per seed, and only what the table shows
is asked (`ASKED`). The table has, per arm, accuracy, the gain over the base, the difference to the reference arm,
agreement of thinking and answer, key-time F1, and how far above the floor. Intervals are over training seeds and
recordings.

Of other files: `... table --reference full full=a.parquet,b.parquet no_keyframe=c.parquet,d.parquet`, with one
predictions.parquet per training seed; seeds stand in the same order in every arm.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.arms import Runs, compare_arms, render_arms
from pipeline.comparison.compare import read_predictions
from pipeline.evaluation.scores import IntervalSettings
from pipeline.layout import METRICS, PREDICTED

KEPT = Path("tmp/ablation")
REFERENCE = "full"
ARMS: dict[str, tuple[str, ...]] = {
    REFERENCE: (),
    "no_keyframe": ("train_grpo.rewards.keyframe=0.0",),
    "mined": ("train_grpo.reward_settings.keyframe_targets=mined",),
    "consistency": ("train_grpo.rewards.consistency=0.5",),
    "t_grpo": ("train_grpo.rewards.temporal_order=0.3",),
    "tgpo": ("train_grpo.rewards.temporal_contrast=0.3", "train_grpo.scale_rewards=batch"),
    "blind": ("train_grpo.blind_loss=true",),
}
"""Arm -> values of params.yaml. `blind` is the control that must not gain."""

ASKED = ("reasoning/video", "direct/video", "reasoning/blind", "forced/video", "forced/blind", "forced/reordered")
FOR_THE_TABLE = (f"evaluate_egoschema.runs={json.dumps(ASKED)}", "write_report.gallery_questions=1")


def run_all(arms: list[str], seeds: list[int]) -> None:
    """Run what is not kept yet, seed by seed, so that data and base are made once."""
    for seed in seeds:
        for arm in arms:
            if not kept(arm, seed).is_file():
                run_one(arm, seed)


def run_one(arm: str, seed: int) -> None:
    """One run; its predictions come last, for they say that it is whole."""
    values = [f"--set={value}" for value in (f"seed={seed}", *FOR_THE_TABLE, *ARMS[arm])]
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        f"--experiment=ablation-{arm.replace('_', '-')}-{seed}",
        *values,
    ]
    subprocess.run(command, check=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(METRICS, kept(arm, seed).with_suffix(".json"))
    shutil.copyfile(PREDICTED, kept(arm, seed))


def kept(arm: str, seed: int) -> Path:
    """Where the predictions of a run are kept."""
    return KEPT / f"{arm}-{seed}.parquet"


def kept_files() -> dict[str, list[Path]]:
    """Files per arm in order of the seeds that every arm has."""
    seeds = {arm: {int(p.stem.rpartition("-")[2]) for p in KEPT.glob(f"{arm}-*.parquet")} for arm in ARMS}
    there = {arm: found for arm, found in seeds.items() if found}
    common = sorted(set.intersection(*there.values())) if there else []
    return {arm: [kept(arm, seed) for seed in common] for arm in there if common}


def figures_of(files: dict[str, list[Path]]) -> dict[str, list[dict[str, float]]]:
    """metrics.json beside the predictions, where it is kept."""
    beside = {arm: [path.with_suffix(".json") for path in paths] for arm, paths in files.items()}
    return {arm: [json.loads(p.read_text()) for p in paths if p.is_file()] for arm, paths in beside.items()}


def main() -> None:
    """Run, or print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("--seeds", default="0,1,2,3,4")
    run.add_argument("--arms", default=",".join(ARMS))
    table = verbs.add_parser("table")
    table.add_argument("arms", nargs="*", help="name=file,file,...; none: what `run` has kept")
    table.add_argument("--reference", default=REFERENCE)
    table.add_argument("--run", default="reasoning/video", help="mode/view")
    table.add_argument("--confidence", type=float, default=0.95)
    table.add_argument("--draws", type=int, default=5000)
    arguments = parser.parse_args()
    if arguments.verb == "run":
        run_all(arguments.arms.split(","), [int(seed) for seed in arguments.seeds.split(",")])
        arguments = parser.parse_args(["table"])
    named = {name: list(map(Path, paths.split(","))) for name, _, paths in (a.partition("=") for a in arguments.arms)}
    arms: dict[str, Runs] = {
        name: [read_predictions(path) for path in paths] for name, paths in (named or kept_files()).items()
    }
    intervals = IntervalSettings(arguments.confidence, arguments.draws, seed=0)
    compared = compare_arms(arms, arguments.reference, intervals, arguments.run)
    print(render_arms(compared, figures_of(named or kept_files())))


if __name__ == "__main__":
    main()
