"""The whole road, small: real H.264 videos in, a GRPO-trained policy, a score and a report out."""

import json
import re
from pathlib import Path

import pytest

from pipeline.frames.store import FrameStore
from pipeline.records import Question, read_rows
from tests.toy.project import Project

HEADLINE = {
    "questions",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "base_accuracy",
    "gain",
    "gain_low",
    "gain_high",
    "sampled_accuracy",
    "base_sampled_accuracy",
    "invalid_controls",
    "unparsed_fraction",
    "keyframe_f1",
}


def _real_questions(project: Project) -> list[Question]:
    questions = read_rows(project.root / "data/dataset/questions.parquet", Question)
    return [q for q in questions if q.source == "real"]


def test_real_clips_arrive(whole_road: Project, shared: Path) -> None:
    """The tiny model's score on them means nothing; that frames and questions arrive does."""
    questions = _real_questions(whole_road)
    assert len(questions) == 9
    store = FrameStore(whole_road.root / "data/frames")
    for question in questions:
        frames = store.load(question.clip_id)
        assert frames.images.shape[0] == 6
        assert question.start_seconds <= frames.pts_seconds[0] < frames.pts_seconds[-1] <= question.end_seconds


def test_the_headline_is_whole(whole_road: Project) -> None:
    metrics = json.loads((whole_road.root / "data/reports/metrics.json").read_text())
    assert set(metrics) >= HEADLINE
    assert metrics["questions"] == 6 * 3 + len(_real_questions(whole_road))
    assert metrics["accuracy_low"] <= metrics["accuracy"] <= metrics["accuracy_high"]
    assert metrics["gain"] == pytest.approx(metrics["accuracy"] - metrics["best_base_accuracy"])


def test_a_second_repro_runs_nothing(whole_road: Project) -> None:
    result = whole_road.run("dvc", "repro")
    assert "Running stage" not in result.stdout
    assert "Data and pipelines are up to date" in result.stdout + result.stderr


def test_every_item_is_accounted_for(whole_road: Project) -> None:
    for stage in ("download_videos", "prepare_questions", "extract_frames", "mine_keyframes", "validate_dataset"):
        report = json.loads((whole_road.root / f"data/reports/{stage}.json").read_text())
        assert report["outcomes"], stage
        bad = sum(n for counts in report["outcomes"].values() for outcome, n in counts.items() if outcome != "ok")
        assert bad == report["quarantined"], stage


def test_metrics_show_for_dvc(whole_road: Project) -> None:
    shown = json.loads(whole_road.run("dvc", "metrics", "show", "--json").stdout)
    assert list(shown[""]["data"]) == ["data/reports/result.json"]
    data = shown[""]["data"]["data/reports/result.json"]["data"]
    assert data["n"] >= 6 * 3 and {"accuracy", "gain", "low", "high"} <= set(data)


def test_a_typo_in_any_section_stops_the_first_stage(whole_road: Project) -> None:
    params = whole_road.root / "params.yaml"
    before = params.read_text()
    try:
        params.write_text(before.replace("\n  learning_rate:", "\n  learnin_rate:", 1))
        result = whole_road.run("python", "-m", "pipeline.stages", "download_videos", check=False)
    finally:
        params.write_text(before)
    assert result.returncode == 1
    assert "unknown key train_grpo.learnin_rate; did you mean learning_rate?" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_readmes_lines_load_the_policy(whole_road: Project, repository: Path) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (repository / "docs/your_videos.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    parameters, tokens = map(int, whole_road.run("python", "-c", code).stdout.split())
    assert 100_000 < parameters < 2_000_000
    assert tokens > 50
