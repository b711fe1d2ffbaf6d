"""Results in the layout that lmms-eval writes, so that its tools and other people's can load them.

Layout of lmms-eval 0.7 (`--output_path` with `--log_samples`), as its own reader expects it: `<prefix>_results.json`
with `results`, `configs`, `n-samples`, and `<prefix>_samples_<task>.jsonl` with one line per question. Its prefix is
a time; ours is a word, so that the same inputs give the same files.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluation.benchmarks.base import Benchmark
from pipeline.evaluation.scores import IntervalSettings, score, scored
from pipeline.files import write_json, write_text
from pipeline.records import LETTERS, Prediction, Question

PREFIX = "egovlm"


def task_of(benchmark: Benchmark) -> str:
    """The name under which lmms-eval knows the benchmark, or one that it can list."""
    return benchmark.task or f"egovlm_{benchmark.name}"


def lmms_results(
    benchmark: Benchmark, predictions: Sequence[Prediction], intervals: IntervalSettings, model: str, size: int | None
) -> dict[str, Any]:
    """The results document of one run; `score,none` is the accuracy as a fraction, `size` the whole benchmark's."""
    task = task_of(benchmark)
    estimate = score(scored(predictions), intervals)
    stderr = (estimate.value * (1 - estimate.value) / estimate.count) ** 0.5
    return {
        "results": {task: {"alias": task, "score,none": estimate.value, "score_stderr,none": stderr}},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "output_type": "generate_until"}},
        "versions": {task: "Yaml"},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"score": True}},
        "n-samples": {task: {"original": size or estimate.count, "effective": estimate.count}},
        "model_name": model,
    }


def lmms_sample(number: int, prediction: Prediction, question: Question) -> dict[str, Any]:
    """One line of the samples file; `number` is the question's place in the whole benchmark, by which lmms-eval pairs
    runs."""
    target = "" if prediction.answer is None else LETTERS[prediction.answer]
    return {
        "doc_id": number,
        "doc": {
            "question_idx": prediction.question_id,
            "video_idx": prediction.video_id,
            "question": question.question,
            "option": [f"{LETTERS[i]}. {text}" for i, text in enumerate(question.options)],
            "answer": target,
        },
        "target": target,
        "input": prediction.prompt,
        "resps": [prediction.completion],
        "filtered_resps": "" if prediction.option is None else LETTERS[prediction.option],
        "score": float(prediction.correct),
    }


def write_lmms(
    folder: Path,
    benchmark: Benchmark,
    predictions: Sequence[Prediction],
    questions: Mapping[str, Question],
    intervals: IntervalSettings,
    model: str,
    expected: Sequence[str],
) -> None:
    """Write both files of one run into `folder`.

    `expected` holds the ids of the whole benchmark in its own order; [] if it has none: then the questions asked count
    from 0.
    """
    numbers = {uid: i for i, uid in enumerate(expected or [p.question_id for p in predictions])}
    lines = [lmms_sample(numbers[p.question_id], p, questions[p.question_id]) for p in predictions]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_text(folder / f"{PREFIX}_samples_{task_of(benchmark)}.jsonl", text)
    results = lmms_results(benchmark, predictions, intervals, model, len(expected) or None)
    write_json(folder / f"{PREFIX}_results.json", results)
