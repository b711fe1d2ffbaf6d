"""Two evaluations of the same questions: is one better, and which questions flipped?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import EmptyInput
from pipeline.evaluation.runs import HEADLINE
from pipeline.evaluation.scores import Gain, IntervalSettings, by_run, gain, score, scored
from pipeline.evaluation.statistics import Estimate, minimal_detectable_difference
from pipeline.records import LETTERS, Prediction, Question, read_rows


@dataclass(frozen=True)
class Flip:
    """A question that one evaluation has right and the other wrong; `gained` says whether the second has it right."""

    gained: bool
    before: Prediction
    after: Prediction


@dataclass(frozen=True)
class Comparison:
    """Second against first on the `questions` both answered; `only_first` and `only_second` count the others."""

    run: str
    first: Estimate
    second: Estimate
    gain: Gain
    flips: tuple[Flip, ...]
    questions: int
    only_first: int
    only_second: int
    detectable: float | None


def read_predictions(path: Path) -> list[Prediction]:
    """Rows of a predictions.parquet.

    Raises:
        ArtifactError: see `read_rows`.
    """
    return read_rows(path, Prediction)


def compare(
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    intervals: IntervalSettings,
    run: str = HEADLINE,
    models: tuple[str, str] = ("policy", "policy"),
) -> Comparison:
    """Compare one run of two prediction files (or of two models of one file), question by question.

    Raises:
        EmptyInput: either lacks the run, or they share no question with a public answer.
    """
    before, after = _rows(first, models[0], run, "first"), _rows(second, models[1], run, "second")
    shared = {p.question_id for p in before} & {p.question_id for p in after}
    if not shared:
        raise EmptyInput(f"the two evaluations share no scored question ({run}): they used different benchmarks")
    _same_data(before, after)
    a, b = ([p for p in rows if p.question_id in shared] for rows in (before, after))
    difference = gain(a, b, intervals)
    differing = (difference.gained + difference.lost) / len(shared)
    return Comparison(
        run=run,
        first=score(a, intervals),
        second=score(b, intervals),
        gain=difference,
        flips=tuple(_flips(a, b)),
        questions=len(shared),
        only_first=len({p.question_id for p in before} - shared),
        only_second=len({p.question_id for p in after} - shared),
        detectable=minimal_detectable_difference(len(shared), differing, intervals.confidence),
    )


def _same_data(before: Sequence[Prediction], after: Sequence[Prediction]) -> None:
    """Equal ids are not enough: with another seed, the synthetic world asks other questions under the same ids."""
    answers = {p.question_id: p.answer for p in before}
    other = [p.question_id for p in after if answers.get(p.question_id, p.answer) != p.answer]
    if other:
        raise EmptyInput(
            f"{len(set(other))} questions of the two evaluations have the same id but different answers ({other[0]} "
            "...): they come from different data (another seed or dataset) and cannot be paired"
        )


def _rows(predictions: Sequence[Prediction], model: str, run: str, which: str) -> list[Prediction]:
    rows = scored(by_run(predictions).get((model, run), []))
    if not rows:
        found = ", ".join(sorted({f"{m} {r}" for m, r in by_run(predictions)})) or "nothing"
        raise EmptyInput(f"the {which} evaluation has no scored prediction of {model} {run} (it has {found})")
    return rows


def _flips(before: Sequence[Prediction], after: Sequence[Prediction]) -> list[Flip]:
    """Questions whose first sample flipped: losses first, by question."""
    first = {p.question_id: p for p in before if p.sample == 0}
    second = {p.question_id: p for p in after if p.sample == 0}
    flips = [Flip(second[q].correct, first[q], second[q]) for q in sorted(first.keys() & second.keys())]
    return sorted((f for f in flips if f.before.correct != f.after.correct), key=lambda f: f.gained)


def render(comparison: Comparison, questions: Mapping[str, Question], most: int = 20) -> str:
    """The comparison as text: accuracies, the paired test, and up to `most` flipped questions."""
    gained = comparison.gain
    lines = [
        f"{comparison.run} on {comparison.questions} questions both answered "
        f"({comparison.only_first} only in the first, {comparison.only_second} only in the second)",
        f"  first   {_interval(comparison.first)}",
        f"  second  {_interval(comparison.second)}",
        f"  gain    {_interval(gained.difference)}  paired, clustered by recording",
        f"  flipped {gained.gained} gained, {gained.lost} lost; McNemar's exact test p = {gained.p_value:.3g}",
        f"  {verdict(comparison)}",
        *(_flip_line(flip, questions) for flip in comparison.flips[:most]),
    ]
    left = len(comparison.flips) - most
    return "\n".join([*lines, f"  ... and {left} more"] if left > 0 else lines)


def verdict(comparison: Comparison) -> str:
    """One sentence that a person can quote."""
    difference = comparison.gain.difference
    if difference.low > 0:
        return "the second is better: the whole interval is above 0"
    if difference.high < 0:
        return "the second is worse: the whole interval is below 0"
    if comparison.detectable is None:
        return f"no difference shown: {comparison.questions} questions are too few to show any"
    return f"no difference shown; this many questions can show one of {100 * comparison.detectable:.1f} points or more"


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.value:6.2f}  [{100 * estimate.low:.2f}, {100 * estimate.high:.2f}]"


def _flip_line(flip: Flip, questions: Mapping[str, Question]) -> str:
    question = questions.get(flip.after.question_id)
    text = question.question if question else ""
    change = f"{_letter(flip.before)} -> {_letter(flip.after)}"
    return f"  {'+' if flip.gained else '-'} {flip.after.question_id}  {change}  (answer {_answer(flip.after)})  {text}"


def _letter(prediction: Prediction) -> str:
    return f"none ({prediction.outcome})" if prediction.option is None else LETTERS[prediction.option]


def _answer(prediction: Prediction) -> str:
    return "?" if prediction.answer is None else LETTERS[prediction.answer]
