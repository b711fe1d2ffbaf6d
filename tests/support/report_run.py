"""The artifacts of a whole run, made small through the pipeline's own writers: what the report's tests read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.checks.shortcuts import ProbeScore
from pipeline.evaluation.keyframe_quality import MatchSettings
from pipeline.evaluation.metrics import EvaluationResult, detail_metrics, headline_metrics
from pipeline.evaluation.runs import Mode
from pipeline.evaluation.scores import IntervalSettings
from pipeline.files import write_json
from pipeline.frames.jpeg import encode_jpeg
from pipeline.frames.shards import Layout, write_bucket, write_manifest
from pipeline.frames.store import SCHEMA
from pipeline.params import WriteReport
from pipeline.records import Keyframe, Prediction, Quarantined, Question, Video, write_rows
from pipeline.report.inputs import STAGES
from pipeline.reports import StageReport

HOSTILE = '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> & "quoted" 好 🙂 <!--'
SETTINGS = WriteReport(gallery_questions=40)
TEXT = """the camera wearer picks up a red cup from the left side of table then puts it near blue box while other hand
holds small green plate and walks slowly towards sink before opening drawer to take knife cutting bread into pieces"""
WORDS = TEXT.split()
MODES = {"reasoning": Mode("{question}", 64), "likelihood": Mode("{question}", 0, continuation="{letter}")}
MODES["forced"] = MODES["likelihood"]


@dataclass(frozen=True)
class Size:
    """How much to make: `words` per completion, questions per clip are three."""

    questions: int = 30
    words: int = 12
    draws: int = 50


def make_run(root: Path, size: Size | None = None, hostile: str = HOSTILE) -> list[Question]:
    """Write all artifacts that `write_report` reads below `root`; question 0 and its completions carry `hostile` text.

    Base answers are right one time in four, the policy's three in four; every seventh base completion has no answer.
    The clip of the last question has no frames.
    """
    size = size or Size()
    rng = np.random.default_rng(0)
    questions = [_question(i, rng, hostile) for i in range(size.questions)]
    predictions = [p for q in questions for p in _predictions(q, size, rng, hostile)]
    data = root / "data"
    write_rows(data / "dataset/questions.parquet", questions, Question)
    write_rows(data / "predictions/predictions.parquet", predictions, Prediction)
    write_rows(data / "keyframes/keyframes.parquet", _keyframes(questions), Keyframe)
    ledger = [
        Quarantined(stage="download_videos", kind="video", item_id="bad-1", reason="no_video_stream", detail=hostile),
        Quarantined(
            stage="validate_dataset", kind="question", item_id="q-00003", reason="frozen", detail="3 frames alike"
        ),
    ]
    write_rows(data / "dataset/quarantine.parquet", ledger, Quarantined)
    write_rows(data / "raw/videos.parquet", _videos(questions), Video)
    write_frames(data / "frames", questions[:-1])
    _write_reports(data, questions, predictions, size)
    _write_curves(data / "reports/live/train_grpo/plots/metrics")
    write_json(
        data / "models/policy/training.json", {"params": {"train_grpo": {"max_steps": 40}}, "numbers": {"steps": 40}}
    )
    return questions


def _videos(questions: list[Question]) -> list[Video]:
    """The manifest: one file is read where a user keeps it, the others are copies."""
    return [
        Video(
            video_id=name, path=f"videos/{name} 1.mp4" if i else f"../../inputs/clips/{name}.mp4", sha256="0" * 64,
            bytes=1, codec="h264", width=64, height=48, frames_per_second=10.0, duration_seconds=60.0,
            parent_video_id=name, source="local", licence="mit",
        )
        for i, name in enumerate(sorted({question.video_id for question in questions}))
    ]  # fmt: skip


def _question(i: int, rng: np.random.Generator, hostile: str) -> Question:
    start = float(i % 3)
    text = " ".join(rng.choice(WORDS, 18))
    return Question(
        question_id=f"q-{i:05d}",
        video_id=f"video-{i // 3:04d}",
        source="synthetic" if i % 5 else "local",
        licence="CC0-1.0",
        family=("taken", "moved", "count")[i % 3],
        question=f"{hostile if i == 0 else text}?",
        options=tuple(f"{' '.join(rng.choice(WORDS, 14))} {j}" for j in range(5)),
        answer=i % 5,
        start_seconds=start,
        end_seconds=start + 8.0,
        keyframe_seconds=(start + 2.0, start + 5.5) if i % 4 else None,
        split="test",
    )


def _predictions(q: Question, size: Size, rng: np.random.Generator, hostile: str) -> list[Prediction]:
    made = []
    for model, share in (("base", 0.25), ("policy", 0.75)):
        right = bool(rng.random() < share)
        option = q.answer if right else (int(q.answer or 0) + 1) % 5
        if model == "base" and rng.random() < 1 / 7:
            option = None
        thought = hostile if q.question_id == "q-00000" else " ".join(rng.choice(WORDS, size.words))
        text = f"<think>{thought}</think><keyframes>2.1, 6.0</keyframes>" + (
            f"<answer>{'ABCDE'[option]}</answer>" if option is not None else ""
        )
        made.append(_prediction(q, model, "reasoning", "video", option, text))
        made.append(_prediction(q, model, "reasoning", "blind", int(rng.integers(5)), "<answer>B</answer>"))
        made.append(_prediction(q, model, "likelihood", "video", option or 0, ""))
        made.append(_prediction(q, model, "forced", "blind", int(rng.integers(5)), ""))
        again = option if int(q.question_id[2:]) % 6 else (int(q.answer or 0) + 2) % 5  # every sixth disagrees
        made.append(_prediction(q, model, "forced", "reordered", 0 if again is None else again, ""))
    return made


def _prediction(q: Question, model: str, mode: str, view: str, option: int | None, text: str) -> Prediction:
    scored = mode in ("likelihood", "forced")
    shares = tuple(0.6 if i == option else 0.1 for i in range(5)) if scored else None
    times = (q.start_seconds + 2.1, q.start_seconds + 6.0) if mode == "reasoning" and view == "video" else None
    return Prediction(
        question_id=q.question_id,
        video_id=q.video_id,
        parent_video_id=q.video_id,
        family=q.family,
        model=model,
        mode=mode,
        view=view,
        sample=0,
        seen_clip_id=None if view == "blind" else q.clip_id,
        frame_seconds=tuple(q.start_seconds + t for t in (0.5, 2.0, 3.5, 5.0, 6.5, 7.9)),
        prompt=q.question,
        option_order=tuple(range(5)),
        completion=text,
        completion_tokens=len(text.split()),
        finished=True,
        outcome="scored" if scored else ("tagged" if option is not None else "nothing"),
        option=option,
        answer=q.answer,
        keyframe_seconds=times,
        keyframe_frames=(1, 4) if times else None,
        option_probabilities=shares,
    )


def _keyframes(questions: list[Question]) -> list[Keyframe]:
    clips = sorted({(q.clip_id, q.start_seconds) for q in questions})
    times = ((2.2, 1.0), (7.0, 0.6), (5.4, 0.3))
    return [
        Keyframe(
            clip_id=clip,
            pts_seconds=start + at,
            rank=rank,
            score=score,
            signal="lk_affine",
            event=rank,
            role="peak",
            event_start_seconds=start + at - 0.5,
            event_end_seconds=start + at + 0.5,
        )
        for clip, start in clips
        for rank, (at, score) in enumerate(times)
    ]


def write_frames(folder: Path, questions: list[Question]) -> None:
    """A real frame store: six frames of 64 x 48 pixels per clip, a square that moves."""
    layout = Layout(SCHEMA, buckets=2, max_bytes=1 << 26)
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[int, dict[str, dict[str, Any]]] = {0: {}, 1: {}}
    for q in questions:
        rows[layout.bucket_of(q.clip_id)].setdefault(q.clip_id, _frames_row(q))
    for bucket, found in rows.items():
        write_bucket(folder, layout, bucket, list(found.values()))
    write_manifest(folder, layout, {"decoder": "pyav"})


def _frames_row(q: Question) -> dict[str, Any]:
    jpegs = []
    for t in range(6):
        image = np.full((48, 64, 3), (200, 190, 170), np.uint8)
        image[10 + 4 * t : 22 + 4 * t, 8 * t : 8 * t + 12] = (180, 30, 40)
        jpegs.append(encode_jpeg(image, 90))
    pts = [q.start_seconds + t for t in (0.5, 2.0, 3.5, 5.0, 6.5, 7.9)]
    row = {"item_id": q.clip_id, "key": "k", "video_id": q.video_id, "pts_seconds": pts, "origin_seconds": 0.0}
    return row | {"width": 64, "height": 48, "decode_method": "plan", "jpegs": jpegs}


def _write_reports(data: Path, questions: list[Question], predictions: list[Prediction], size: Size) -> None:
    by_id = {q.question_id: q for q in questions}
    result = EvaluationResult(predictions, by_id, MODES, IntervalSettings(0.95, size.draws, 0), MatchSettings(0.5, 4))
    write_json(data / "reports/metrics.json", {"benchmark": "synthetic", "leaky": False, **headline_metrics(result)})
    write_json(data / "reports/controls.json", detail_metrics(result))
    for stage in STAGES:
        report = StageReport(stage)
        report.count("item", "ok", 5)
        report.values = {"recipe": "tiny", "recall": {"made": {"tolerance_seconds": 0.5}}, "nested": [1, 2.5, None]}
        write_json(data / "reports" / f"{stage}.json", report.as_dict())
    write_json(data / "dataset/leakage.json", {"leaky": False, "checked": {"parents": 12}})
    probe = ProbeScore("the shortest option", len(questions), 0.21, 0.2, 0.1, 0.3)
    write_json(data / "dataset/probes.json", {"train": [], "test": [probe.as_dict()]})
    for model in ("base", "policy"):
        (data / "models" / model).mkdir(parents=True)
        (data / "models" / model / "model.safetensors").write_bytes(model.encode())


def _write_curves(folder: Path) -> None:
    """What dvclive leaves: a table per quantity."""
    folder.mkdir(parents=True)
    curves = {
        "reward": [0.3 + step / 100 for step in range(1, 41)],
        "reward_accuracy": [min(1.0, 0.2 + step / 60) for step in range(1, 41)],
        "reward_format": [0.9] * 40,
        "entropy": [1.2 - step / 100 for step in range(1, 41)],
        "zero_variance": [0.1] * 40,
        "grad_norm": [0.5 if step != 10 else float("nan") for step in range(1, 41)],
    }
    for name, values in curves.items():
        lines = [f"{step}\t{value}" for step, value in enumerate(values, 1)]
        (folder / f"{name}.tsv").write_text("\n".join([f"step\t{name}", *lines]) + "\n", encoding="utf-8")
