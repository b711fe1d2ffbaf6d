"""Options, answers, spans: what becomes a question and what is named instead."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.shortcuts import probe_questions
from pipeline.errors import ItemError
from pipeline.questions.building import Plan, build_question, span_of
from pipeline.questions.distractors import AnswerPool
from pipeline.records import Annotation, Question, Split, Video
from pipeline.text.options import clean_options, equal_options, normalise_text, share_of, shuffle_options

VIDEO = Video(video_id="v", path="v.mp4", sha256="0", bytes=1, codec="h264", width=64, height=64, frames_per_second=10,
              duration_seconds=10.0, parent_video_id="v", source="s", licence="CC0")  # fmt: skip


def _row(question_id: str = "q", **changes: Any) -> Annotation:
    values: dict[str, Any] = {"options": ("cup", "pan", "pot", "jar", "lid"), "answer": 2, "video_id": "v"}
    same = {"question_id": question_id, "source": "s", "licence": "CC0", "question": "What?"}
    return Annotation(**(same | values | changes))


def _build(row: Annotation, split: Split = "train", shuffle: bool = False, pool: AnswerPool | None = None) -> Question:
    return build_question(row, VIDEO, Plan(split, shuffle, 0, pool or AnswerPool([], {}, {}, 0)))


def test_a_row_with_options_stays_as_it_is() -> None:
    question = _build(_row(keyframe_seconds=(5.0, 1.0)))
    assert (question.options, question.answer, question.recipe) == (("cup", "pan", "pot", "jar", "lid"), 2, "source")
    assert (question.start_seconds, question.end_seconds, question.keyframe_seconds) == (0.0, 10.0, (1.0, 5.0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"options": ("cup",)}, "option_count"),
        ({"options": ()}, "option_count"),
        ({"options": tuple("abcdef")}, "option_count"),
        ({"options": ("cup", " ")}, "empty_option"),
        ({"options": ("A. cup", "C. pan", "B. pot")}, "option_letters"),
        ({"options": ("The cup.", "cup", "pot")}, "equal_options"),
        ({"answer": 5}, "answer_out_of_range"),
        ({"answer": -1}, "answer_out_of_range"),
        ({"answer": None}, "no_answer"),
        ({"start_seconds": 12.0}, "span_outside"),
        ({"end_seconds": 11.0}, "span_outside"),
        ({"start_seconds": 4.0, "end_seconds": 4.0}, "empty_span"),
        ({"keyframe_seconds": (99.0,)}, "keyframe_outside"),
        ({"options": None, "answer_text": "a cup"}, "no_distractors"),
        ({"options": None, "answer_text": " "}, "no_answer"),
    ],
)
def test_every_failure_has_a_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ItemError) as caught:
        _build(_row(**changes))
    assert caught.value.reason == reason


def test_evaluation_may_lack_answers_and_repeat_options() -> None:
    assert _build(_row(answer=None), split="test").answer is None
    assert _build(_row(options=("cup", "the cup", "pan")), split="test").options[1] == "the cup"


def test_letters_are_taken_off_only_where_all_options_have_one() -> None:
    assert clean_options(["A. C stirs", "B) C waits", "(C) C eats"]) == ("C stirs", "C waits", "C eats")
    assert clean_options(["C. stirs", "C. waits"]) == ("C. stirs", "C. waits")
    assert clean_options(["A cup", "B. pan"]) == ("A cup", "B. pan")
    assert clean_options(["A.b", "B.c"]) == ("A.b", "B.c")


def test_the_end_may_be_rounded_up() -> None:
    assert span_of(_row(start_seconds=1.0, end_seconds=10.4), 10.0) == (1.0, 10.0)


@given(st.lists(st.text(min_size=1), min_size=2, max_size=5, unique=True), st.text(max_size=20), st.integers(0, 9))
def test_a_shuffle_keeps_the_truth(options: list[str], question_id: str, seed: int) -> None:
    for answer in range(len(options)):
        moved, index = shuffle_options(options, answer, question_id, seed)
        assert sorted(moved) == sorted(options)
        assert index is not None
        assert moved[index] == options[answer]
        assert (moved, index) == shuffle_options(options, answer, question_id, seed)


def test_shuffled_answers_are_spread_evenly() -> None:
    places = Counter(shuffle_options("abcde", 0, f"q{i}", 0)[1] for i in range(5000))
    assert all(900 < places[i] < 1100 for i in range(5))


def test_shares_are_even_and_stable() -> None:
    shares = sorted(share_of(f"r{i}", 0) for i in range(2000))
    assert max(abs(share - i / 2000) for i, share in enumerate(shares)) < 0.05
    assert share_of("r1", 0) == pytest.approx(0.5010, abs=1e-4)  # pinned: splits must not move


def test_equal_after_normalisation() -> None:
    assert normalise_text("  The Café—Cup! ") == "café cup"
    assert equal_options(["a cup", "Cup.", "pan"]) == "Cup."
    assert equal_options(["?", "!"]) is None


# --- open-ended -------------------------------------------------------------------------------------------------------


def _open_rows(number: int = 600) -> list[Annotation]:
    nouns, verbs = ["cup", "pan", "large pot", "jar", "heavy iron lid"], ["washes", "takes", "puts down", "fills"]
    return [
        _row(
            f"q{i}",
            options=None,
            answer=None,
            video_id=f"v{i % 60}",
            answer_text=f"{verbs[i % 4]} the {nouns[i // 4 % 5]} number {i // 20}",
        )
        for i in range(number)
    ]


def _recordings(rows: list[Annotation]) -> dict[str, str]:
    return {row.video_id: row.video_id for row in rows}


def _pool(rows: list[Annotation], seed: int = 0, split: Split = "train") -> AnswerPool:
    return AnswerPool(rows, {}, {row.question_id: split for row in rows}, seed)


def _question(row: Annotation, pool: AnswerPool) -> Question:
    video = VIDEO.model_copy(update={"video_id": row.video_id})
    return build_question(row, video, Plan("train", False, 0, pool))


def _skewed_rows(number: int = 1800, per_video: int = 6) -> list[Annotation]:
    """Places and numbers, the first ones far more common than the last; in "what" the question's noun is in the
    answer."""
    chance, nouns = random.Random(1), ["cup", "pan", "pot", "jar", "lid", "bowl", "knife", "fork"]
    rows = []
    for i in range(number):
        noun, kind = chance.choice(nouns), ("place", "count", "what")[i % 3]
        place = chance.choices(["sink", "table", "drawer", "fridge", "box", "shelf", "floor", "dark garden"], WEIGHTS)
        answer = {
            "place": f"in the {place[0]}",
            "count": str(chance.choices(range(1, 13), [1 / n for n in range(1, 13)])[0]),
            "what": f"C {chance.choice(['takes', 'washes', 'fills'])} the {noun}{chance.choice(['', ' again'])}",
        }[kind]
        question = {"place": f"Where is the {noun}?", "count": f"How often is the {noun} used?"}
        asked = question.get(kind, f"What about the {noun}?")
        extra = {"video_id": f"v{i // per_video}", "family": kind, "question": asked, "answer_text": answer}
        rows.append(_row(f"q{i}", options=None, answer=None, **extra))
    return rows


WEIGHTS = [1 / n for n in range(1, 9)]


def test_wrong_answers_are_never_true_for_the_recording() -> None:
    for rows in (_open_rows(), _skewed_rows(900)):
        pool = _pool(rows)
        truths: dict[str, set[str]] = {}
        for row in rows:
            truths.setdefault(row.video_id, set()).add(str(row.answer_text))
        for row in rows:
            question = _question(row, pool)
            assert question.answer is not None
            assert question.options[question.answer] == row.answer_text
            wrong = set(question.options) - {row.answer_text}
            assert len(wrong) == 4
            assert not wrong & truths[row.video_id]
            assert "order by sha256 with seed 0" in question.recipe


def test_of_a_block_each_option_is_right_once() -> None:
    """Then nothing about an option can be a hint: length, form, words or how common it is."""
    rows = _skewed_rows(900)
    pool = _pool(rows)
    lent = [q for q in (_question(row, pool) for row in rows) if "shared by five" in q.recipe]
    assert len(lent) > 600
    right = Counter((frozenset(q.options), q.options[q.answer or 0]) for q in lent)
    for options in {frozenset(q.options) for q in lent}:
        assert len({right[options, option] for option in options}) == 1


def test_no_rule_that_never_sees_the_video_gains_on_skewed_answers() -> None:
    rows = _skewed_rows()
    pool = _pool(rows)
    kept = [_question(row, pool) for row in rows if row.question_id not in pool.guessable]
    assert len(kept) > 0.7 * len(rows)
    for score in probe_questions(kept, [q.video_id for q in kept], 20_000, 0):
        assert (score.gain if score.learned else abs(score.gain)) < 0.05, score
    answers = Counter((q.family, q.options[q.answer or 0]) for q in kept)
    hits = 0.0
    for q in kept:
        counts = [answers[q.family, option] for option in q.options]
        hits += (counts[q.answer or 0] == max(counts)) / counts.count(max(counts))
    assert abs(hits / len(kept) - 0.2) < 0.05


def test_evaluation_keeps_answers_that_could_be_guessed() -> None:
    rows = _skewed_rows(600)
    assert _pool(rows).guessable
    assert not _pool(rows, split="test").guessable


def test_a_recording_that_knows_all_answers_lends_from_its_other_clips() -> None:
    extra = {"options": None, "answer": None, "family": "place"}
    rows = [_row(f"q{i}", answer_text=f"place {i}", start_seconds=i, end_seconds=i + 1, **extra) for i in range(6)]
    question = _question(rows[0], _pool(rows))
    assert question.options[question.answer or 0] == "place 0"
    whole = [row.model_copy(update={"start_seconds": None, "end_seconds": None}) for row in rows]
    with pytest.raises(ItemError, match="true of the same clip"):
        _question(whole[0], _pool(whole))


@pytest.mark.parametrize("ends", ["", "!" * 3], ids=["many lengths", "many of one length"])
def test_length_is_no_hint(ends: str) -> None:
    """How often "take the k-th shortest" finds the truth, equal lengths at random."""
    rows = _open_rows(900)
    if ends:
        rows = [r.model_copy(update={"answer_text": f"cup {i:04d}" + ends * (i % 2)}) for i, r in enumerate(rows)]
    pool = _pool(rows)
    questions = [_question(row, pool) for row in rows]
    for score in probe_questions(questions, ["one recording"] * len(rows), 1, 0):
        assert abs(score.gain) < 0.02, score
    spread = [max(map(len, q.options)) - min(map(len, q.options)) for q in questions]
    assert sum(spread) / len(spread) < 6  # they are matched in length, too: answers are 16 to 35 long


def test_order_of_rows_does_not_matter_and_the_seed_does() -> None:
    rows = _open_rows(100)
    forth, back, other = _pool(rows), _pool(rows[::-1]), _pool(rows, seed=1)
    assert [_question(row, forth).options for row in rows] == [_question(row, back).options for row in rows]
    assert [_question(row, forth).options for row in rows] != [_question(row, other).options for row in rows]


@pytest.mark.parametrize(("truth", "other"), [("Yes", "No"), ("no.", "yes."), ("YES", "NO"), ("No!", "Yes!")])
def test_yes_and_no_stand_against_each_other_in_one_form(truth: str, other: str) -> None:
    question = _build(_row(options=None, answer=None, answer_text=truth))
    assert set(question.options) == {truth, other}
    assert question.options[question.answer or 0] == truth


def test_yes_is_as_often_right_as_no() -> None:
    answers = ["Yes"] * 70 + ["No"] * 30
    rows = [_row(f"q{i}", options=None, answer=None, answer_text=a, video_id=f"v{i}") for i, a in enumerate(answers)]
    pool = _pool(rows)
    kept = Counter(row.answer_text for row in rows if row.question_id not in pool.guessable)
    assert (kept["No"], kept["Yes"]) == (30, 31)
