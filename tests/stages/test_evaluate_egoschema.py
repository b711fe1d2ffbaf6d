"""The evaluation stage on a random model: files in, files out."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ArtifactError, EmptyInput, StageError
from pipeline.evaluation.submission import read_submission
from pipeline.files import write_json
from pipeline.frames.jpeg import encode_jpeg
from pipeline.frames.shards import Layout, write_bucket, write_manifest
from pipeline.frames.store import SCHEMA
from pipeline.params import Params, load_params
from pipeline.records import Prediction, Question, Video, read_rows, write_rows
from pipeline.report.headline import sentence
from pipeline.reports import StageReport
from pipeline.stages import evaluate_egoschema
from tests.support.random_policy import make_random_policy

RUNS = ("reasoning/video", "sampled/video", "likelihood/video", "reasoning/blind", "likelihood/permuted")


def _questions() -> list[Question]:
    return [
        Question(
            question_id=f"q{i}",
            video_id=f"v{i // 2}",
            source="egoschema",
            licence="CC0-1.0",
            family="taken" if i % 2 else "count",
            question="what is taken ?",
            options=("red", "blue", "cup", "red cup", "blue cup"),
            answer=i % 5 if i < 10 else None,
            start_seconds=0.0,
            end_seconds=2.0,
            keyframe_seconds=(0.75,),
            split="test" if i else "dev",
        )
        for i in range(12)
    ]


def _video(video_id: str) -> Video:
    return Video(
        video_id=video_id, path=f"{video_id}.mp4", sha256="0" * 64, bytes=1, codec="h264", width=16, height=16,
        frames_per_second=4.0, duration_seconds=2.0, parent_video_id=f"parent-{video_id}", source="x", licence="x",
    )  # fmt: skip


def _frames(folder: Path, clip_ids: list[str]) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            "item_id": clip_id, "key": "k", "video_id": clip_id.split("@")[0], "pts_seconds": [0.25, 0.75, 1.25, 1.75],
            "origin_seconds": 0.0, "width": 16, "height": 16, "decode_method": "plan",
            "jpegs": [encode_jpeg(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), 95) for _ in range(4)],
        }
        for clip_id in clip_ids
    ]  # fmt: skip
    layout = Layout(SCHEMA, 1, 10**8)
    folder.mkdir(parents=True)
    write_bucket(folder, layout, 0, rows)
    write_manifest(folder, layout, {})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "project")


def make_root(root: Path) -> Path:
    questions = _questions()
    write_rows(root / "data/dataset/questions.parquet", questions, Question)
    write_rows(root / "data/raw/videos.parquet", [_video(f"v{i}") for i in range(6)], Video)
    ids = [q.question_id for q in questions if q.split == "test"]
    answered = [q.question_id for q in questions if q.split == "test" and q.answer is not None]
    write_json(root / "data/raw/benchmarks.json", {"egoschema": {"questions": ids, "answered": answered}})
    _frames(root / "data/frames", sorted({q.clip_id for q in questions}))
    for seed, name in enumerate(("base", "policy")):
        policy = make_random_policy(seed)
        policy.model.save_pretrained(root / "data/models" / name)
        policy.tokenizer.save_pretrained(root / "data/models" / name)
    return root


def make_params(repository: Path, **changes: Any) -> Params:
    params = load_params(repository / "params.yaml")
    values = {"runs": RUNS, "max_new_tokens": 8, "batch_size": 4, "bootstrap_draws": 100} | changes
    return params.model_copy(update={"evaluate_egoschema": params.evaluate_egoschema.model_copy(update=values)})


def run(root: Path, params: Params) -> dict[str, Any]:
    evaluate_egoschema.run(params, root, StageReport("evaluate_egoschema"))
    metrics: dict[str, Any] = json.loads((root / "data/reports/metrics.json").read_text())
    return metrics


def digests(root: Path) -> dict[str, str]:
    files = [p for name in ("predictions", "reports") for p in sorted((root / "data" / name).rglob("*")) if p.is_file()]
    assert len(files) >= 9
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_metrics_are_those_of_the_predictions(root: Path, repository: Path) -> None:
    metrics = run(root, make_params(repository))
    rows = read_rows(root / "data/predictions/predictions.parquet", Prediction)
    policy = [p for p in rows if (p.model, p.mode, p.view) == ("policy", "reasoning", "video") and p.answer is not None]
    assert {p.question_id for p in policy} == {f"q{i}" for i in range(1, 10)}
    assert metrics["questions"] == 9
    assert metrics["accuracy"] == pytest.approx(sum(p.correct for p in policy) / 9, abs=1e-6)
    assert metrics["unparsed_fraction"] == pytest.approx(sum(p.option is None for p in policy) / 9, abs=1e-6)
    assert metrics["gain_same_prompt"] == pytest.approx(metrics["accuracy"] - metrics["base_accuracy"], abs=2e-6)
    assert metrics["accuracy_low"] <= metrics["accuracy"] <= metrics["accuracy_high"]
    wanted = {"gain_low", "gain_high", "sampled_accuracy", "base_sampled_accuracy", "keyframe_f1"}
    assert wanted | {"above_floor", "floor_of", "invalid_controls", "chance", "best_base_accuracy"} <= set(metrics)
    assert all(isinstance(value, int | float | str) for value in metrics.values())
    assert {p.parent_video_id for p in rows} == {f"parent-v{i}" for i in range(6)}


def test_the_same_bytes_in_any_folder_resumed_or_not(root: Path, repository: Path, tmp_path: Path) -> None:
    params = make_params(repository)
    run(root, params)
    first = digests(root)
    journal = sorted((root / "data/checkpoints/evaluate_egoschema").glob("*.json"))
    for path in journal[::2]:
        path.unlink()
    run(root, params)
    assert digests(root) == first
    other = make_root(tmp_path / "elsewhere")
    run(other, params)
    assert digests(other) == first


def test_what_the_data_checks_found_stands_beside_the_score(root: Path, repository: Path) -> None:
    assert run(root, make_params(repository))["leaky"] is False
    write_json(root / "data/dataset/leakage.json", {"leaky": True})
    write_json(root / "data/dataset/probes.json", {"longest_option": 0.31})
    assert run(root, make_params(repository))["leaky"] is True
    controls = json.loads((root / "data/reports/controls.json").read_text())
    assert controls["probes"] == {"longest_option": 0.31}
    assert set(controls["runs"]) == {f"{model} {name}" for model in ("base", "policy") for name in RUNS}
    assert set(controls["permutation_consistency"]) == {"base likelihood", "policy likelihood"}


def test_the_best_rule_that_sees_only_text_is_a_floor(root: Path, repository: Path) -> None:
    """Hits of the splits that are asked; those of other splits and of questions not asked do not count."""
    hits = {f"q{i}": float(i <= 7) for i in range(1, 10)}
    write_json(
        root / "data/dataset/probe_hits.json", {"test": {"words": hits}, "dev": {"words": {"q0": 1.0, "q9": 1.0}}}
    )
    metrics = run(root, make_params(repository, runs=("reasoning/video",)))
    assert (metrics["floor_of"], metrics["floor"]) == ("rule: words", pytest.approx(7 / 9, abs=1e-5))
    assert metrics["above_floor"] == pytest.approx(metrics["accuracy"] - 7 / 9, abs=1e-5)


def test_plots_have_a_row_per_run_family_and_answer(root: Path, repository: Path) -> None:
    run(root, make_params(repository))
    files = (root / "data/reports/plots").glob("*.csv")
    tables = {p.stem: list(csv.DictReader(p.read_text().splitlines())) for p in files}
    assert {name: len(rows) for name, rows in tables.items()} == {"accuracy": 10, "families": 4, "answers": 9}
    assert {row["family"] for row in tables["families"]} == {"taken", "count"}


def test_a_benchmark_with_a_server_gets_a_submission(root: Path, repository: Path) -> None:
    run(root, make_params(repository, benchmark="egoschema_full"))
    answers = read_submission(root / "data/predictions/submission/policy/submission.json")
    assert set(answers) == {f"q{i}" for i in range(1, 12)}
    assert answers == read_submission(root / "data/predictions/submission/policy/submission.csv")


def test_a_submission_holds_every_question_of_the_pinned_file(root: Path, repository: Path) -> None:
    ids = [f"q{i}" for i in range(1, 12)]
    whole = {"egoschema": {"questions": ["p0", *ids], "answered": ["p0", *ids[:9]]}}  # p0 has no video here
    write_json(root / "data/raw/benchmarks.json", whole)
    with pytest.raises(StageError, match="11 of the 12 questions of egoschema_full can be asked"):
        run(root, make_params(repository, benchmark="egoschema_full"))
    params = make_params(repository, benchmark="egoschema_full", max_missing_fraction=0.1)
    report = StageReport("evaluate_egoschema")
    evaluate_egoschema.run(params, root, report)
    assert read_submission(root / "data/predictions/submission/policy/submission.json")["p0"] == -1
    assert dict(report.outcomes["benchmark question"]) == {"asked": 11, "not_asked": 1}
    metrics = json.loads((root / "data/reports/metrics.json").read_text())
    assert (metrics["questions"], metrics["benchmark_questions"]) == (9, 10)
    assert "of the questions asked, 9 of 10 (base" in sentence(metrics)


def test_a_benchmark_without_questions_is_a_clear_error(root: Path, repository: Path) -> None:
    with pytest.raises(EmptyInput, match=r"no question of benchmark egoplan in splits .*test: 11.*change"):
        run(root, make_params(repository, benchmark="egoplan"))
    with pytest.raises(EmptyInput, match="train: 0"):
        run(root, make_params(repository, splits=("train",)))
    assert not (root / "data/reports/metrics.json").exists()


def test_questions_without_public_answers_have_no_accuracy(root: Path, repository: Path) -> None:
    path = root / "data/dataset/questions.parquet"
    write_rows(path, [q.model_copy(update={"answer": None}) for q in _questions()], Question)
    with pytest.raises(EmptyInput, match="so there is no accuracy to compute"):
        run(root, make_params(repository, runs=("reasoning/video",)))


def test_missing_inputs_are_named(root: Path, repository: Path) -> None:
    write_rows(root / "data/raw/videos.parquet", [_video("v0")], Video)
    with pytest.raises(ArtifactError, match="has no v1"):
        run(root, make_params(repository))
    (root / "data/dataset/questions.parquet").unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        run(root, make_params(repository))
