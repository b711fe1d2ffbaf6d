"""Questions, predictions and settings for tests of the evaluation."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.params import EvaluateEgoschema, Machine, load_params
from pipeline.records import Prediction, Question
from tests.support.random_policy import FakeClip, make_clip

ROOT = Path(__file__).resolve().parents[3]


def make_question(number: int, **changes: Any) -> Question:
    """Question `number` about the first three seconds of video `number // 2`."""
    values = {
        "question_id": f"q{number}",
        "video_id": f"v{number // 2}",
        "source": "synthetic",
        "licence": "CC0-1.0",
        "family": "moved" if number % 2 else "taken",
        "question": "what is taken ?",
        "options": ("red", "blue", "cup", "red cup", "blue cup"),
        "answer": number % 5,
        "start_seconds": 0.0,
        "end_seconds": 3.0,
        "keyframe_seconds": (0.5,),
        "split": "test",
    }
    return Question.model_validate(values | changes)


def make_prediction(number: int, option: int | None, **changes: Any) -> Prediction:
    """What the policy made of question `number` in the headline run."""
    question = make_question(number)
    values = {
        "question_id": question.question_id,
        "video_id": question.video_id,
        "parent_video_id": question.video_id,
        "family": question.family,
        "model": "policy",
        "mode": "reasoning",
        "view": "video",
        "sample": 0,
        "seen_clip_id": question.clip_id,
        "frame_seconds": (0.25, 0.75, 1.25, 1.75),
        "prompt": "",
        "option_order": (0, 1, 2, 3, 4),
        "completion": "",
        "completion_tokens": 3,
        "finished": True,
        "outcome": "missing" if option is None else "tagged",
        "option": option,
        "answer": question.answer,
        "keyframe_seconds": None,
        "keyframe_frames": None,
        "option_probabilities": None,
    }
    return Prediction.model_validate(values | changes)


def load_clip(clip_id: str) -> FakeClip:
    """Noise that depends on the clip's id."""
    return make_clip(sum(clip_id.encode()), width=16)


def make_machine() -> Machine:
    """The committed machine section."""
    return load_params(ROOT / "params.yaml").machine


def make_settings(**changes: Any) -> EvaluateEgoschema:
    """The committed settings with changes."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["evaluate_egoschema"]
    return EvaluateEgoschema.model_validate(
        raw | {"max_new_tokens": 12, "batch_size": 4, "bootstrap_draws": 200, "permutations": 4} | changes
    )
