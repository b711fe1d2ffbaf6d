"""The table of an ablation from prediction files: accuracy, gain over the base and difference to a reference arm, with
intervals over training seeds and recordings.

    python -m benchmarks.ablation --reference full \\
        full=runs/full-0.parquet,runs/full-1.parquet no_keyframe=runs/nk-0.parquet,runs/nk-1.parquet

Each file is the data/predictions/predictions.parquet of one training seed; seeds stand in the same order in every arm.
"""

import argparse
from pathlib import Path

from benchmarks.arms import compare_arms, render_arms
from pipeline.comparison.compare import read_predictions
from pipeline.evaluation.scores import IntervalSettings


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+", help="name=file,file,...")
    parser.add_argument("--reference", required=True)
    parser.add_argument("--run", default="reasoning/video", help="mode/view")
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--draws", type=int, default=5000)
    arguments = parser.parse_args()
    files = dict(arm.split("=", 1) for arm in arguments.arms)
    arms = {name: [read_predictions(Path(p)) for p in paths.split(",")] for name, paths in files.items()}
    intervals = IntervalSettings(arguments.confidence, arguments.draws, seed=0)
    print(render_arms(compare_arms(arms, arguments.reference, intervals, arguments.run)))


if __name__ == "__main__":
    main()
