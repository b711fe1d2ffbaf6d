"""Nested report values as lines a template can print, and the quarantine ledger as a table."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.records import Quarantined

EXAMPLES = 3


def flatten(values: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested JSON as (dotted key, text) pairs in order; long lists are cut with their length."""
    if isinstance(values, dict) and values:
        return [pair for key, value in values.items() for pair in flatten(value, f"{prefix}.{key}" if prefix else key)]
    return [(prefix, _text(values))]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        shown = ", ".join(_text(item) for item in value[:8])
        return shown + (f" … ({len(value)} in all)" if len(value) > 8 else "")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None or value == {} else str(value)


SPLITS = ("train", "dev", "test")


def probe_rows(probes: dict[str, Any]) -> list[dict[str, Any]]:
    """Probes as rows of one table: `rule`, `learned`, and by split the score ({} if the split has none)."""
    rows: dict[str, dict[str, Any]] = {}
    for split, scores in probes.items():
        for score in scores:
            row = rows.setdefault(score["rule"], {"rule": score["rule"], "learned": score.get("learned", False)})
            row[split] = score
    return [{**{split: {} for split in SPLITS}, **row} for row in rows.values()]


def leakage_sentence(leakage: dict[str, Any]) -> str:
    """What was compared with what, and the result; "" if nothing was compared."""
    if "training_questions" not in leakage:
        return ""
    leaks, training = leakage["leaks"], leakage["training_questions"]
    fate = "stay in the data (allow_leakage)" if leakage.get("leaky") else "were left out"
    found = f"{leaks} of the {training} training questions show what an evaluation question shows and {fate}"
    if not leaks:
        found = f"None of the {training} training questions shows what an evaluation question shows"
    windows = leakage.get("egoschema_windows") or "EgoSchema was not compared: there are no real training videos"
    return f"{found}; compared with {leakage['recordings_in_evaluation']} recordings ({windows})."


@dataclass(frozen=True)
class Left:
    """Items one stage left out for one reason."""

    stage: str
    kind: str
    reason: str
    count: int
    examples: Sequence[Quarantined]


def left_out(ledger: Iterable[Quarantined]) -> list[Left]:
    """The ledger by stage, kind and reason, most items first."""
    groups: dict[tuple[str, str, str], list[Quarantined]] = defaultdict(list)
    for item in ledger:
        groups[item.stage, item.kind, item.reason].append(item)
    found = [Left(*key, len(items), sorted(items, key=lambda q: q.item_id)[:EXAMPLES]) for key, items in groups.items()]
    return sorted(found, key=lambda left: (-left.count, left.stage, left.kind, left.reason))


def library_versions(reports: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Library versions by name; if stages differ, all of them."""
    found: dict[str, set[str]] = defaultdict(set)
    for report in reports.values():
        for name, version in report.get("versions", {}).items():
            found[name].add(version)
    return {name: ", ".join(sorted(all_of)) for name, all_of in sorted(found.items())}
