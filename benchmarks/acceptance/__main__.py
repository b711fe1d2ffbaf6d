"""`python -m benchmarks.acceptance [FOLDER] [--dry-run] [--again]`: a page and a JSON to send with a report.

A step that is done is not done again. `--dry-run` goes through the same code on a CPU.
"""

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks.acceptance.plan import steps
from benchmarks.rehearsal.page import passed, write_page
from benchmarks.rehearsal.place import ROOT, Place
from benchmarks.rehearsal.steps import run_steps
from pipeline.environment import apply_defaults


def main() -> int:
    """Command line; 1 if a step failed, 2 if there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="default: tmp/gpu, or tmp/gpu-dry")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, as small as can be")
    parser.add_argument("--again", action="store_true", help="forget what is done")
    arguments = parser.parse_args()
    apply_defaults()
    import torch

    if not arguments.dry_run and not torch.cuda.is_available():
        print("torch sees no CUDA device: run this on a GPU machine, or try it with --dry-run", file=sys.stderr)
        return 2
    folder = arguments.folder or ROOT / ("tmp/gpu-dry" if arguments.dry_run else "tmp/gpu")
    if arguments.again:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(folder.resolve(), None, code=ROOT)
    results = run_steps(place, steps(arguments.dry_run))
    print(f"{write_page(place, results, 'Acceptance on a GPU', rehearsed=False)}\n{place.root / 'page.md'}")
    return 0 if passed(place, results) else 1


if __name__ == "__main__":
    sys.exit(main())
