"""The probes find planted shortcuts, find none if there is none, and give EgoSchema's known ones."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.checks.logit import OptionFeatures, choose_options, fit
from pipeline.checks.shortcuts import ProbeScore, probe_questions, wilson
from pipeline.checks.text_features import surface_features
from pipeline.records import Annotation, Question
from pipeline.sources.egoschema import EgoschemaParams as Params
from pipeline.sources.egoschema import EgoschemaSource

NOUNS = ["cup", "pan", "pot", "jar", "lid", "bowl", "knife", "fork", "bread", "apple"]

COMMON: dict[str, Any] = {
    "source": "s", "licence": "", "question": "Which one?", "start_seconds": 0, "end_seconds": 1, "split": "train",
}  # fmt: skip


def _questions(number: int, shortcut: str | None = None) -> list[Question]:
    chance = random.Random(5)
    made = []
    for i in range(number):
        options, answer = [f"the {noun}" for noun in chance.sample(NOUNS, 5)], i % 5
        if shortcut == "long":
            options[answer] += " that stands on the table"
        elif shortcut == "stop":
            options = [option + ("." if j == answer else "!") for j, option in enumerate(options)]
        elif shortcut == "word":
            options = [option.replace("the", "a real" if j == answer else "an old") for j, option in enumerate(options)]
        values: dict[str, Any] = {
            "question_id": f"q{i}",
            "video_id": f"v{i // 3}",
            "options": tuple(options),
            "answer": answer,
        }
        made.append(Question(**values, **COMMON))
    return made


def _scores(questions: list[Question]) -> dict[str, ProbeScore]:
    return {s.rule: s for s in probe_questions(questions, [q.video_id for q in questions], 20_000, 0)}


def test_no_shortcut_is_found_where_there_is_none() -> None:
    scores = _scores(_questions(800))
    assert len(scores) == 7
    assert not [rule for rule, score in scores.items() if score.exceeds(0.05)]


@pytest.mark.parametrize(
    ("shortcut", "rules"),
    [
        ("long", {"shortest option 5", "length and punctuation", "words"}),
        ("stop", {"length and punctuation"}),
        ("word", {"words"}),
    ],
)
def test_planted_shortcuts_are_found(shortcut: str, rules: set[str]) -> None:
    scores = _scores(_questions(800, shortcut))
    for rule in rules:
        assert scores[rule].accuracy > 0.95
        assert scores[rule].exceeds(0.05)


def test_a_rank_that_is_never_right_counts_too_and_few_questions_prove_nothing() -> None:
    never = ProbeScore("shortest option 1", 1000, 0.10, 0.2, *wilson(0.10, 1000))
    few = ProbeScore("words", 10, 0.4, 0.2, *wilson(0.4, 10), learned=True)
    assert never.exceeds(0.05)
    assert not few.exceeds(0.05)


def test_the_near_end_of_the_interval_decides_and_says_how_many_questions_it_takes() -> None:
    """12 of 15 is far from chance for sure; 6 of 15 is not; at 40 % it takes a hundred questions."""
    sure, unsure = (ProbeScore("r", 15, share, 0.2, *wilson(share, 15)) for share in (0.8, 0.4))
    assert sure.exceeds(0.05) and sure.questions_needed(0.05) is None
    assert not unsure.exceeds(0.05)
    needed = unsure.questions_needed(0.05)
    assert needed is not None
    assert wilson(0.4, needed)[0] - 0.2 == pytest.approx(0.05, abs=0.002)
    assert ProbeScore("r", 1000, 0.24, 0.2, *wilson(0.24, 1000)).questions_needed(0.05) is None
    # the interval leaves chance out, and still holds a gain within the bound
    near = ProbeScore("r", 1000, 0.26, 0.2, *wilson(0.26, 1000))
    assert near.low > near.chance and not near.exceeds(0.05)


def test_questions_without_answers_are_left_out() -> None:
    questions = [q.model_copy(update={"answer": None}) for q in _questions(10)]
    assert probe_questions(questions, [""] * 10, 100, 0) == []


def test_a_probe_says_of_each_question_how_often_it_is_right() -> None:
    questions = _questions(60, "long")
    for score in probe_questions(questions, [q.video_id for q in questions], 40, seed=0):
        assert len(score.hits) == score.questions == (40 if score.learned else 60)
        assert np.mean(list(score.hits.values())) == pytest.approx(score.accuracy)
        assert set(score.hits) <= {q.question_id for q in questions}
        assert "hits" not in score.as_dict()
    longest = probe_questions(questions, [q.video_id for q in questions], 40, seed=0)[4]
    assert set(longest.hits.values()) == {1.0}


def test_wilson_by_hand() -> None:
    assert wilson(0.5, 100, z=1.96) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_the_model_learns_a_known_preference() -> None:
    features = surface_features(_questions(300, "long"))
    answers = np.array([i % 5 for i in range(300)])
    weights = fit(features, answers)
    assert (choose_options(features, weights) == answers).all()
    half = features.take(np.arange(0, 300, 2))
    assert isinstance(half, OptionFeatures)
    assert (choose_options(half, weights) == answers[::2]).all()


def test_egoschemas_public_500(shared: Path) -> None:
    folder = shared / "egoschema"
    values: dict[str, Any] = {
        "kind": "egoschema", "questions": str(folder / "questions_mc_5031.parquet"),
        "questions_sha256": "e5a5648a1d0a92b24f88a7f6943cf795b608543538ed2794ad2d3e6545d3975f",
        "answers": str(folder / "subset_answers.json"), "windows": str(folder / "uid_to_ego4d.json"), "videos": "",
        "layout": "files", "only_answered": True, "licence": "Ego4D",
    }  # fmt: skip
    source = EgoschemaSource("egoschema", 0, Params.model_validate(values))
    recordings = {item.video_id: item.parent_video_id for item in source.list_videos()}
    rows = [row for row in source.annotations() if isinstance(row, Annotation)]
    questions = [
        Question(question_id=row.question_id, video_id=row.video_id, source="egoschema", licence="",
        question=row.question,
                 options=tuple(option[3:] for option in row.options or ()), answer=row.answer, start_seconds=0,
                 end_seconds=180, split="test")
        for row in rows
    ]  # fmt: skip
    scores = {s.rule: s for s in probe_questions(questions, [recordings[q.video_id] for q in questions], 20_000, 0)}
    assert scores["shortest option 2"].accuracy == pytest.approx(0.49)
    assert scores["length and punctuation"].accuracy > 0.5
    assert scores["words"].accuracy > 0.4
    assert all(score.questions == 500 for score in scores.values())
