"""Options and answers in every form in which people write them, read one way or refused by name; never guessed."""

import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.base import BadRow, VideoItem
from pipeline.sources.formats import READERS, Names, Reading
from pipeline.sources.formats.markup import plain
from pipeline.sources.formats.options import read_answer, read_choices
from pipeline.sources.rows import Located, annotate, distinct, read_located

THREE = ("one", "two", "three")
UID = "27470817-f803-45b4-b9d4-e754cb3196bc"

FORMS = {
    "lines": "What?\nA. one\nB. two\nC. three",
    "lines in brackets": "What?\n(A) one\n(B) two\n(C) three",
    "lines without a blank": "What?\nA.one\nB.two\nC.three",
    "lower case": "What?\na) one\nb) two\nc) three",
    "numbers": "What?\n1. one\n2. two\n3. three",
    "numbers from 0": "What?\n0. one\n1. two\n2. three",
    "inline": "What? A. one B. two C. three",
    "inline in brackets": "What? (a) one (b) two (c) three",
    "inline colons": "What? A: one B: two C: three",
    "full width": "What?\nＡ．one\nＢ．two\nＣ．three",
    "full width brackets": "What?（A）one（B）two（C）three",
    "Chinese comma": "What?\nA、one\nB、two\nC、three",
    "Python list": "What?\n['A. one', 'B. two', 'C. three']",
    "JSON list without marks": 'What? ["one", "two", "three"]',
    "heading": "What?\nOptions:\nA. one\nB. two\nC. three",
    "request": "What?\n(A) one\n(B) two\n(C) three\nAnswer with the option's letter from the given choices directly.",
    "request inline": "What? A. one B. two C. three\nPlease select the best option.",
    "carriage returns": "What?\r\nA. one\r\nB. two\r\nC. three",
}


@pytest.mark.parametrize("form", FORMS)
def test_options_of_every_form(form: str) -> None:
    choices = read_choices(FORMS[form])
    assert choices is not None
    assert (choices.question, choices.options) == ("What?", THREE)


TOLD = [
    "B",
    "b",
    "(B)",
    "B.",
    "B. two",
    "(b) two",
    "B) Two.",
    "two",
    "Two.",
    "Option B",
    "The answer is B.",
    "Answer: B",
]


@pytest.mark.parametrize("told", TOLD)
def test_an_answer_by_letter_by_text_or_by_both(told: str) -> None:
    choices = read_choices(FORMS["lines"])
    assert choices is not None
    assert read_answer(told, choices) == 1


def test_a_number_means_what_the_marks_say() -> None:
    one, zero, unmarked = (
        read_choices(FORMS[form]) for form in ("numbers", "numbers from 0", "JSON list without marks")
    )
    assert one is not None and zero is not None and unmarked is not None
    assert (read_answer("2", one), read_answer("2", zero)) == (1, 2)
    with pytest.raises(ItemError, match="no_answer"):
        read_answer("2", unmarked)


@pytest.mark.parametrize(
    ("asked", "told", "reason"),
    [
        ("What?\nA. one\nB. two", "B. one", "contradiction"),
        ("What?\n1. 2\n2. 3", "2", "contradiction"),
        ("What?\nA. one\nB. two", "Z", "no_answer"),
        ("What?\nA. one\nB. two", "neither", "no_answer"),
        ("What?\nA. one\nB. two\nThe video is old.", "A", "odd_options"),
        ("What? ['one', ]]", "A", "odd_options"),
    ],
)
def test_what_cannot_be_read_has_a_name(asked: str, told: str, reason: str) -> None:
    with pytest.raises(ItemError) as error:
        choices = read_choices(asked)
        assert choices is not None
        read_answer(told, choices)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "asked",
    [
        "What does C do after she takes the pan (the big one)?",
        "Where am I at 10.30 a.m. in the U.S.A. today?",
        "I did 1. What next?",
        "A. Smith washes what?",
    ],
)
def test_a_sentence_is_no_list_of_options(asked: str) -> None:
    assert read_choices(asked) is None


def _read(form: str, row: dict[str, Any], rate: float | None = None) -> Annotation | BadRow:
    places = {"v": "v.mp4", UID: f"{UID}.mp4", "4010069381": "1164/4010069381.mp4"}
    items = [VideoItem(video_id, "", "", "", location=place) for video_id, place in places.items()]
    reading = Reading("s", "l", "train", rate, Names.of(items))
    (found,) = annotate([Located("f:1", row)], lambda raw: READERS[form](raw, reading))
    return found


def _egoit(asked: str, told: str) -> Annotation | BadRow:
    turns = [{"from": "human", "value": "<video>\n" + asked}, {"from": "gpt", "value": told}]
    return _read("egoit", {"id": "x", "video": "v.mp4", "conversations": turns})


@pytest.mark.parametrize("form", FORMS)
def test_egoit_never_makes_an_open_question_of_choices(form: str) -> None:
    row = _egoit(FORMS[form], "2" if form.startswith("numbers") and "0" not in form else "1" if "0" in form else "B")
    assert isinstance(row, Annotation), row
    assert (row.options, row.answer, row.answer_text) == (THREE, 1, None)


def test_a_sixth_option_is_kept_for_the_count_to_refuse() -> None:
    row = _egoit("What?\nA. 1x\nB. 2x\nC. 3x\nD. 4x\nE. 5x\nF. 6x", "F")
    assert isinstance(row, Annotation)
    assert (len(row.options or ()), row.answer) == (6, 5)


