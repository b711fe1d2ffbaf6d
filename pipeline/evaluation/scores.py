"""From predictions to accuracies: right over asked, with intervals. A question without an answer counts as wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.answers.parser import ParseOutcome
from pipeline.evaluation.statistics import Estimate, clustered_mean, mcnemar_exact
from pipeline.params import Params
from pipeline.records import Prediction

MAX_UNREADABLE = 0.02
"""Share of predictions without a readable answer from which a run is invalid: it measures broken sentences."""

ANSWERED = frozenset({ParseOutcome.TAGGED, ParseOutcome.BARE, ParseOutcome.ANCHORED, ParseOutcome.TRUNCATED, "scored"})


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made: confidence in (0, 1), bootstrap draws, seed."""

    confidence: float
    draws: int
    seed: int

    @classmethod
    def of(cls, params: Params) -> "IntervalSettings":
        """Those of params.yaml, for scores, comparisons and the promotion gate alike."""
        return cls(params.evaluate_egoschema.confidence, params.evaluate_egoschema.bootstrap_draws, params.seed)

    def mean(self, values: Sequence[float], clusters: Sequence[str], bounds: tuple[float, float]) -> Estimate:
        """See `clustered_mean`."""
        return clustered_mean(values, clusters, bounds, self.confidence, self.draws, self.seed)


RunKey = tuple[str, str]
"""(model, mode/view)."""


def by_run(predictions: Iterable[Prediction]) -> dict[RunKey, list[Prediction]]:
    """Predictions per model and run."""
    found: dict[RunKey, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        found[prediction.model, f"{prediction.mode}/{prediction.view}"].append(prediction)
    return dict(found)


def scored(predictions: Iterable[Prediction]) -> list[Prediction]:
    """Those whose answer is public."""
    return [p for p in predictions if p.answer is not None]


def right_per_question(predictions: Iterable[Prediction]) -> dict[str, float]:
    """Share of right answers of each question over its samples and option orders."""
    rights: dict[str, list[bool]] = defaultdict(list)
    for prediction in scored(predictions):
        rights[prediction.question_id].append(prediction.correct)
    return {question: sum(values) / len(values) for question, values in rights.items()}


def clusters_of(predictions: Iterable[Prediction]) -> dict[str, str]:
    """The recording of each question."""
    return {p.question_id: p.parent_video_id for p in predictions}


def score(predictions: Sequence[Prediction], intervals: IntervalSettings) -> Estimate:
    """Accuracy of one run, clustered by recording.

    Raises:
        EmptyInput: no question has a public answer.
    """
    shares = right_per_question(predictions)
    clusters = clusters_of(predictions)
    return intervals.mean(list(shares.values()), [clusters[question] for question in shares], (0, 1))


@dataclass(frozen=True)
class Gain:
    """Second minus first on the same questions: paired, clustered by recording.

    `gained` and `lost` count questions that only the second or only the first has right (by majority of its samples);
    `p_value` is McNemar's exact one.
    """

    difference: Estimate
    gained: int
    lost: int
    p_value: float


def gain(first: Sequence[Prediction], second: Sequence[Prediction], intervals: IntervalSettings) -> Gain:
    """Compare two runs on the questions both have.

    Raises:
        EmptyInput: they share no scored question.
    """
    before, after = right_per_question(first), right_per_question(second)
    clusters = clusters_of(second)
    both = [question for question in after if question in before]
    differences = [after[q] - before[q] for q in both]
    difference = intervals.mean(differences, [clusters[q] for q in both], (-1, 1))
    a, b = [before[q] > 0.5 for q in both], [after[q] > 0.5 for q in both]
    gained, lost = (
        sum(y and not x for x, y in zip(a, b, strict=True)),
        sum(x and not y for x, y in zip(a, b, strict=True)),
    )
    return Gain(difference, gained, lost, mcnemar_exact(a, b))


def unparsed_fraction(predictions: Sequence[Prediction]) -> float:
    """Share of predictions in which no option could be parsed."""
    return sum(p.option is None for p in predictions) / len(predictions)


def is_valid(predictions: Sequence[Prediction]) -> bool:
    """Whether nearly all answers of a run can be read, so that its accuracy says what the model knew."""
    return unparsed_fraction(predictions) <= MAX_UNREADABLE


def outcome_counts(predictions: Iterable[Prediction]) -> dict[str, int]:
    """How often each parse outcome came."""
    return dict(sorted(Counter(p.outcome for p in predictions).items()))


def consistency(predictions: Sequence[Prediction], reference: Sequence[Prediction]) -> float:
    """Share of questions with the same chosen option in all option orders: those of `predictions` and the original
    one of `reference`. A model that answers by letter scores 0; an unanswered order counts as a difference."""
    chosen: dict[str, set[int | None]] = defaultdict(set)
    for prediction in [*predictions, *reference]:
        chosen[prediction.question_id].add(prediction.option)
    asked = {p.question_id for p in predictions}
    return sum(len(chosen[q]) == 1 and None not in chosen[q] for q in asked) / len(asked)


def chance(predictions: Iterable[Prediction]) -> float:
    """Expected accuracy of drawing an option at random."""
    sizes = [1 / len(p.option_order) for p in predictions]
    return sum(sizes) / len(sizes)


def per_family(predictions: Sequence[Prediction], intervals: IntervalSettings) -> dict[str, Estimate]:
    """Accuracy of one run by question family."""
    families: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in scored(predictions):
        families[prediction.family].append(prediction)
    return {family: score(rows, intervals) for family, rows in sorted(families.items())}


def rounded(value: Any) -> Any:
    """JSON types with floats at six significant digits: readable, and equal if only the last bits differ."""
    if isinstance(value, Estimate | Gain):
        return rounded(asdict(value))
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
