"""The promotion gate: is a challenger significantly better than the champion on the same questions? Pure.

It fails closed: anything that cannot be shown counts against the challenger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.runs import HEADLINE
from pipeline.evaluation.scores import IntervalSettings
from pipeline.evaluation.statistics import Estimate
from pipeline.params import Promotion
from pipeline.records import Prediction, Question
from pipeline.reports import scored_of


@dataclass(frozen=True)
class Evidence:
    """What is known of one model: its predictions, the questions they answer, and its figures in metrics.json.

    None means: not measured. `keyframe_f1` needs true key times; `leaky` says whether its data leak; `above_floor_low`
    is the lower end of how far it is above the floor; `invalid_controls` names the controls that do not count;
    `agreement` is the share of answers that agree with their thinking; `benchmark_questions` is how many questions its
    benchmark has (None: no fixed number).
    """

    predictions: Sequence[Prediction]
    questions: Sequence[Question]
    keyframe_f1: float | None
    leaky: bool | None
    above_floor_low: float | None = None
    invalid_controls: str = ""
    agreement: float | None = None
    benchmark_questions: int | None = None


@dataclass(frozen=True)
class Verdict:
    """`promote`, with the gain behind it and every reason against it."""

    promote: bool
    against: tuple[str, ...]
    gain: Estimate | None
    rival: str
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        gain = f"gain over {self.rival} {_span(self.gain)}" if self.gain else f"no comparison with {self.rival}"
        return f"{'promoted' if self.promote else 'kept the champion'}: {'; '.join([gain, *self.against, *self.notes])}"


def decide(challenger: Evidence, champion: Evidence | None, rules: Promotion, intervals: IntervalSettings) -> Verdict:
    """Compare on the champion's questions (the frozen set); the first champion has to beat its own base model.

    The interval of the gain is paired and clustered by recording (`clustered_mean`): both models answer the same
    questions, and questions about one recording are correlated.
    """
    mine = _answers(challenger, "policy")
    theirs = _answers(champion, "policy") if champion else _answers(challenger, "base")
    rival = "the champion" if champion else "its base model (there is no champion yet)"
    against = [*_leak(challenger), *_floor(challenger), *_unlike(challenger, champion, mine, theirs, rules)]
    common = sorted(set(mine) & set(theirs))
    if not common:
        return Verdict(False, tuple(against), None, rival)
    gain = _gain(mine, theirs, common, intervals)
    against += _too_little(gain, rules)
    against += _unparsed(mine, theirs, common, rules)
    if champion:
        against += _keyframes(challenger.keyframe_f1, champion.keyframe_f1, rules)
        against += _agreement(challenger.agreement, champion.agreement, rules)
    return Verdict(not against, tuple(against), gain, rival, (_scored(common, challenger), *_not_counted(challenger)))


def _scored(common: Sequence[str], challenger: Evidence) -> str:
    return scored_of({"questions": len(common), "benchmark_questions": challenger.benchmark_questions})


def _answers(evidence: Evidence, model: str) -> dict[str, Prediction]:
    """The model's one headline answer to each question that has a truth."""
    return {
        p.question_id: p
        for p in evidence.predictions
        if p.model == model and f"{p.mode}/{p.view}" == HEADLINE and p.sample == 0 and p.answer is not None
    }


def _gain(
    mine: Mapping[str, Prediction],
    theirs: Mapping[str, Prediction],
    common: Sequence[str],
    intervals: IntervalSettings,
) -> Estimate:
    differences = [float(mine[q].correct) - float(theirs[q].correct) for q in common]
    clusters = [mine[q].parent_video_id for q in common]
    return intervals.mean(differences, clusters, (-1, 1))


def _too_little(gain: Estimate, rules: Promotion) -> list[str]:
    if not gain.low >= rules.min_gain:  # written so that NaN fails too
        return [f"the lower bound of the gain, {gain.low:+.4f}, is below promotion.min_gain={rules.min_gain:+.4f}"]
    return []


def _leak(challenger: Evidence) -> list[str]:
    if challenger.leaky is None:
        return ["it is unknown whether the training data leak (data/dataset/leakage.json is missing)"]
    return ["the training data leak into the benchmark"] if challenger.leaky else []


def _floor(challenger: Evidence) -> list[str]:
    low = challenger.above_floor_low
    if low is None:
        return ["it is unknown how far it is above an answer without watching (metrics.json has no above_floor)"]
    return [] if low > 0 else [f"it is not shown to be above an answer without watching ({low:+.4f} or more)"]


def _not_counted(challenger: Evidence) -> list[str]:
    invalid = challenger.invalid_controls
    return [f"controls that do not count, as their answers cannot be read: {invalid}"] if invalid else []


def _unlike(
    challenger: Evidence,
    champion: Evidence | None,
    mine: Mapping[str, Prediction],
    theirs: Mapping[str, Prediction],
    rules: Promotion,
) -> list[str]:
    """Reasons why the two were not asked the same questions."""
    missing = sorted(set(theirs) - set(mine))
    against = (
        [f"{len(missing)} of the {len(theirs)} frozen questions are unanswered, first {missing[0]}"] if missing else []
    )
    common = set(mine) & set(theirs)
    if len(common) < rules.min_questions:
        against.append(f"{len(common)} common questions are too few: promotion.min_questions={rules.min_questions}")
    if champion:
        now, then = _asked(challenger), _asked(champion)
        changed = sorted(q for q in common if now.get(q) is None or now.get(q) != then.get(q))
        if changed:
            against.append(f"{len(changed)} frozen questions have changed, first {changed[0]}")
    return against


def _asked(evidence: Evidence) -> dict[str, tuple[object, ...]]:
    return {
        q.question_id: (q.video_id, q.question, q.options, q.answer, q.start_seconds, q.end_seconds)
        for q in evidence.questions
    }


def _unparsed(
    mine: Mapping[str, Prediction], theirs: Mapping[str, Prediction], common: Sequence[str], rules: Promotion
) -> list[str]:
    now, then = (sum(answers[q].option is None for q in common) / len(common) for answers in (mine, theirs))
    if now <= then + rules.max_unparsed_rise:
        return []
    return [f"{now:.1%} of the answers cannot be parsed, {then:.1%} of the rival's"]


def _keyframes(now: float | None, then: float | None, rules: Promotion) -> list[str]:
    if then is None:
        return []
    if now is None:
        return [f"it has no keyframe F1, the champion has {then:.3f}"]
    if not now >= then - rules.max_keyframe_f1_drop:  # NaN counts as worse
        return [f"keyframe F1 {now:.3f} is below the champion's {then:.3f}"]
    return []


def _agreement(now: float | None, then: float | None, rules: Promotion) -> list[str]:
    if then is None:
        return []
    if now is None:
        return [f"it is unknown whether its answers agree with their thinking; {then:.1%} of the champion's do"]
    if not now >= then - rules.max_agreement_drop:  # NaN counts as worse
        return [f"{now:.1%} of the answers agree with their own thinking, {then:.1%} of the champion's"]
    return []


def _span(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]"
