"""The score that is possible without the evidence, and how far above it a model is.

Three kinds of floor: guessing, the same model without the video, and rules that see only the text of questions and
options (`pipeline/checks/shortcuts.py`). The largest counts. The largest of several measured figures tends to be too
high, so it does not flatter a score above it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation.runs import HEADLINE
from pipeline.evaluation.scores import IntervalSettings, RunKey, clusters_of, is_valid, right_per_question
from pipeline.evaluation.statistics import Estimate
from pipeline.records import Prediction

Shares = Mapping[str, float]
"""Per question how often it is answered right: 0 to 1."""


@dataclass(frozen=True)
class Floor:
    """`of` names the floor, `value` is its accuracy; `above` is the score minus it, question by question."""

    of: str
    value: float
    above: Estimate


def floor(
    runs: Mapping[RunKey, Sequence[Prediction]],
    probes: Mapping[str, Shares],
    intervals: IntervalSettings,
    model: str = "policy",
) -> Floor:
    """The largest floor under the model's headline run, and the difference on the questions of both.

    `probes` holds per rule what it has right; a question that a rule does not judge counts as guessed.
    """
    headline = runs[model, HEADLINE]
    own, clusters = right_per_question(headline), clusters_of(headline)
    found = _floors(runs, probes, model)
    name, below = max(found.items(), key=lambda item: (_mean(item[1]), item[0] == "chance"))
    both = [question for question in own if question in below]
    differences = [own[question] - below[question] for question in both]
    above = intervals.mean(differences, [clusters[question] for question in both], (-1, 1))
    return Floor(name, _mean(below), above)


def _floors(runs: Mapping[RunKey, Sequence[Prediction]], probes: Mapping[str, Shares], model: str) -> dict[str, Shares]:
    chance = {p.question_id: 1 / len(p.option_order) for p in runs[model, HEADLINE]}
    blind = {
        run: right_per_question(predictions)
        for (who, run), predictions in sorted(runs.items())
        if who == model and run.endswith("/blind") and is_valid(predictions)
    }
    rules = {
        f"rule: {rule}": {question: hits.get(question, guess) for question, guess in chance.items()}
        for rule, hits in sorted(probes.items())
    }
    return {"chance": chance, **blind, **rules}


def _mean(shares: Shares) -> float:
    return sum(shares.values()) / len(shares)
