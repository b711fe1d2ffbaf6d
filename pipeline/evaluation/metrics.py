"""The numbers of a run: headline metrics (flat) and the details behind them.

The gain is over the base model under its best prompt. A reasoning prompt alone can cost a base model ten points, which
training would then seem to gain. The gain under the same prompt is given too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.evaluation.agreement import agreement, stated_agreement
from pipeline.evaluation.floor import Shares, floor
from pipeline.evaluation.keyframe_quality import KeyframeQuality, MatchSettings, keyframe_quality
from pipeline.evaluation.predict import is_strict
from pipeline.evaluation.runs import CONTROLS, HEADLINE, Mode
from pipeline.evaluation.scores import (
    MAX_UNREADABLE,
    IntervalSettings,
    RunKey,
    by_run,
    chance,
    consistency,
    gain,
    is_valid,
    outcome_counts,
    per_family,
    rounded,
    score,
    scored,
    unparsed_fraction,
)
from pipeline.evaluation.statistics import Estimate, minimal_detectable_difference
from pipeline.records import Prediction, Question

ALTERNATIVES = (HEADLINE, "direct/video", "likelihood/video", "forced/video")


@dataclass(frozen=True)
class EvaluationResult:
    """All predictions of one evaluation, and what is needed to score them. `probes` holds what rules that never see
    the video have right, by rule and question."""

    predictions: Sequence[Prediction]
    questions: Mapping[str, Question]
    modes: Mapping[str, Mode]
    intervals: IntervalSettings
    match: MatchSettings
    probes: Mapping[str, Shares] = field(default_factory=dict)

    @property
    def runs(self) -> dict[RunKey, list[Prediction]]:
        """Predictions per (model, mode/view), those with a public answer only."""
        return by_run(scored(self.predictions))


def headline_metrics(result: EvaluationResult) -> dict[str, Any]:
    """Flat metrics: fractions, intervals at the confidence of `result.intervals`.

    Runs that were not made have no key. Everything else is in `detail_metrics`.

    Raises:
        EmptyInput: no question has a public answer.
    """
    runs = result.runs
    base, policy = runs.get(("base", HEADLINE), []), runs.get(("policy", HEADLINE), [])
    main = score(policy, result.intervals)
    values: dict[str, Any] = {
        "questions": len({p.question_id for p in policy}),
        "accuracy": main.value,
        "accuracy_low": main.low,
        "accuracy_high": main.high,
        "strict_accuracy": _strict(policy, result.modes),
        "base_accuracy": score(base, result.intervals).value,
        "chance": chance(policy),
    }
    values |= _gains(runs, result)
    values |= _other_runs(runs, result.intervals)
    values |= _above_floor(runs, result)
    values |= _behaviour(runs, result)
    return {key: rounded(value) for key, value in values.items()}


def _strict(predictions: Sequence[Prediction], modes: Mapping[str, Mode]) -> float:
    return sum(p.correct and is_strict(p, modes) for p in predictions) / len(predictions)


def _gains(runs: Mapping[RunKey, list[Prediction]], result: EvaluationResult) -> dict[str, Any]:
    base, policy = runs["base", HEADLINE], runs["policy", HEADLINE]
    over = gain(base, policy, result.intervals)
    best = max(
        (n for n in ALTERNATIVES if ("base", n) in runs), key=lambda n: score(runs["base", n], result.intervals).value
    )
    over_best = gain(runs["base", best], policy, result.intervals).difference
    questions = over.difference.count
    differing = (over.gained + over.lost) / questions
    values: dict[str, Any] = {
        "gain": over_best.value,
        "gain_low": over_best.low,
        "gain_high": over_best.high,
        "best_base": best,
        "best_base_accuracy": score(runs["base", best], result.intervals).value,
        "gain_same_prompt": over.difference.value,
        "gain_same_prompt_low": over.difference.low,
        "gain_same_prompt_high": over.difference.high,
        "gain_same_prompt_p_value": over.p_value,
    }
    detectable = minimal_detectable_difference(questions, differing, result.intervals.confidence)
    if detectable is not None:  # None: too few questions to detect any
        values["detectable_gain"] = detectable
    if ("base", "sampled/video") in runs:
        drawn = gain(runs["base", "sampled/video"], runs["policy", "sampled/video"], result.intervals).difference
        values |= {"sampled_gain": drawn.value, "sampled_gain_low": drawn.low, "sampled_gain_high": drawn.high}
    return values


_OF_BASE = ("sampled/video", "direct/video", "likelihood/video", "forced/video")
_NAMES = {
    "sampled/video": "sampled_accuracy",
    "direct/video": "direct_accuracy",
    "likelihood/video": "likelihood_accuracy",
    "reasoning/blind": "blind_accuracy",
    "reasoning/shuffled": "shuffled_accuracy",
    "reasoning/middle_frame": "middle_frame_accuracy",
    "reasoning/reversed": "reversed_accuracy",
    "reasoning/named_frames": "named_frames_accuracy",
    "forced/video": "forced_accuracy",
    "forced/blind": "forced_blind_accuracy",
    "forced/shuffled": "forced_shuffled_accuracy",
    "forced/middle_frame": "forced_middle_frame_accuracy",
    "forced/reversed": "forced_reversed_accuracy",
    "forced/named_frames": "forced_named_frames_accuracy",
}


def _other_runs(runs: Mapping[RunKey, list[Prediction]], intervals: IntervalSettings) -> dict[str, Any]:
    """Accuracies of the other runs; for the base model only its best, since its controls are in the details. A control
    whose answers cannot be read has none: it is named in `invalid_controls`."""
    values: dict[str, Any] = {"invalid_controls": ", ".join(invalid_controls(runs))}
    for (model, run), predictions in sorted(runs.items()):
        if is_control(run) and not is_valid(predictions):
            continue
        if run in _NAMES and (model == "policy" or run in _OF_BASE):
            values[_NAMES[run] if model == "policy" else f"base_{_NAMES[run]}"] = score(predictions, intervals).value
    return values


def is_control(run: str) -> bool:
    """Whether the run withholds evidence."""
    return run.partition("/")[2] in CONTROLS


def invalid_controls(runs: Mapping[RunKey, Sequence[Prediction]]) -> list[str]:
    """`model mode/view` of the controls with more than `MAX_UNREADABLE` unreadable answers."""
    return [f"{m} {run}" for (m, run), rows in sorted(runs.items()) if is_control(run) and not is_valid(rows)]


def _above_floor(runs: Mapping[RunKey, list[Prediction]], result: EvaluationResult) -> dict[str, Any]:
    """What the evidence adds: accuracy minus the best possible without it."""
    found = floor(runs, result.probes, result.intervals)
    above = found.above
    return {
        "above_floor": above.value,
        "above_floor_low": above.low,
        "above_floor_high": above.high,
        "floor": found.value,
        "floor_of": found.of,
    }


def _behaviour(runs: Mapping[RunKey, list[Prediction]], result: EvaluationResult) -> dict[str, Any]:
    policy, base = runs["policy", HEADLINE], runs["base", HEADLINE]
    values: dict[str, Any] = {
        "unparsed_fraction": unparsed_fraction(policy),
        "completion_tokens": sum(p.completion_tokens for p in policy) / len(policy),
    }
    for prefix, model in (("base_", "base"), ("", "policy")):
        for name, found in _agreements(runs, model, result).items():
            values[f"{prefix}{name}"] = None if found is None else found.value
    for prefix, predictions in (("base_", base), ("", policy)):
        quality = keyframe_quality(predictions, result.questions, result.match)
        if quality is not None:
            values[f"{prefix}keyframe_f1"] = quality.f1
            values["keyframe_f1_random"] = quality.f1_random
    return {name: value for name, value in values.items() if value is not None}


def _agreements(
    runs: Mapping[RunKey, list[Prediction]], model: str, result: EvaluationResult
) -> dict[str, Estimate | None]:
    """How often the model's answers agree with their thinking, by asking again and by reading."""
    return {
        "agreement": agreement(runs, model, result.intervals),
        "stated_agreement": stated_agreement(runs, model, result.questions, result.intervals),
    }


