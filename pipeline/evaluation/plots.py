"""Tables for `dvc plots`: accuracy by run, accuracy by family, and which option was chosen for which answer."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.escape import csv_cell
from pipeline.evaluation.metrics import EvaluationResult
from pipeline.evaluation.runs import HEADLINE
from pipeline.evaluation.scores import per_family, rounded, score
from pipeline.files import replacing
from pipeline.records import LETTERS


def write_plots(result: EvaluationResult, folder: Path) -> None:
    """Write accuracy.csv, families.csv and answers.csv into `folder`."""
    estimates = ["value", "low", "high", "count"]
    _write(folder / "accuracy.csv", ["label", "model", "run", *estimates], _accuracies(result))
    _write(folder / "families.csv", ["label", "model", "family", *estimates], _families(result))
    _write(folder / "answers.csv", ["actual", "predicted"], _answers(result))


def _accuracies(result: EvaluationResult) -> list[list[object]]:
    rows = []
    for (model, run), predictions in sorted(result.runs.items()):
        estimate = rounded(score(predictions, result.intervals))
        rows.append([f"{model} {run}", model, run, *estimate.values()])
    return rows


def _families(result: EvaluationResult) -> list[list[object]]:
    return [
        [f"{model} {family}", model, family, *rounded(estimate).values()]
        for (model, run), predictions in sorted(result.runs.items())
        if run == HEADLINE
        for family, estimate in per_family(predictions, result.intervals).items()
    ]


def _answers(result: EvaluationResult) -> list[list[object]]:
    """The policy's headline answers as letters; `-` if it gave none."""
    predictions = result.runs["policy", HEADLINE]
    return [[LETTERS[p.answer or 0], "-" if p.option is None else LETTERS[p.option]] for p in predictions]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([csv_cell(value) for value in row] for row in rows)
