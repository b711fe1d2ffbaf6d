"""Tables for the suites: one row per item that is checked, with the results of the checks as columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from pipeline.checks.clips import ClipLook
from pipeline.checks.shortcuts import ProbeScore
from pipeline.params import ClipLimits
from pipeline.records import LETTERS, Keyframe, Question, Video
from pipeline.text.options import equal_options

Videos = Mapping[str, Video]
_TAIL_SECONDS = 0.5


def video_table(videos: Sequence[Video], folder: Path) -> pd.DataFrame:
    """One row per video of the manifest; files are searched below `folder`."""
    rows = [row.model_dump(include={"video_id", "sha256", "duration_seconds", "frames_per_second", "width", "height"})
            for row in videos]  # fmt: skip
    table = pd.DataFrame(rows)
    table["file_present"] = [_is_there(folder / row.path, row.bytes) for row in videos]
    table["has_licence"] = [bool(row.licence.strip()) for row in videos]
    return table


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def clip_table(looks: Sequence[ClipLook], keyframes: Sequence[Keyframe], limits: ClipLimits) -> pd.DataFrame:
    """One row per clip that has frames."""
    mined = {keyframe.clip_id for keyframe in keyframes}
    return pd.DataFrame([look.judged(limits) | {"has_keyframes": look.clip_id in mined} for look in looks])


def keyframe_table(keyframes: Sequence[Keyframe], spans: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """One row per candidate; `spans` are the clips' start and end in seconds."""
    nowhere = (np.inf, -np.inf)
    return pd.DataFrame(
        {
            "keyframe_id": [f"{k.clip_id}#{k.rank}" for k in keyframes],
            "clip_known": [k.clip_id in spans for k in keyframes],
            "inside": [_within(k.pts_seconds, spans.get(k.clip_id, nowhere)) for k in keyframes],
            "score": [k.score for k in keyframes],
        }
    )


def _within(seconds: float, span: tuple[float, float]) -> bool:
    return span[0] - _TAIL_SECONDS <= seconds <= span[1] + _TAIL_SECONDS


def question_table(
    questions: Sequence[Question], videos: Videos, clips_with_frames: set[str], leaking: set[str]
) -> pd.DataFrame:
    """One row per question of the dataset; `leaking` are ids of training rows known to leak."""
    return pd.DataFrame([_question_row(q, videos, clips_with_frames, leaking) for q in questions])


def _question_row(q: Question, videos: Videos, clips_with_frames: set[str], leaking: set[str]) -> dict[str, object]:
    video = videos.get(q.video_id)
    held_out = q.split != "train"
    key_times = q.keyframe_seconds or ()
    return {
        "question_id": q.question_id,
        "video_known": video is not None,
        "has_frames": q.clip_id in clips_with_frames,
        "option_count_ok": 2 <= len(q.options) <= len(LETTERS),
        "training_options_distinct": held_out or equal_options(q.options) is None,
        "evaluation_options_distinct": not held_out or equal_options(q.options) is None,
        "options_filled": all(option.strip() for option in q.options),
        "answer_ok": q.answer is None or 0 <= q.answer < len(q.options),
        "answered_or_held_out": held_out or q.answer is not None,
        "span_inside": video is not None and q.end_seconds <= video.duration_seconds + _TAIL_SECONDS,
        "key_times_inside": all(_within(t, (q.start_seconds, q.end_seconds)) for t in key_times),
        "leak_free": q.question_id not in leaking,
        "five_in_evaluation": not held_out or len(q.options) == len(LETTERS),
        "no_letters": not _lettered(q.options),
        "question_characters": len(q.question),
    }


def _lettered(options: Sequence[str]) -> bool:
    return all(option[:2] in (f"{letter}.", f"{letter})") for option, letter in zip(options, LETTERS, strict=False))


def split_table(questions: Sequence[Question], videos: Videos) -> pd.DataFrame:
    """One row per recording: how many splits it is in."""
    splits: dict[str, set[str]] = {}
    for question in questions:
        splits.setdefault(videos[question.video_id].parent_video_id, set()).add(question.split)
    rows = [
        {"recording": name, "splits": "+".join(sorted(s)), "in_one_split": len(s) == 1} for name, s in splits.items()
    ]
    return pd.DataFrame(rows)


def letter_table(questions: Sequence[Question], most_off: float = 0.05, doubt: float = 0.001) -> pd.DataFrame:
    """One row per split: shares of the answer letters. Unbalanced means more than `most_off` away from an equal
    share, and less likely than `doubt` by a chi-square test (separately for each number of options)."""
    rows = []
    for split in sorted({q.split for q in questions if q.answer is not None}):
        known = [q for q in questions if q.split == split and q.answer is not None]
        sizes = sorted({len(q.options) for q in known})
        fine = all(_balanced([q for q in known if len(q.options) == size], size, most_off, doubt) for size in sizes)
        shares = {letter: sum(q.answer == i for q in known) / len(known) for i, letter in enumerate(LETTERS)}
        verdict = {"training_balanced": fine or split != "train", "evaluation_balanced": fine or split == "train"}
        rows.append({"split": split, "questions": len(known), **shares, **verdict})
    return pd.DataFrame(rows)


def _balanced(questions: Sequence[Question], options: int, most_off: float, doubt: float) -> bool:
    counts = np.bincount([q.answer or 0 for q in questions], minlength=options)
    off = float(np.abs(counts / counts.sum() - 1 / options).max())
    equal = counts.sum() / options
    statistic = float(((counts - equal) ** 2 / equal).sum())
    return off <= most_off or float(chdtrc(options - 1, statistic)) >= doubt  # the right tail of chi-square


def shortcut_table(scores: Mapping[str, Sequence[ProbeScore]], bound: float) -> pd.DataFrame:
    """One row per split and probe; `rule` says what was found, and how many questions would remove any doubt."""
    rows = [
        {
            "rule": f"{split}: {score.rule}: {_found(score, bound)}",
            "accuracy": score.accuracy,
            "chance": score.chance,
            "training_within_bound": split != "train" or not score.exceeds(bound),
            "evaluation_within_bound": split == "train" or not score.exceeds(bound),
            "training_enough": split != "train" or score.questions_needed(bound) is None,
        }
        for split, found in scores.items()
        for score in found
    ]
    return pd.DataFrame(rows)


def _found(score: ProbeScore, bound: float) -> str:
    needed = score.questions_needed(bound)
    doubt = "" if needed is None else f"; about {needed} are needed to be sure"
    return f"{score.accuracy:.0%} right (chance {score.chance:.0%}) on {score.questions} questions{doubt}"
