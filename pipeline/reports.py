"""What happened to each item: counts by outcome, quarantine with reasons, written to data/reports/<stage>.json.

A stage's report holds only what the inputs determine, so the same inputs give the same file. A run's cost (seconds,
memory) goes to data/reports/costs/<stage>.json.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.errors import MOST_UNEXPECTED, UNEXPECTED, EmptyInput, StageError, TooManyBadItems
from pipeline.escape import printable
from pipeline.files import write_json
from pipeline.layout import report_of
from pipeline.records import Quarantined

NOT_TAKEN = "not_taken"
"""Outcome of an item that a source does not include (a row about a video it lacks): reported, but not bad."""

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
        self.ran_from: dict[str, Any] = {}  # code digests and params, see pipeline/picture.py
        self.state: list[Path] = []  # folders for resuming, deleted once the result is recorded
        self._by_source: dict[str, dict[str, Counter[str]]] = {}
        self._bad: dict[tuple[str, str], list[Quarantined]] = defaultdict(list)

    def count(self, kind: str, outcome: str, number: int = 1, source: str = "") -> None:
        """Add `number` items of `kind` (video, clip, question ...) from `source` that ended with `outcome`."""
        self.outcomes.setdefault(kind, Counter())[outcome] += number
        self._by_source.setdefault(kind, {}).setdefault(source, Counter())[outcome] += number

    def quarantine(self, kind: str, item_id: str, reason: str, detail: str = "", source: str = "") -> None:
        """Leave one item out for a reason, and count it with outcome `reason`. Foreign text is made `printable`."""
        self.count(kind, reason, source=source)
        shown, said = printable(item_id, 200), printable(detail, 500)
        row = Quarantined(stage=self.stage, kind=kind, item_id=shown, reason=reason, detail=said)
        self.quarantined.append(row)
        self._bad[kind, source].append(row)

    def stop_if_too_bad(self, kind: str, max_bad_fraction: float) -> None:
        """Stop the stage if too many items of any one source are bad, or none is left.

        Each source is judged separately: among ten thousand training videos, a benchmark's could all be missing
        unnoticed.

        Raises:
            StageError: more than `MOST_UNEXPECTED` items failed unexpectedly.
            EmptyInput: no item of this kind was good.
            TooManyBadItems: a source's share of quarantined items is above `max_bad_fraction`.
        """
        surprises = [row for row in self.quarantined if row.kind == kind and row.reason == UNEXPECTED]
        if len(surprises) > MOST_UNEXPECTED:
            told = f"{len(surprises)} {kind} items failed unexpectedly"
            raise StageError(f"{self.stage}: {told} ({_examples(surprises)})")
        total = _tried(self.outcomes.get(kind, Counter()))
        bad = [q for q in self.quarantined if q.kind == kind]
        if total == len(bad):
            told = f" ({_examples(bad)})" if bad else ""
            raise EmptyInput(f"{self.stage}: no usable {kind} among {total}{told}")
        named = {source: counts for source, counts in self._by_source[kind].items() if source}
        for source, counts in sorted(named.items()):
            self._judge(f"{kind} items of source {source}", _tried(counts), self._bad[kind, source], max_bad_fraction)
        self._judge(f"{kind} items", total, bad, max_bad_fraction)

    def _judge(self, what: str, total: int, bad: Sequence[Quarantined], most: float) -> None:
        if total and len(bad) / total > most:
            raise TooManyBadItems(
                f"{self.stage}: {len(bad)} of {total} {what} are bad, more than max_bad_fraction={most} allows "
                f"({_examples(bad)}): fix them, or raise max_bad_fraction"
            )

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types, keys in a stable order."""
        by_source = {
            kind: {source: dict(sorted(counts.items())) for source, counts in sorted(sources.items())}
            for kind, sources in sorted(self._by_source.items())
            if set(sources) != {""}
        }
        return {
            "stage": self.stage,
            "outcomes": {kind: dict(sorted(counts.items())) for kind, counts in sorted(self.outcomes.items())},
            **({"by_source": by_source} if by_source else {}),
            "quarantined": len(self.quarantined),
            "values": self.values,
            **({"ran_from": self.ran_from} if self.ran_from else {}),
            "versions": {name: version(name) for name in VERSIONED},
        }

    def write(self, root: Path) -> None:
        """Write data/reports/<stage>.json below `root`."""
        write_json(root / report_of(self.stage), self.as_dict())


def _tried(counts: Counter[str]) -> int:
    """Items that were attempted."""
    return sum(counts.values()) - counts[NOT_TAKEN]


def _examples(bad: Sequence[Quarantined]) -> str:
    first = sorted(bad, key=lambda q: (q.item_id, q.reason))[:3]  # workers finish in any order
    return "; ".join(f"{q.item_id}: {q.reason} {q.detail}".strip() for q in first)


def scored_of(metrics: Mapping[str, Any]) -> str:
    """How many questions the accuracy in metrics.json covers: `12 of 500 questions`, or `420 questions`."""
    count, whole = metrics.get("questions", "?"), metrics.get("benchmark_questions")
    return f"{count} questions" if whole is None or whole == count else f"{count} of {whole} questions"