def detail_metrics(result: EvaluationResult) -> dict[str, Any]:
    """Behind the headline: per model and run accuracy, families, outcomes; gains, key frames, consistency."""
    runs = result.runs
    return {
        "max_unreadable": MAX_UNREADABLE,
        "runs": {f"{model} {run}": _run_details(rows, result) for (model, run), rows in sorted(runs.items())},
        "gains": {
            run: rounded(gain(runs["base", run], runs["policy", run], result.intervals))
            for run in sorted({run for _, run in runs})
            if ("base", run) in runs and ("policy", run) in runs and _share_questions(runs, run)
        },
        "keyframes": {model: _keyframes(runs.get((model, HEADLINE), []), result) for model in ("base", "policy")},
        "named_frames": {model: _named_frames(runs, model, result.intervals) for model in ("base", "policy")},
        "permutation_consistency": _consistencies(runs),
        "agreement": {
            model: {name: rounded(found) for name, found in _agreements(runs, model, result).items() if found}
            for model in ("base", "policy")
        },
        "detectable_difference": _detectable(result),
    }


def _share_questions(runs: Mapping[RunKey, list[Prediction]], run: str) -> bool:
    first, second = ({p.question_id for p in runs[model, run]} for model in ("base", "policy"))
    return bool(first & second)


def _run_details(predictions: Sequence[Prediction], result: EvaluationResult) -> dict[str, Any]:
    return {
        "accuracy": rounded(score(predictions, result.intervals)),
        "strict_accuracy": rounded(_strict(predictions, result.modes)),
        "unparsed_fraction": rounded(unparsed_fraction(predictions)),
        "valid": is_valid(predictions),
        "outcomes": outcome_counts(predictions),
        "families": rounded(per_family(predictions, result.intervals)),
    }


def _keyframes(predictions: Sequence[Prediction], result: EvaluationResult) -> dict[str, Any] | None:
    quality: KeyframeQuality | None = keyframe_quality(predictions, result.questions, result.match)
    return None if quality is None else rounded(asdict(quality))


def _named_frames(
    runs: Mapping[RunKey, list[Prediction]], model: str, intervals: IntervalSettings
) -> dict[str, Any] | None:
    """Accuracy from only the named frames minus that from all, on the questions for which frames were named."""
    only = runs.get((model, "reasoning/named_frames"))
    return rounded(gain(runs[model, HEADLINE], only, intervals)) if only else None


def _consistencies(runs: Mapping[RunKey, list[Prediction]]) -> dict[str, float]:
    """Per model and mode with a `permuted` run: share of questions answered alike in every option order."""
    return {
        f"{model} {run.split('/')[0]}": rounded(consistency(rows, runs.get((model, run.split("/")[0] + "/video"), [])))
        for (model, run), rows in sorted(runs.items())
        if run.endswith("/permuted")
    }


def _detectable(result: EvaluationResult) -> dict[str, float | None]:
    """Minimal detectable difference (power 0.8) of this many questions, by the share on which two models differ; None
    if they are too few to show any."""
    questions = len({p.question_id for p in scored(result.predictions)})
    shares = (0.1, 0.2, 0.3, 0.5)
    return {
        f"differing_{share}": rounded(minimal_detectable_difference(questions, share, result.intervals.confidence))
        for share in shares
    }
