"""What the kit does, in order; `dry` does each on the CPU, as small as it can be."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.acceptance.cost import whole_run
from benchmarks.rehearsal.place import ROOT, Failed, LeftOut, Place
from benchmarks.rehearsal.steps import Step

REAL = {"frames": 32, "group": 8, "length": 256}
DRY = {"frames": 4, "group": 2, "length": 4}
VARIANTS = ("stock", "cached", "shared")


def steps(dry: bool) -> list[Step]:
    """The kit's steps; with `dry` none needs a GPU."""
    device = "cpu" if dry else "cuda"
    return [
        Step("doctor", "`egovlm doctor` on the params that are active here", _doctor),
        Step("tests", "tests/gpu, which may not skip where a GPU is promised", lambda place: _tests(place, dry)),
        Step(
            "equality",
            "log-probabilities and gradients of the shared row and of separate rows",
            lambda place: {
                "largest differences": _json(place, "benchmarks/acceptance/equality.py", "--device", device)
            },
        ),
        Step(
            "step", "one GRPO group by phase: stock TRL's way, cached features, shared prompt", lambda p: _step(p, dry)
        ),
        Step("evaluation", "answers and option scores a second", lambda place: _evaluation(place, dry)),
        Step("cost", "hours, dollars and memory of the whole run, from these measurements", _cost(dry), ("step",)),
    ]


def _doctor(place: Place) -> dict[str, Any]:
    found = json.loads(place.run("egovlm", "doctor", "--json", codes=(0, 1), cwd=ROOT))
    rows = found if isinstance(found, list) else found["findings"]
    return {"against": [f"{row['name']}: {row['found']}" for row in rows if row["state"] in ("warn", "fail")]}


def _tests(place: Place, dry: bool) -> dict[str, Any]:
    if dry:
        raise LeftOut("a dry run has no GPU")
    said = place.run(sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/gpu", cwd=ROOT)
    return {"pytest": said.strip().splitlines()[-1]}


def _json(place: Place, script: str, *arguments: str) -> Any:
    """The last line that a script of the repository printed, as JSON."""
    said = place.run(sys.executable, script, *arguments, cwd=ROOT)
    lines = [line for line in said.splitlines() if line.startswith(("{", "["))]
    if not lines:
        raise Failed(f"{script} printed no JSON")
    return json.loads(lines[-1])


def _step(place: Place, dry: bool) -> dict[str, Any]:
    sizes = [part for name, value in (DRY if dry else REAL).items() for part in (f"--{name}", str(value))]
    where = ["--device", "cpu", "--size", "3b-thin"] if dry else ["--device", "cuda", "--size", "3b"]
    table = {}
    for variant in VARIANTS:
        found = _json(place, "benchmarks/grpo.py", *where, "--checkpointing", *sizes, "--variant", variant)
        table[variant] = {**found["seconds"], "all": round(sum(found["seconds"].values()), 4), "GiB": found["peak_gib"]}
    return {"seconds of a group": table, "device": found["device"], "sizes": DRY if dry else REAL}


def _evaluation(place: Place, dry: bool) -> dict[str, Any]:
    file = place.root / "evaluation.json"
    sizes = {"questions": 4, "tokens": 4, "batch": 2} if dry else {"questions": 64, "tokens": 64, "batch": 8}
    words = [part for name, value in sizes.items() for part in (f"--{name}", str(value))]
    if not dry:
        words += ["--device", "cuda", "--shape", "3b", "--frames", "32", "--side", "308"]
    place.run(sys.executable, "benchmarks/evaluation.py", *words, "--json", str(file), cwd=ROOT)
    return {"seconds": json.loads(file.read_text("utf-8")), "sizes": sizes}


def _cost(dry: bool) -> Any:
    def work(place: Place) -> dict[str, Any]:
        done = json.loads(Path(place.root / "done/step.json").read_text("utf-8"))["facts"]
        row = done["seconds of a group"]["shared"]
        record = {"seconds": row, "peak_gib": row["GiB"]}
        hours = whole_run(record, done["sizes"]["length"], done["sizes"]["group"])
        told = "arithmetic on a dry run: means nothing" if dry else f"measured on {done['device']}, then multiplied"
        return {"hours": hours, "where from": told}

    return work
