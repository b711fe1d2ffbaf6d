"""What a rehearsal leaves: a page in Markdown and the same as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.rehearsal.place import ROOT, Place
from benchmarks.rehearsal.steps import Result
from pipeline.profiles import read_profile

ON_A_GPU = """
## What a GPU would do differently

* The weights are the real 3B's. The stand-in has random ones and a habit, so its scores mean nothing.
* Training runs on CUDA in bfloat16 with other kernels; `make gpu` compares them with float32 and measures the step.
* Several processes use NCCL instead of gloo, and a shard has to fit its card.
* Frames, prompts and completions are as many and as long as in profiles/full.yaml; the overlay above made them fewer.
* `vllm` and FlashAttention are not tried here unless they are installed.
"""


def write_page(
    place: Place, results: Sequence[Result], title: str = "Rehearsal of the full profile", rehearsed: bool = True
) -> str:
    """Write page.md and result.json into the rehearsal's folder; the verdict in one line."""
    told = {
        "commit": _commit(place),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "seconds": round(sum(result.seconds for result in results), 1),
        "tracebacks": place.tracebacks(),
        "steps": [asdict(result) for result in results],
    }
    (place.root / "result.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    verdict = _verdict(told, results)
    (place.root / "page.md").write_text(f"# {title}\n\n" + _page(told, results, verdict, rehearsed), "utf-8")
    return verdict


def passed(place: Place, results: Sequence[Result]) -> bool:
    """Nothing failed and nothing printed a traceback."""
    return place.tracebacks() == 0 and all(result.outcome != "failed" for result in results)


def _verdict(told: dict[str, Any], results: Sequence[Result]) -> str:
    count = {name: sum(r.outcome == name for r in results) for name in ("ok", "failed", "left out")}
    counts = ", ".join(f"{number} {name}" for name, number in count.items())
    return f"{len(results)} steps: {counts}; {told['tracebacks']} tracebacks; {told['seconds']:.0f} s"


def _page(told: dict[str, Any], results: Sequence[Result], verdict: str, rehearsed: bool) -> str:
    lines = [f"{verdict}. Commit {told['commit']}.", ""]
    lines += [f"{key}: {value}" for key, value in told["machine"].items()]
    lines += ["", "| step | what | outcome | s |", "|---|---|---|---|"]
    for r in results:
        reason = f": {r.reason}" if r.reason else ""
        lines.append(f"| {r.name} | {r.title} | {_cell(r.outcome + reason)} | {r.seconds:.0f} |")
    lines += ["", "## What came out", ""]
    for result in results:
        if result.facts:
            lines += [f"### {result.name}", "", *_facts(result.facts), ""]
    if not rehearsed:
        return "\n".join(lines)
    changed = read_profile(ROOT, "rehearsal")
    lines += ["## The overlay on profiles/full.yaml", "", "```json", json.dumps(changed, indent=2), "```", ON_A_GPU]
    return "\n".join(lines)


def _facts(facts: dict[str, Any]) -> list[str]:
    """A table where a value is a table (rows by name, columns by name), else a line."""
    lines: list[str] = []
    for key, value in facts.items():
        if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
            columns = list(dict.fromkeys(name for row in value.values() for name in row))
            lines += ["", f"| {key} | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
            lines += [
                f"| {name} | {' | '.join(_cell(row.get(c, '')) for c in columns)} |" for name, row in value.items()
            ]
            lines.append("")
        elif isinstance(value, list) and value:
            lines += [f"* {key}:", *(f"    * {_cell(item)}" for item in value)]
        else:
            lines.append(f"* {key}: {_cell(value)}")
    return lines


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(text.replace("|", "\\|").split())


def _commit(place: Place) -> str:
    import subprocess

    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
