"""Evaluate base and policy on the held-out questions: predictions, headline metrics, controls, plots, submission."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ArtifactError, EmptyInput, ItemError
from pipeline.evaluation.benchmarks import BENCHMARKS
from pipeline.evaluation.benchmarks.base import select_questions
from pipeline.evaluation.benchmarks.size import Whole, stop_if_partial, whole_of
from pipeline.evaluation.engine_backend import with_engine
from pipeline.evaluation.evaluate import evaluate_models, load_models
from pipeline.evaluation.keyframe_quality import MatchSettings
from pipeline.evaluation.lmms import write_lmms
from pipeline.evaluation.metrics import EvaluationResult, detail_metrics, headline_metrics
from pipeline.evaluation.plots import write_plots
from pipeline.evaluation.predict import LoadClip
from pipeline.evaluation.response_cache import ResponseCache
from pipeline.evaluation.result import result_row
from pipeline.evaluation.runs import HEADLINE, modes_of
from pipeline.evaluation.scores import IntervalSettings, by_run
from pipeline.evaluation.submission import answers_of, q_uid, write_submission
from pipeline.files import write_json
from pipeline.frames.store import FrameStore
from pipeline.layout import (
    BASE,
    BENCHMARK_QUESTIONS,
    CHECKPOINTS,
    CONTROLS,
    DATASET,
    FRAMES,
    LEAKAGE,
    METRICS,
    PLOTS,
    POLICY,
    PREDICTED,
    PREDICTIONS,
    PROBE_HITS,
    PROBES,
    QUESTIONS,
    RESULT,
    VIDEOS,
)
from pipeline.params import Params
from pipeline.records import Prediction, Question, Video, read_rows, write_rows
from pipeline.reports import StageReport


def run(params: Params, root: Path, report: StageReport) -> None:
    """Write data/predictions, data/reports/{result,metrics,controls}.json and data/reports/plots."""
    settings = params.evaluate_egoschema
    BENCHMARKS.check([settings.benchmark], "evaluate_egoschema.benchmark", settings.plugins)
    benchmark = BENCHMARKS[settings.benchmark]
    questions, whole = _questions(params, root), whole_of(benchmark, root / BENCHMARK_QUESTIONS)
    stop_if_partial(benchmark, questions, whole, settings.max_missing_fraction)
    parents = _parents(root, questions)
    rewards = params.train_grpo.reward_settings  # the value of a key time is defined only once
    folders = {"base": root / BASE, "policy": root / POLICY}
    cache = ResponseCache(root / CHECKPOINTS / "evaluate_egoschema")
    models = load_models(folders, settings, params.machine, root / CHECKPOINTS / "features")
    load_clip = _loader(FrameStore(root / FRAMES))
    with with_engine(models, folders, settings, params.machine, root / CHECKPOINTS / "engine") as asked:
        predictions = evaluate_models(
            asked, questions, parents, load_clip, cache, settings, params.prompts, params.seed
        )
    result = EvaluationResult(
        predictions,
        {q.question_id: q for q in questions},
        modes_of(settings, params.prompts),
        IntervalSettings.of(params),
        MatchSettings(rewards.keyframe_sigma_spacings, rewards.keyframe_max_count),
        _probe_hits(root, settings.splits),
    )
    _write(result, whole, params, root, report)
    cache.forget_unused()


def _questions(params: Params, root: Path) -> list[Question]:
    """The benchmark's questions of the chosen splits."""
    settings = params.evaluate_egoschema
    rows = read_rows(root / QUESTIONS, Question)
    chosen = select_questions(BENCHMARKS[settings.benchmark], (q for q in rows if q.split in settings.splits))
    if not chosen:
        splits = ", ".join(f"{s}: {sum(q.split == s for q in rows)}" for s in ("train", "dev", "test"))
        raise EmptyInput(
            f"no question of benchmark {settings.benchmark} in splits {list(settings.splits)} ({DATASET} holds "
            f"{splits}): change evaluate_egoschema.benchmark or .splits, or add a source"
        )
    if all(question.answer is None for question in chosen):
        raise EmptyInput(
            f"none of the {len(chosen)} questions has a public answer, so there is no accuracy to compute: add "
            "questions with answers"
        )
    return chosen


def _parents(root: Path, questions: list[Question]) -> dict[str, str]:
    """The recording of each video; intervals are clustered by recording."""
    parents = {v.video_id: v.parent_video_id for v in read_rows(root / VIDEOS, Video)}
    unknown = sorted({q.video_id for q in questions} - set(parents))
    if unknown:
        raise ArtifactError(f"{VIDEOS} has no {unknown[0]}, but {DATASET} asks about it: run `dvc repro`")
    return parents


def _probe_hits(root: Path, splits: Sequence[str]) -> dict[str, dict[str, float]]:
    """What the rules of validate_dataset have right, by rule and question, of the splits asked."""
    found: dict[str, dict[str, float]] = {}
    for split, rules in _optional_json(root / PROBE_HITS).items():
        for rule, hits in rules.items() if split in splits else ():
            found.setdefault(rule, {}).update(hits)
    return found


def _loader(store: FrameStore) -> LoadClip:
    def load(clip_id: str) -> Any:
        if clip_id not in store:
            raise ItemError("no_frames", clip_id)
        return store.load(clip_id)

    return load


def _write(result: EvaluationResult, whole: Whole, params: Params, root: Path, report: StageReport) -> None:
    settings = params.evaluate_egoschema
    context = _dataset_context(root)
    metrics = {"benchmark": settings.benchmark, "leaky": context["leaky"], **headline_metrics(result)}
    if whole.ids:
        metrics["benchmark_questions"] = whole.scorable
        report.count("benchmark question", "asked", len(result.questions))
        report.count("benchmark question", "not_asked", len(whole.ids) - len(result.questions))
    for prediction in result.predictions:
        report.count(f"{prediction.model} {prediction.mode}/{prediction.view}", prediction.outcome)
    write_rows(root / PREDICTED, result.predictions, Prediction)
    write_plots(result, root / PLOTS)
    _write_exchange_formats(result, whole, params, root / PREDICTIONS)
    write_json(root / CONTROLS, {**context, **detail_metrics(result)})
    write_json(root / RESULT, result_row(metrics))
    write_json(root / METRICS, metrics)


def _dataset_context(root: Path) -> dict[str, Any]:
    """What the data checks say about the questions: whether they leak, and what text-only rules score."""
    leakage = _optional_json(root / LEAKAGE)
    return {"leaky": bool(leakage.get("leaky", False)), "probes": _optional_json(root / PROBES)}


def _optional_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"{path} is not JSON ({error}): run `dvc repro validate_dataset`") from error
    return value if isinstance(value, dict) else {"values": value}


def _write_exchange_formats(result: EvaluationResult, whole: Whole, params: Params, folder: Path) -> None:
    """Results in other projects' formats: lmms-eval's, and the submission for a benchmark that has a server."""
    benchmark = BENCHMARKS[params.evaluate_egoschema.benchmark]
    runs = by_run(result.predictions)
    for model in ("base", "policy"):
        rows, lmms = runs[model, HEADLINE], folder / "lmms_eval" / model
        write_lmms(lmms, benchmark, rows, result.questions, result.intervals, model, whole.ids)
        if benchmark.submits:
            wanted = {q_uid(uid) for uid in whole.ids}
            write_submission(answers_of(rows, whole.ids), wanted, folder / "submission" / model)
