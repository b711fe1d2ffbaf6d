"""The page: templates filled with the run's data. One file, no network requests, the same bytes for the same inputs.

Foreign text (questions, completions, ids) reaches the page as escaped HTML, compressed, or as JSON in a script
element that it cannot close. A content security policy allows only the page's own scripts, by hash.
"""

import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from importlib.resources import files
from itertools import islice
from typing import Any

from jinja2 import Environment, StrictUndefined

from pipeline.frames.store import FrameStore
from pipeline.params import WriteReport
from pipeline.report import controls, facts, headline
from pipeline.report.clip_sheets import mined_sheets, quarantine_sheets
from pipeline.report.curves import charts
from pipeline.report.gallery import gallery_rows
from pipeline.report.inputs import ReportInputs
from pipeline.report.mining import mining_recall
from pipeline.report.mistakes import KINDS, mistake, mistake_table
from pipeline.report.strips import strip

SCRIPTS = ("dom.js", "theme.js", "charts.js", "question.js", "gallery.js", "main.js")
THUMBNAIL_WIDTH = 160  # pixels per frame, at most
QUARANTINE_SHEETS, MINED_SHEETS = 12, 24  # clips shown with their frames, at most
COUNTED = ("gained", "lost", "right", "wrong")


def render(inputs: ReportInputs, settings: WriteReport) -> str:
    """The whole page as HTML."""
    script = "\n".join(asset(name) for name in SCRIPTS)
    rows = gallery_rows(inputs.questions, inputs.predictions, inputs.keyframes)
    strips = clip_strips(inputs.store, rows, settings)
    for row in rows:
        row["mistake"] = mistake(row, spacing_of(strips.get(row["clip"])))
        row["href"] = inputs.videos.get(row["video"], "")
        row["frames_note"] = "" if row["clip"] in strips else frames_note(inputs.store, row["clip"])
    left_out = quarantine_sheets(inputs.folders, inputs.quarantine, inputs.questions, inputs.store, THUMBNAIL_WIDTH)
    return (
        environment()
        .from_string(asset("index.html.j2"))
        .render(
            **context(inputs, rows),
            style=asset("style.css"),
            script=script,
            script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            curves_json=embed(charts(inputs.curves)),
            strips_json=embed(strips),
            questions_data=compress(rows),
            mined=mined_sheets(inputs.folders, inputs.questions, MINED_SHEETS),
            sheets=list(islice(left_out, QUARANTINE_SHEETS)),
        )
    )


def context(inputs: ReportInputs, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the template prints, apart from assets and embedded data."""
    return {
        "notes": inputs.notes,
        "sentence": headline.sentence(inputs.metrics),
        "cautions": headline.cautions(inputs.metrics, inputs.controls),
        "metrics": inputs.metrics,
        "details": headline.details(inputs.metrics, inputs.controls),
        "lines": headline.lines(inputs.controls),
        "floor_name": controls.label_of(str(inputs.metrics.get("floor_of", "chance"))),
        "max_unreadable": inputs.controls.get("max_unreadable"),
        "control_rows": controls.control_rows(inputs.controls),
        "families": families(inputs.controls),
        "has_curves": bool(inputs.curves),
        "statuses": {name: sum(row["status"] == name for row in rows) for name in COUNTED},
        "unparsed": sum(row["unparsed"] for row in rows),
        "disagreeing": sum(row["disagrees"] for row in rows),
        "total": len(rows),
        "mistakes": mistake_table(rows),
        "mistake_kinds": KINDS,
        "recall": recall(inputs),
        "lift_by_spacing": lift_by_spacing(inputs),
        "left_out": facts.left_out(inputs.quarantine),
        "reports": {name: facts.flatten(report.get("values", {})) for name, report in inputs.reports.items()},
        "outcomes": {name: report.get("outcomes", {}) for name, report in inputs.reports.items()},
        "leakage": facts.leakage_sentence(inputs.leakage),
        "leaks": inputs.leakage.get("sources", {}),
        "wandb": inputs.reports.get("train_grpo", {}).get("values", {}).get("wandb"),
        "probes": facts.probe_rows(inputs.probes),
        "hashes": inputs.hashes,
        "versions": facts.library_versions(inputs.reports),
        "provenance": facts.flatten(inputs.provenance) if inputs.provenance else [],
    }


def recall(inputs: ReportInputs) -> dict[str, dict[str, Any]]:
    """Recall of mining within the tolerance that the stage itself used."""
    values = inputs.reports.get("mine_keyframes", {}).get("values", {})
    measured = [found["tolerance_seconds"] for found in values.get("recall", {}).values()]
    return mining_recall(inputs.questions, inputs.keyframes, measured[0]) if measured else {}


def lift_by_spacing(inputs: ReportInputs) -> dict[str, dict[int, dict[str, Any]]]:
    """By source and number of candidates: mining within half a frame spacing, as the stage measured it."""
    found = inputs.reports.get("mine_keyframes", {}).get("values", {}).get("recall_by_spacing", {})
    return {source: {line["candidates"]: line for line in table.get("by_count", [])} for source, table in found.items()}


def families(measured: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(family, base's estimate, policy's estimate) under the headline prompt."""
    runs = measured.get("runs", {})
    base, policy = (runs.get(f"{model} reasoning/video", {}).get("families", {}) for model in ("base", "policy"))
    return [(name, base.get(name, {}), policy[name]) for name in sorted(policy)]


def clip_strips(store: FrameStore | None, rows: list[dict[str, Any]], settings: WriteReport) -> dict[str, Any]:
    """Frames of the first `gallery_questions` rows, by clip; clips missing from the store are left out."""
    wanted = {row["clip"]: row["start"] for row in rows[: settings.gallery_questions]}
    if store is None:
        return {}
    return {c: strip(store.load(c), THUMBNAIL_WIDTH, start) for c, start in wanted.items() if c in store}


def spacing_of(shown: dict[str, Any] | None) -> float:
    """Seconds between the frames of a strip; 0 without one."""
    return (shown["pts"][-1] - shown["pts"][0]) / (len(shown["pts"]) - 1) if shown and len(shown["pts"]) > 1 else 0.0


def frames_note(store: FrameStore | None, clip: str) -> str:
    """Why a question has no pictures on the page."""
    if store is None or clip not in store:
        return "The frames of this clip are missing: run `dvc repro extract_frames` (or `dvc pull`)."
    return "Frames are shown for the first questions only; raise write_report.gallery_questions to see these."


def environment() -> Environment:
    """Jinja with escaping always on and undefined names refused."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"percent": headline.percent, "points": headline.points, "mistakes": headline.mistakes}
    return made


def asset(name: str) -> str:
    """Text of a file in pipeline/report/page."""
    return files("pipeline.report").joinpath("page", name).read_text(encoding="utf-8")


def embed(value: Mapping[str, Any] | Iterable[Any]) -> str:
    """JSON that can stand in a script element: no `<` (so no `</script>` or `<!--`), `>` or `&` is left in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def compress(value: Any) -> str:
    """Gzipped JSON in base64; no time stamp in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return b64encode(gzip.compress(text.encode("utf-8", errors="replace"), 9, mtime=0)).decode()
