"""Arms of an experiment, several training seeds each, against a reference arm: one row per arm, with intervals.

Both levels are resampled: training seeds and recordings. With few seeds the interval is honest about that. If the
seeds also made different test questions (the synthetic world's do), recordings are drawn within each seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import EmptyInput
from pipeline.evaluation.runs import HEADLINE, REASKED
from pipeline.evaluation.scores import IntervalSettings, by_run, clusters_of, right_per_question
from pipeline.evaluation.statistics import Estimate, seeds_mean
from pipeline.records import Prediction

Runs = Sequence[Sequence[Prediction]]
"""Prediction files of one arm, one per training seed."""


@dataclass(frozen=True)
class Arm:
    """`accuracy` of the policy, its gain over the base `gain`, its difference to the reference arm `versus` (None for
    the reference itself; seeds are paired in order), and the share of questions whose answer agrees with its thinking,
    `agreement` (None if nobody asked again). `per_seed` holds the accuracy of each seed."""

    name: str
    accuracy: Estimate
    gain: Estimate
    versus: Estimate | None
    agreement: Estimate | None
    per_seed: tuple[float, ...]


def compare_arms(
    arms: Mapping[str, Runs], reference: str, intervals: IntervalSettings, run: str = HEADLINE
) -> list[Arm]:
    """A row per arm, the reference first.

    Raises:
        EmptyInput: the reference is missing, or an arm has no seed or lacks questions that the reference has.
    """
    if reference not in arms or not arms[reference]:
        raise EmptyInput(f"no runs of the reference arm {reference} among {sorted(arms)}")
    names = [reference, *sorted(name for name in arms if name != reference)]
    questions = sorted(_rights(arms[reference][0], "policy", run))
    clusters = clusters_of(arms[reference][0])
    nested = len({_answers(runs, run) for runs in arms[reference]}) > 1
    table = {name: _table(name, arms[name], "policy", questions, run) for name in names}
    if any(
        _answers(a, run) != _answers(b, run)
        for name in names
        for a, b in zip(arms[name], arms[reference], strict=False)
    ):
        raise EmptyInput("seeds of two arms at the same place answer different questions: give them in the same order")
    rows = []
    for name in names:
        base = _table(name, arms[name], "base", questions, run)
        arm = _arm(name, table[name], base, table[reference], [clusters[q] for q in questions], intervals, nested)
        rows.append(replace(arm, agreement=_agreement(arms[name], intervals, nested)))
    return rows


def _agreement(runs: Runs, intervals: IntervalSettings, nested: bool) -> Estimate | None:
    """Over the questions that were asked again; no readable answer is none that agrees."""
    found = [by_run(predictions) for predictions in runs]
    again = [{p.question_id: p.option for p in one.get(("policy", REASKED), [])} for one in found]
    if not all(again):
        return None
    given = [{p.question_id: p.option for p in one["policy", HEADLINE]} for one in found]
    questions, clusters = sorted(again[0]), clusters_of(runs[0])
    rows = [[float(o[q] is not None and o[q] == a[q]) for q in questions] for o, a in zip(given, again, strict=True)]
    names = [clusters[q] for q in questions]
    return seeds_mean(rows, names, intervals.confidence, intervals.draws, intervals.seed, nested)


def _answers(predictions: Sequence[Prediction], run: str) -> tuple[tuple[str, int | None], ...]:
    """What the questions of a run are, as far as predictions know: ids and true answers."""
    rows = by_run(predictions).get(("policy", run), [])
    return tuple(sorted({p.question_id: p.answer for p in rows}.items()))


def _rights(predictions: Sequence[Prediction], model: str, run: str) -> dict[str, float]:
    return right_per_question(by_run(predictions).get((model, run), []))


def _table(name: str, runs: Runs, model: str, questions: Sequence[str], run: str) -> list[list[float]]:
    """Share of right answers [seeds, questions]."""
    found = [_rights(predictions, model, run) for predictions in runs]
    if not found or any(question not in rights for rights in found for question in questions):
        raise EmptyInput(
            f"arm {name} has no {model} {run} answer to some of the {len(questions)} questions, or no runs"
        )
    return [[rights[question] for question in questions] for rights in found]


def _arm(
    name: str,
    policy: list[list[float]],
    base: list[list[float]],
    reference: list[list[float]],
    clusters: Sequence[str],
    intervals: IntervalSettings,
    nested: bool,
) -> Arm:
    def mean(rows: list[list[float]]) -> Estimate:
        return seeds_mean(rows, clusters, intervals.confidence, intervals.draws, intervals.seed, nested)

    return Arm(
        name=name,
        accuracy=mean(policy),
        gain=mean(_minus(policy, base)),
        versus=None if policy is reference else mean(_minus(policy, reference)),
        agreement=None,
        per_seed=tuple(sum(row) / len(row) for row in policy),
    )


def _minus(first: list[list[float]], second: list[list[float]]) -> list[list[float]]:
    """Differences per seed and question; seeds are paired in order, as many as both have."""
    return [[a - b for a, b in zip(x, y, strict=True)] for x, y in zip(first, second, strict=False)]


Figures = Mapping[str, Sequence[Mapping[str, float]]]
"""metrics.json per arm and seed."""

_SHOWN = {"above the floor": ("above_floor", 100.0, "{:.1f}"), "key-time F1": ("keyframe_f1", 1.0, "{:.3f}")}


def render_arms(arms: Sequence[Arm], figures: Figures | None = None) -> str:
    """A Markdown table, in points; `figures` add columns with the mean over seeds and its extremes."""
    heads = ["arm", "seeds", "accuracy", "gain over base", "versus reference", "agreement", *_SHOWN, "per seed"]
    rows = [heads, ["---"] * len(heads), *(_cells(arm, (figures or {}).get(arm.name, ())) for arm in arms)]
    used = [i for i in range(len(heads)) if heads[i] not in (*_SHOWN, "agreement") or any(row[i] for row in rows[2:])]
    return "\n".join(f"| {' | '.join(row[i] for i in used)} |" for row in rows)


def _cells(arm: Arm, metrics: Sequence[Mapping[str, float]]) -> list[str]:
    estimates = [_points(e) if e is not None else "" for e in (arm.accuracy, arm.gain, arm.versus, arm.agreement)]
    figures = [_spread([m[name] * unit for m in metrics if name in m], form) for name, unit, form in _SHOWN.values()]
    seeds = " ".join(f"{100 * value:.1f}" for value in arm.per_seed)
    return [arm.name, str(len(arm.per_seed)), *estimates, *figures, seeds]


def _spread(values: Sequence[float], form: str) -> str:
    if not values:
        return ""
    mean, low, high = (form.format(v) for v in (sum(values) / len(values), min(values), max(values)))
    return f"{mean} ({low} to {high})"


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
