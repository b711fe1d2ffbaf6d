"""Results in the form that lmms-eval writes, so that its tools and other people's can load them.

Format: lmms-eval 0.3 `--output_path` with `--log_samples`: `results.json` with `results`, `configs`, `n-samples` and
`<task>_samples.jsonl` with one document per line.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluation.benchmarks.base import Benchmark
from pipeline.evaluation.scores import Judge, score, scored
from pipeline.records import LETTERS, Prediction, Question
from pipeline.reports import write_json


def lmms_results(benchmark: Benchmark, predictions: Sequence[Prediction], judge: Judge, model: str) -> dict[str, Any]:
    """The results document of one run; `score,none` is the accuracy as a fraction."""
    task = benchmark.task or f"egovlm_{benchmark.name}"
    estimate = score(scored(predictions), judge)
    stderr = (estimate.value * (1 - estimate.value) / estimate.count) ** 0.5
    return {
        "results": {task: {"alias": task, "score,none": estimate.value, "score_stderr,none": stderr}},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "output_type": "generate_until"}},
        "versions": {task: "Yaml"},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"score": True}},
        "n-samples": {task: {"original": benchmark.size or estimate.count, "effective": estimate.count}},
        "model_name": model,
    }


def lmms_sample(number: int, prediction: Prediction, question: Question) -> dict[str, Any]:
    """One line of the samples file."""
    target = "" if prediction.answer is None else LETTERS[prediction.answer]
    chosen = "" if prediction.option is None else LETTERS[prediction.option]
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
        "resps": [[prediction.completion]],
        "filtered_resps": [chosen],
        "score": float(prediction.correct),
    }


def write_lmms(
    folder: Path,
    benchmark: Benchmark,
    predictions: Sequence[Prediction],
    questions: Mapping[str, Question],
    judge: Judge,
    model: str,
) -> None:
    """Write results.json and <task>_samples.jsonl of one run into `folder`."""
    results = lmms_results(benchmark, predictions, judge, model)
    task = next(iter(results["results"]))
    write_json(folder / "results.json", results)
    lines = [lmms_sample(i, p, questions[p.question_id]) for i, p in enumerate(predictions)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    partial = folder / f"{task}_samples.jsonl.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / f"{task}_samples.jsonl")
