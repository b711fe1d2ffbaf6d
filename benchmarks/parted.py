"""A base whose answers have parted from its thinking, in place of `python -m pipeline.stages prepare_model`.

    python -m benchmarks.parted --share 0.9

In its last phase, `share` of the reasoned answers are what is there, while the thinking before them says something
else. Then `python -m pipeline.stages train_grpo` and `evaluate_egoschema`, once with `train_grpo.rewards.consistency`
at 0 and once at 1: does GRPO bring agreement back? It needs the data of the stages before.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from pipeline.environment import apply_defaults
from pipeline.params import load_params
from pipeline.reports import StageReport
from pipeline.stages import prepare_model
from pipeline.tiny_base import recipe


def main() -> None:
    """Make the base of params.yaml in data/models/base, with such a last phase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.9)
    apply_defaults()
    recipe.DEGRADE = replace(recipe.DEGRADE, parted=parser.parse_args().share)
    report = StageReport("prepare_model")
    prepare_model.run(load_params(Path("params.yaml")), Path(), report)
    report.write(Path())


if __name__ == "__main__":
    main()
