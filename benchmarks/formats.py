"""What becomes of every container x codec x kind of file: `python -m benchmarks.formats [CONTAINER ...]`.

Numbers drawn into the pictures are read back (`tests/support/drawn.py`). A cell is `exact`, `in order` (its times were
destroyed; the order is right, each picture at most four frames off), the reason of a refusal, or `WRONG`.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import av

from tests.support.drawn import CONTAINERS, KINDS, cells, judge


def main() -> None:
    """Print one line for each container and codec, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("container", nargs="*", choices=[*CONTAINERS, []], help="default: all")
    wanted = parser.parse_args().container or list(CONTAINERS)
    av.logging.set_level(None)
    print("| container | codec |", " | ".join(KINDS), "|")
    print("|---|---|" + "---|" * len(KINDS))
    sums: Counter[str] = Counter()
    found: dict[tuple[str, str], dict[str, str]] = {}
    for container, codec, kind in cells():
        if container in wanted:
            with tempfile.TemporaryDirectory() as folder:
                outcome = judge(Path(folder), container, codec, kind)
            found.setdefault((container, codec), {})[kind] = outcome
            sums[outcome.split(" [")[0]] += 1
    for (container, codec), row in found.items():
        print(f"| {container} | {codec} |", " | ".join(row.get(kind, "-") for kind in KINDS), "|")
    print(f"\n{sum(sums.values())} files: " + ", ".join(f"{count} {outcome}" for outcome, count in sums.most_common()))


if __name__ == "__main__":
    main()
