import json

from pipeline.records import Prediction, Question, write_rows

BASE_SKILL = 30


def write_questions(folder):
    times = {"start_seconds": 0.0, "end_seconds": 9.0}
    rows = [
        Question(
            question_id=f"q{i:03}",
            video_id=f"v{i // 3}",
            source="toy",
            licence="mit",
            question="what?",
            options=tuple("abcde"),
            answer=0,
            split="test",
            **times,
        )
        for i in range(120)
    ]
    write_rows(folder / "questions.parquet", rows, Question)
    (folder / "leakage.json").write_text(json.dumps({"leaky": False}))


def write_predictions(folder, skill):
    rows = [_row(i, model, rank) for i in range(120) for model, rank in (("base", BASE_SKILL), ("policy", skill))]
    write_rows(folder / "predictions.parquet", rows, Prediction)


def _row(i, model, skill):
    video = f"v{i // 3}"
    return Prediction(
        question_id=f"q{i:03}",
        video_id=video,
        parent_video_id=video,
        family="",
        model=model,
        mode="reasoning",
        view="video",
        sample=0,
        seen_clip_id=None,
        frame_seconds=(),
        prompt="",
        option_order=(0, 1, 2, 3, 4),
        completion="",
        completion_tokens=0,
        finished=True,
        outcome="ok",
        option=0 if i * 37 % 100 < skill else 1,
        answer=0,
        keyframe_seconds=None,
        keyframe_frames=None,
        option_probabilities=None,
    )
