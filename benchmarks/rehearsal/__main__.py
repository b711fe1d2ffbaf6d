"""Rehearse the full profile: `python -m benchmarks.rehearsal [FOLDER] [--only STEP ...]`.

A step that is done is not done again: after an interrupt the same command goes on. `--again` starts from nothing.
"""

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks.rehearsal.hub import Model, serving
from benchmarks.rehearsal.page import passed, write_page
from benchmarks.rehearsal.place import ROOT, Place, Scale
from benchmarks.rehearsal.plan import MORE_LAUNCHERS, STEPS
from benchmarks.rehearsal.stand_in import STAND_INS
from benchmarks.rehearsal.steps import Step, run_steps
from pipeline.environment import apply_defaults


def rehearse(place: Place, steps: list[Step]) -> bool:
    """Do the steps with the hub at hand, write the page; whether all went well."""
    place.root.mkdir(parents=True, exist_ok=True)
    made = [step for step in steps if step.name == "inputs"]
    results = run_steps(place, made)
    if results[0].outcome == "ok":
        stand_in = STAND_INS[place.family]
        with serving(Model(place.root / "base", stand_in.name, stand_in.commit)) as (address, _):
            place.endpoint = address
            results += run_steps(place, [step for step in steps if step not in made])
    print(f"{write_page(place, results)}\n{place.root / 'page.md'}")
    return passed(place, results)


def main() -> int:
    """Command line; 1 if a step failed or anything printed a traceback."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="default: tmp/rehearsal, with the family if it is another")
    parser.add_argument("--family", choices=list(STAND_INS), default="qwen2_5_vl", help="whose stand-in")
    parser.add_argument("--matrix", action="store_true", help="every launcher, not one process and torchrun alone")
    parser.add_argument("--only", nargs="+", choices=[step.name for step in STEPS], help="these steps")
    parser.add_argument("--again", action="store_true", help="forget what an earlier rehearsal left")
    parser.add_argument("--beside", type=Path, default=ROOT.parent / "shared", help="real tokenizer, questions, clips")
    arguments = parser.parse_args()
    apply_defaults()
    other = "" if arguments.family == "qwen2_5_vl" else f"-{arguments.family}"
    folder = (arguments.folder or ROOT / f"tmp/rehearsal{other}").resolve()
    if arguments.again:
        shutil.rmtree(folder, ignore_errors=True)
    shared = arguments.beside if arguments.beside.is_dir() else None
    wanted = set(arguments.only or (step.name for step in STEPS if arguments.matrix or step not in MORE_LAUNCHERS))
    chosen = [step for step in STEPS if step.name in {"inputs", *wanted}]
    return 0 if rehearse(Place(folder, shared, Scale(), arguments.family), chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
