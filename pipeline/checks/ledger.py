"""The quarantine ledger of all data stages, and the balance that must hold: in = out + quarantined."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ArtifactError
from pipeline.layout import FRAMES, KEYFRAMES, PREPARED, RAW, quarantine_of
from pipeline.records import Quarantined, read_rows

LEDGERS = (RAW, PREPARED, FRAMES, KEYFRAMES)
"""Folders of the stages before this one; each holds a `quarantine.parquet`."""


def read_ledgers(root: Path) -> list[Quarantined]:
    """The rows of all earlier ledgers, in pipeline order."""
    rows: list[Quarantined] = []
    for folder in LEDGERS:
        path = root / quarantine_of(folder)
        if path.is_file():
            rows += read_rows(path, Quarantined)
    return rows


@dataclass(frozen=True)
class Account:
    """How many items of one kind went into a stage, came out and were left out."""

    stage: str
    kind: str
    into: int
    out: int
    quarantined: int

    def as_dict(self) -> dict[str, Any]:
        """The balance as JSON types."""
        return asdict(self)


def balance(stage: str, kind: str, into: int, out: int, ledger: Iterable[Quarantined]) -> Account:
    """The balance of one stage and kind.

    Raises:
        ArtifactError: it does not balance; something was dropped silently or counted twice.
    """
    left_out = sum(row.stage == stage and row.kind == kind for row in ledger)
    if into != out + left_out:
        raise ArtifactError(
            f"{stage}: {into} {kind} items went in, {out} came out and {left_out} are in quarantine: "
            f"{into - out - left_out} are unaccounted for; run `dvc repro -f {stage}`"
        )
    return Account(stage, kind, into, out, left_out)


def reasons(ledger: Sequence[Quarantined]) -> dict[str, int]:
    """Count by `stage/kind/reason`, sorted."""
    return dict(sorted(Counter(f"{row.stage}/{row.kind}/{row.reason}" for row in ledger).items()))
