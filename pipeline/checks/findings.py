"""Checks, their findings, and the gate: a critical finding stops the pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.errors import GateError

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Check:
    """One expectation on one column of a table.

    `rule` is the name of a core expectation of Great Expectations; `column` is empty for rules on the whole table;
    `why` says in one sentence what goes wrong without it.
    """

    name: str
    severity: Severity
    rule: str
    column: str
    why: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckFinding:
    """A failed check: on how many of how many rows, with the ids of the first ones."""

    table: str
    check: Check
    failed: int
    total: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        shown = f" ({', '.join(self.examples)})" if self.examples else ""
        return f"{self.table}: {self.check.name}: {self.failed} of {self.total}{shown}"


def true(name: str, severity: Severity, column: str, why: str) -> Check:
    """The precomputed boolean `column` holds in every row."""
    return Check(name, severity, "ColumnValuesToBeInSet", column, why, {"value_set": [True]})


def unique(severity: Severity, column: str, why: str) -> Check:
    """No value of `column` occurs twice."""
    return Check(f"{column} unique", severity, "ColumnValuesToBeUnique", column, why)


def between(severity: Severity, column: str, low: float | None, high: float | None, why: str) -> Check:
    """Every value of `column` lies in the closed interval; None leaves an end open."""
    bounds = {"min_value": low, "max_value": high}
    return Check(f"{column} in range", severity, "ColumnValuesToBeBetween", column, why, bounds)


def stop_at_critical(findings: Sequence[CheckFinding], docs: str) -> None:
    """Stop the pipeline if a critical check failed.

    Raises:
        GateError: it names each failed critical check, its count and examples. Great Expectations' own `success`
            ignores severities, so it is not used.
    """
    critical = [finding for finding in findings if finding.check.severity == "critical"]
    if critical:
        listed = "; ".join(str(finding) for finding in critical)
        raise GateError(f"{len(critical)} critical checks failed: {listed}. All results: {docs}")
