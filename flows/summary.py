"""What to show after a run: headline numbers, what was left out, where the report is. It does not import Prefect, so
`make run` shows the same headline quickly."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.dvc.project import Project
from pipeline.escape import markdown_cell
from pipeline.layout import DATA, DATA_DOCS, METRICS, PAGE, report_of
from pipeline.reports import scored_of

REPORT_URL_VARIABLE = "EGOVLM_REPORT_URL"  # where `make ui` serves data/ on loopback; if unset, paths are shown
LINKS = (
    ("Report", PAGE),
    ("Data Docs", f"{DATA_DOCS}/index.html"),
    ("Reward curve", f"{PAGE}#training"),
)


def read_report(path: Path) -> dict[str, Any]:
    """A JSON report; {} if the stage has not written one."""
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report


def headline(project: Project) -> str:
    """The result in one line."""
    m = read_report(project.root / METRICS)
    if "accuracy" not in m:
        return "no score yet"
    gain = f"gain over the base at its best {_span(m, 'gain', sign='+')}"
    return f"accuracy {_span(m, 'accuracy')} on {scored_of(m)}, {gain}"


def _span(metrics: Mapping[str, Any], name: str, sign: str = "") -> str:
    values = [metrics.get(key) for key in (name, f"{name}_low", f"{name}_high")]
    shown = [f"{value:{sign}.3f}" if isinstance(value, int | float) else "?" for value in values]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def summary_markdown(project: Project, outcomes: Mapping[str, str], notes: Sequence[str]) -> str:
    """The run as Markdown: headline, stages, metrics, quarantine, links."""
    metrics = read_report(project.root / METRICS)
    parts = [f"## {headline(project)}", "", *(f"* {note}" for note in notes), ""]
    parts += _table(("stage", "state", "left out"), [(n, s, _left_out(project, n)) for n, s in outcomes.items()])
    parts += ["", *_table(("metric", "value"), [(k, _number(v)) for k, v in sorted(metrics.items())]), ""]
    parts += [
        f"* {name}: {_link(project, path)}" for name, path in LINKS if (project.root / path.partition("#")[0]).exists()
    ]
    return "\n".join(parts) + "\n"


def _left_out(project: Project, stage: str) -> str:
    outcomes = read_report(project.root / report_of(stage)).get("outcomes") or {}
    bad = [f"{n} {kind} {why}" for kind, counts in outcomes.items() for why, n in counts.items() if why != "ok"]
    return ", ".join(bad) or "-"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(map(markdown_cell, cells)) + " |" for cells in (head, *rows)]
    return [lines[0], "|" + " --- |" * len(head), *lines[1:]] if rows else []


def _link(project: Project, path: str) -> str:
    url = address(path)
    return f"[{path}]({url})" if url else f"`{project.root / path}`"


def address(path: str) -> str | None:
    """Where `make ui` serves a file below data/; None if nobody does."""
    base = os.environ.get(REPORT_URL_VARIABLE)
    below = path.removeprefix(f"{DATA}/")
    return f"{base.rstrip('/')}/{below}" if base else None