@pytest.mark.parametrize("told", ["B", "(c)", "d.", "3", "2)"])
def test_a_bare_letter_or_number_is_no_open_answer(told: str) -> None:
    row = _egoit("What am I doing?", told)
    assert isinstance(row, BadRow)
    assert row.reason == "options_not_seen"


def test_a_number_answers_a_question_that_asks_for_one() -> None:
    row = _egoit("How many cups did I take?", "3")
    assert isinstance(row, Annotation)
    assert row.answer_text == "3"


def test_egoit_keeps_an_open_question_with_a_list_inside() -> None:
    row = _egoit("I can (a) cut or (b) wash: what comes first and why?", "Washing, for the leaves are sandy.")
    assert isinstance(row, Annotation)
    assert (row.options, row.answer_text) == (None, "Washing, for the leaves are sandy.")


def test_native_row_with_an_answer_and_no_options_is_refused() -> None:
    row = _read("native", {"id": "x", "video": "v", "question": "What?", "answer": "B"})
    assert isinstance(row, BadRow)
    assert row.reason == "no_options"


def test_egoexolearn_row() -> None:
    request = "Answer with the option's letter from the given choices directly."
    asked = f"<video>\nWhat utensil?\n(A) Spoon\n(B) Chopsticks\n{request}"
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": "B"}]
    row = _read("egoexolearn", {"id": f"{UID}_4", "conversations": turns, "image": {"video": f"{UID}.mp4"}})
    assert isinstance(row, Annotation), row
    assert (row.video_id, row.question, row.options, row.answer) == (UID, "What utensil?", ("Spoon", "Chopsticks"), 1)


NEXTQA = {"video": "4010069381", "frame_count": "369", "width": "640", "height": "480", "qid": "6", "type": "CH",
          "question": "how do the two man play the instrument", "answer": "2", "a0": "roll the handle",
          "a1": "tap their feet", "a2": "strum the string", "a3": "hit with sticks", "a4": "pat with hand"}  # fmt: skip


def test_nextqa_rows_of_three_forms() -> None:
    row = _read("nextqa", NEXTQA)
    assert isinstance(row, Annotation), row
    assert (row.question_id, row.video_id, row.family, row.answer) == ("4010069381_6", "4010069381", "CH", 2)
    of_json = {**NEXTQA, "video": "1164/4010069381", "qid": "TN_4010069381_8", "answer": 3}
    del of_json["type"]
    row = _read("nextqa", of_json)
    assert isinstance(row, Annotation), row
    assert (row.question_id, row.video_id, row.family, row.answer) == ("TN_4010069381_8", "4010069381", "TN", 3)
    row = _read("nextqa", {**NEXTQA, "answer": "tap their feet"})
    assert isinstance(row, Annotation) and row.answer == 1
    row = _read("nextqa", {**NEXTQA, "answer": "2", "a1": "2"})
    assert isinstance(row, BadRow) and row.reason == "contradiction"


def test_egotempo_row_on_the_whole_recording() -> None:
    clip = f"{UID}_368.4_403.5"
    row = _read("egotempo", {"question_id": f"{clip}_0", "clip_id": clip, "question_type": "object-specific action",
                             "question": "What does the person pick up?", "answer": "The spray."})  # fmt: skip
    assert isinstance(row, Annotation), row
    assert (row.video_id, row.start_seconds, row.end_seconds) == (UID, 368.4, 403.5)
    assert (row.options, row.answer_text, row.family) == (None, "The spray.", "object-specific action")


def test_egotimeqa_counts_ego4d_frames() -> None:
    row = _read("egotimeqa", {"video_id": UID, "sample_id": "s", "question": "Where?", "answer": "There.",
                              "moment_start_frame": 300, "moment_end_frame": 360})  # fmt: skip
    assert isinstance(row, Annotation), row
    assert row.keyframe_seconds == (11.0,)


def test_a_repeated_id_with_other_content_is_two_rows() -> None:
    rows = [
        _read("native", {"id": "x", "video": "v", "question": q, "options": ["a", "b"], "answer": 0}) for q in "pqp"
    ]
    first, second, third = distinct(rows)
    assert isinstance(first, Annotation) and first.question_id == "x"
    assert isinstance(second, Annotation) and second.question == "q" and second.question_id.startswith("x+")
    assert isinstance(third, BadRow) and third.reason == "repeated_row"


def test_what_data_frames_write_for_nothing_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text('[{"id": 1, "fps": NaN, "answer": NaN, "start_time": null}]')
    (located,) = read_located(tmp_path / "q.json")
    assert located.row is not None
    assert (located.row["fps"], located.row["start_time"]) == (None, None)
    assert math.isnan(located.row["answer"]), "a truth is missing only if it is null: NaN is refused"


def test_markup_is_rendered_or_refused() -> None:
    assert plain("What happens at <TIME 00:01:02.500 video 1>?") == "What happens at 62.5 s?"
    assert plain("Is 3 < 4 and 5 > 4?") == "Is 3 < 4 and 5 > 4?"
    for tag in ("<BBOX 1 2 3 4>", "<TIME 00:01:02.5 video 2>", "<image>"):
        with pytest.raises(ItemError, match="markup"):
            plain(f"What is in {tag}?")
