"""What happened to each item: counted by outcome, quarantined with a reason, written to data/reports/<stage>.json.

A stage's report holds only what the inputs determine, so that the same inputs give the same file. What a run cost
(seconds, memory) goes to data/reports/costs/<stage>.json.
"""

import json
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.errors import EmptyInput, TooManyBadItems, printable
from pipeline.records import Quarantined, write_rows

VERSIONED = ("av", "numpy", "torch", "transformers", "trl")


class StageReport:
    """Collects outcomes while a stage runs.

    >>> report = StageReport("extract_frames")
    >>> report.count("clip", "ok")
    >>> report.quarantine("clip", "a@1", "truncated", "packet 7 is corrupt")
    >>> report.outcomes["clip"]
    Counter({'ok': 1, 'truncated': 1})
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.outcomes: dict[str, Counter[str]] = {}
        self.quarantined: list[Quarantined] = []
        self.values: dict[str, Any] = {}

    def count(self, kind: str, outcome: str, number: int = 1) -> None:
        """Add `number` items of `kind` (video, clip, question ...) that ended as `outcome`."""
        self.outcomes.setdefault(kind, Counter())[outcome] += number

    def quarantine(self, kind: str, item_id: str, reason: str, detail: str = "") -> None:
        """Leave one item out, with a reason; it is counted as outcome `reason`. Foreign text is made `printable`."""
        self.count(kind, reason)
        shown, said = printable(item_id, 200), printable(detail, 500)
        self.quarantined.append(Quarantined(stage=self.stage, kind=kind, item_id=shown, reason=reason, detail=said))

    def bad_fraction(self, kind: str) -> float:
        """Share of `kind` items that are in quarantine; 0 where there are none."""
        total = sum(self.outcomes.get(kind, Counter()).values())
        return sum(q.kind == kind for q in self.quarantined) / total if total else 0.0

    def stop_if_too_bad(self, kind: str, max_bad_fraction: float) -> None:
        """Stop the stage where too many items are bad or none is left.

        Raises:
            EmptyInput: no item of this kind was good.
            TooManyBadItems: the share of quarantined items is above `max_bad_fraction`.
        """
        total = sum(self.outcomes.get(kind, Counter()).values())
        bad = [q for q in self.quarantined if q.kind == kind]
        examples = "; ".join(f"{q.item_id}: {q.reason} {q.detail}".strip() for q in bad[:3])
        if total == len(bad):
            raise EmptyInput(f"{self.stage}: no usable {kind} among {total}" + (f" ({examples})" if bad else ""))
        if len(bad) / total > max_bad_fraction:
            raise TooManyBadItems(
                f"{self.stage}: {len(bad)} of {total} {kind} items are bad, more than max_bad_fraction="
                f"{max_bad_fraction} allows ({examples}); mend them or raise {self.stage}.max_bad_fraction"
            )

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types, keys in a stable order."""
        return {
            "stage": self.stage,
            "outcomes": {kind: dict(sorted(counts.items())) for kind, counts in sorted(self.outcomes.items())},
            "quarantined": len(self.quarantined),
            "values": self.values,
            "versions": {name: version(name) for name in VERSIONED},
        }

    def write(self, root: Path, ledger: Path | None = None) -> None:
        """Write data/reports/<stage>.json below `root`, and the quarantine rows to `ledger` where one is given."""
        write_json(root / "data/reports" / f"{self.stage}.json", self.as_dict())
        if ledger is not None:
            write_rows(ledger, self.quarantined, Quarantined)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically; half a character (a lone surrogate) becomes `?`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", errors="replace")
    partial.replace(path)
