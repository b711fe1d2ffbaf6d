"""Hand-made rows in exactly the published forms."""

from typing import Any

import pytest

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.base import BadRow, VideoItem
from pipeline.sources.formats import READERS, Names, Reading
from pipeline.sources.rows import Located, annotate

UID = "490a50c0-988d-4091-9503-79c66e7d298a"


def _reading(rate: float | None = 30.0) -> Reading:
    items = [
        VideoItem("v1", "v1.mp4", "v1", "", location=f"Ego4d/{UID}.mp4"),
        VideoItem("P01_13", "P01_13.mp4", "P01", "", location="P01_13.mp4"),
        VideoItem("P01_113", "P01_113.mp4", "P01", "", location="P01_113.mp4"),
        VideoItem("torn", "torn.mp4", "torn", "", location="torn.mp4"),
        VideoItem("lemma", "lemma.mp4", "lemma", "", location="06-28-08-13_1/fpv2.mp4"),
    ]
    return Reading("src", "licence", "train", rate, Names.of(items))


def _read(form: str, row: dict[str, Any], rate: float | None = 30.0) -> list[Annotation | BadRow]:
    return list(annotate([Located("f:1", row)], lambda raw: READERS[form](raw, _reading(rate))))


def _one(form: str, row: dict[str, Any], rate: float | None = 30.0) -> Annotation:
    (found,) = _read(form, row, rate)
    assert isinstance(found, Annotation), found
    return found


EGOIT = {
    "id": "7f3a", "video": f"Ego4d/{UID}.mp4", "image": None, "audio": None, "dimensions": None,
    "start_frame": 60, "end_frame": 150, "fps": 30.0, "start_time": None, "end_time": None,
    "current_observation_frame": None,
    "conversations": [
        {"from": "human", "value": "<video>\nWhat am I doing?\nA. Cutting bread\nB. Washing a pan\nC. Reading"},
        {"from": "gpt", "value": "B. Washing a pan"},
        {"from": "human", "value": "Where am I?"},
        {"from": "gpt", "value": "In a kitchen."},
    ],
}  # fmt: skip


def test_egoit_choices_and_open_turns() -> None:
    first, second = _read("egoit", EGOIT)
    assert isinstance(first, Annotation)
    assert isinstance(second, Annotation)
    assert (first.question, first.options, first.answer) == (
        "What am I doing?", ("Cutting bread", "Washing a pan", "Reading"), 1,
    )  # fmt: skip
    assert (first.video_id, first.start_seconds, first.end_seconds) == ("v1", 2.0, 5.0)
    assert (second.question_id, second.question, second.options, second.answer_text) == (
        "7f3a-1", "Where am I?", None, "In a kitchen.",
    )  # fmt: skip


def test_egoit_null_frames_and_clock_times() -> None:
    assert _one("egoit", {**EGOIT, "start_frame": None, "end_frame": None, "fps": None,
                          "conversations": EGOIT["conversations"][2:]}).start_seconds is None  # fmt: skip
    timed = _read(
        "egoit", {**EGOIT, "start_frame": None, "end_frame": None, "start_time": "00:01:05", "end_time": "70.5"}
    )
    assert [(t.start_seconds, t.end_seconds) for t in timed if isinstance(t, Annotation)] == [(65.0, 70.5)] * 2


def test_egoit_rows_taken_from_egoplan_end_at_the_current_observation() -> None:
    row = {**EGOIT, "end_frame": None, "current_observation_frame": 90, "conversations": EGOIT["conversations"][2:]}
    assert (_one("egoit", row).start_seconds, _one("egoit", row).end_seconds) == (2.0, 3.0)


BAD_EGOIT = {
    "wrong_type": {"conversations": [{"from": "gpt", "value": "x"}, {"from": "human", "value": "y"}]},
    "no_question": {"conversations": []},
    "missing_field": {"conversations": None},
    "no_answer": {"conversations": [EGOIT["conversations"][0], {"from": "gpt", "value": "Z"}]},  # type: ignore[index]
    "unsafe_path": {"video": "../../etc/passwd.mp4"},
    "missing_field ": {"video": None},
}


@pytest.mark.parametrize("reason", BAD_EGOIT)
def test_egoit_bad_rows_are_named(reason: str) -> None:
    (bad,) = _read("egoit", {**EGOIT, **BAD_EGOIT[reason]})
    assert isinstance(bad, BadRow)
    assert (bad.item_id, bad.reason) == ("7f3a", reason.strip())
    assert bad.detail.startswith("f:1: ")


def test_egoit_rows_on_pictures_are_not_taken() -> None:
    assert _read("egoit", {**EGOIT, "video": None, "image": "ADL/P_11.jpg"}) == [
        BadRow("7f3a", "not_taken", "ADL/P_11.jpg")
    ]


EGOPLAN = {
    "sample_id": 115, "video_source": "EpicKitchens", "video_id": "P01_13", "task_goal": "store cereal",
    "question": "what action should I take next in order to store cereal?",
    "choice_a": "put cereal box into cupboard", "choice_b": "take cereal bag", "choice_c": "open cupboard",
    "choice_d": "put cereal bag into cereal box", "golden_choice_idx": "A", "answer": "put cereal box into cupboard",
    "current_observation_frame": 760,
    "task_progress_metadata": [
        {"narration_text": "take cereal bag", "start_frame": 36, "stop_frame": 105},
        {"narration_text": "open cupboard", "start_frame": 689, "stop_frame": 760},
        {"narration_text": "after the observation", "start_frame": 900, "stop_frame": 960},
    ],
}  # fmt: skip


def test_egoplan_benchmark_row() -> None:
    row = _one("egoplan", EGOPLAN, rate=60.0)
    assert row.options is not None
    assert (row.answer, row.options[0], len(row.options)) == (0, "put cereal box into cupboard", 4)
    assert (row.start_seconds, row.end_seconds) == (0.0, pytest.approx(760 / 60))
    assert row.keyframe_seconds == pytest.approx(((36 + 105) / 120, (689 + 760) / 120))


def test_egoplan_steps_that_are_no_list_cost_their_row_only() -> None:
    (bad,) = _read("egoplan", {**EGOPLAN, "task_progress_metadata": True}, 60.0)
    assert isinstance(bad, BadRow)
    assert bad.reason == "wrong_type"


def test_egoplan_tuning_row_takes_the_answer_among_its_negatives() -> None:
    tuning = {k: v for k, v in EGOPLAN.items() if not k.startswith(("choice", "golden"))}
    tuning["negative_answers"] = [f"wrong {i}" for i in range(9)] + [EGOPLAN["answer"]]
    row = _one("egoplan", tuning)
    assert row.options is not None
    assert row.answer is not None
    assert row.options[row.answer] == EGOPLAN["answer"]
    assert len(set(row.options)) == 5
    places = {_one("egoplan", {**tuning, "sample_id": i}).answer for i in range(40)}
    assert places == {0, 1, 2, 3, 4}, "the answer must not stand at one place"


EGOPLAN_BENCH2 = {
    "sample_id": f"{UID}_2", "domain": "Hobbies", "scenario": "baking", "task_goal": "bake pastry", "choice_a":
    "attach stopwatch", "choice_b": "place oven tray", "choice_c": "operate oven", "choice_d": "set stopwatch",
    "golden_choice_idx": "A", "answer": "attach stopwatch", "task_start_frame": 30, "current_observation_frame": 656,
    "task_progress_metadata": [{"narration_text": "open oven", "start_frame": 30, "stop_frame": 90}],
}  # fmt: skip


def test_egoplan_bench2_names_its_video_by_the_sample_and_starts_late() -> None:
    row = _one("egoplan", EGOPLAN_BENCH2, rate=None)
    assert (row.video_id, row.start_seconds, row.keyframe_seconds) == ("v1", 1.0, (2.0,))
    assert row.question.endswith("in order to bake pastry?")


def test_egoplan_choice_and_answer_must_agree() -> None:
    (bad,) = _read("egoplan", {**EGOPLAN, "golden_choice_idx": "B"})
    assert isinstance(bad, BadRow)
    assert bad.reason == "contradiction"


@pytest.mark.parametrize("rate", [None, 29.97])
@pytest.mark.parametrize(("video", "clock"), [("P01_13", 60), ("P01_113", 50), (f"{UID}", 30)])
def test_frame_numbers_count_by_the_clock_of_their_data_set(video: str, clock: int, rate: float | None) -> None:
    """As EgoPlan's published rows do, whatever rate the file at hand has been encoded to and the source states."""
    assert _one("egoplan", {**EGOPLAN, "video_id": video}, rate=rate).end_seconds == pytest.approx(760 / clock)


def test_a_video_of_no_known_data_set_counts_as_its_source_states_or_not_at_all() -> None:
    assert _one("egoplan", {**EGOPLAN, "video_id": "torn"}, rate=10.0).end_seconds == pytest.approx(76.0)
    (bad,) = _read("egoplan", {**EGOPLAN, "video_id": "torn"}, rate=None)
    assert isinstance(bad, BadRow)
    assert bad.reason == "no_frame_rate"
    assert "frame_rate" in bad.detail


def test_a_row_on_a_video_that_the_source_does_not_have_is_not_taken_and_not_blamed_on_its_frame_rate() -> None:
    (row,) = _read("egoplan", {**EGOPLAN, "video_id": "P99_01"}, rate=None)
    assert row == BadRow("115", "not_taken", "P99_01")


EGOTASKQA = {
    "question": "Did I pour before?", "answer": "yes", "interval": "06-28-08-13_1|P2|240|720", "program": "exists(...)",
    "category": "descriptive", "semantic": "action", "structural": "verify", "video_id": 3,
}  # fmt: skip


def test_egotaskqa_row() -> None:
    row = _one("egotaskqa", EGOTASKQA, rate=24.0)
    assert (row.options, row.answer_text, row.family) == (None, "yes", "descriptive/action")
    assert (row.video_id, row.start_seconds, row.end_seconds) == ("lemma", 10.0, 30.0)
    assert row.question_id.startswith("src_")
    tagged = {k: v for k, v in EGOTASKQA.items() if k not in ("category", "semantic")} | {"question_id": 0}
    row = _one("egotaskqa", {**tagged, "reasoning_type": "predictive$object"}, rate=24.0)
    assert (row.question_id, row.family) == ("src_0", "predictive/object")


def test_egotaskqa_other_wearer_and_other_interval() -> None:
    (other,) = _read("egotaskqa", {**EGOTASKQA, "interval": "06-28-08-13_1|P1|0|24"})
    assert isinstance(other, BadRow)
    assert other.reason == "not_taken"
    (bad,) = _read("egotaskqa", {**EGOTASKQA, "interval": "06-28-08-13_1|240|720"})
    assert isinstance(bad, BadRow)
    assert bad.reason == "wrong_type"


HD_EPIC = {
    "id": "fine_grained_action_recognition_12", "question": "What happens?", "choices": ["a", "b", "c", "d", "e"],
    "correct_idx": 3, "inputs": {"video 1": {"id": "P01_13", "start_time": "00:01:00.500", "end_time": "00:01:02"}},
}  # fmt: skip


def test_hd_epic_row() -> None:
    row = _one("hd_epic", HD_EPIC)
    assert (row.answer, row.family, row.start_seconds, row.end_seconds) == (
        3, "fine_grained_action_recognition", 60.5, 62.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "inputs",
    [
        {"video 1": {"id": "P01_13"}},
        {"video 1": {"id": "P01_13"}, "image 1": {"time": "00:33:16.866", "id": "P01_13"}},
    ],
)
def test_hd_epic_whole_videos_and_objects_in_boxes(inputs: dict[str, Any]) -> None:
    row = _one("hd_epic", {**HD_EPIC, "inputs": inputs})
    assert (row.video_id, row.start_seconds, row.end_seconds) == ("P01_13", None, None)


@pytest.mark.parametrize(
    "inputs",
    [{"video 1": {"id": "a"}, "video 2": {"id": "b"}}, {"video 1": {"id": "a"}, "video 2": {"id": "a"}},
     {"video 1": {"id": "a"}, "image 1": {"id": "b"}}, {"image 1": {"id": "a"}}],
)  # fmt: skip
def test_hd_epic_with_two_videos_is_left_out_by_name(inputs: dict[str, Any]) -> None:
    (bad,) = _read("hd_epic", {**HD_EPIC, "inputs": inputs})
    assert isinstance(bad, BadRow)
    assert bad.reason == "several_videos"


QAEGO4D = {
    "video_id": UID, "sample_id": "ab_1", "question": "where is the cup?", "answer": "on the table",
    "moment_start_frame": 300, "moment_end_frame": 360,
}  # fmt: skip


def test_qaego4d_open_and_closed() -> None:
    opened = _one("qaego4d", QAEGO4D, rate=None)
    assert (opened.options, opened.answer_text, opened.keyframe_seconds) == (None, "on the table", (11.0,))
    closed = _one("qaego4d", {**QAEGO4D, "wrong_answers": ["in the sink", "on the floor", "in the bag"]})
    assert closed.options is not None
    assert closed.answer is not None
    assert (closed.options[closed.answer], len(closed.options)) == ("on the table", 4)
    assert closed.video_id == "v1"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": "a", "video": "P01_13.mp4", "question": "q?", "options": "not json"}, "wrong_type"),
        (
            {"id": "a", "video": "P01_13.mp4", "question": "q?", "options": ["x", "y"], "answer": float("nan")},
            "wrong_type",
        ),
        ({"id": "a", "video": "P01_13.mp4", "question": "q?", "options": ["x", "y"], "answer": 1.5}, "wrong_type"),
        ({"id": "a", "video": "P01_13.mp4", "question": 7}, "wrong_type"),
        ({"id": "a", "video": "P01_13.mp4"}, "missing_field"),
        ({"video": "P01_13.mp4", "question": "q?"}, "missing_field"),
        ({"id": "a", "video": "/abs/x.mp4", "question": "q?"}, "unsafe_path"),
        ({"id": "a", "video": "C:\\x.mp4", "question": "q?"}, "unsafe_path"),
        ({"id": "a", "video": "v1", "question": "q?", "start_seconds": "later"}, "wrong_type"),
        ({"id": "a", "video": "v1", "question": "q?", "start_seconds": -1}, "wrong_type"),
        ({"id": "a", "video": "v1", "question": "q?", "options": ["x", 5]}, "wrong_type"),
        ({"id": "a", "video": "v1", "question": "q?", "split": "training"}, "wrong_type"),
    ],
)
def test_native_bad_rows(row: dict[str, Any], reason: str) -> None:
    (bad,) = _read("native", row)
    assert isinstance(bad, BadRow)
    assert bad.reason == reason


def test_native_letter_answers_and_csv_columns() -> None:
    row = _one("native", {"id": "a", "video": "P01_13.mp4", "question": "q?", "answer": "c",
                          "option_0": "x", "option_1": "y", "option_2": "z", "split": "dev"})  # fmt: skip
    assert (row.options, row.answer, row.split) == (("x", "y", "z"), 2, "dev")


def test_a_file_of_the_same_name_in_another_folder_is_another_video() -> None:
    """HoloAssist calls every video so: a row on a recording that one does not have must not be asked about another."""
    name = "Export_py/Video_pitchshift.mp4"
    one = [VideoItem("r1", "", "", "", location=f"HoloAssist/R1/{name}")]
    two = [*one, VideoItem("r2", "", "", "", location=f"HoloAssist/R2/{name}")]
    for items in (one, two):
        names = Names.of(items)
        assert names.id_of(f"HoloAssist/R1/{name}") == "r1"
        with pytest.raises(ItemError, match=r"not_taken: HoloAssist/R7/"):
            names.id_of(f"HoloAssist/R7/{name}")
    for longer in ("Video_pitchshift.mp4", f"R1/{name}", f"data/HoloAssist/R1/{name}"):
        assert Names.of(one).id_of(longer) == "r1"
    flat = Names.of([VideoItem("p", "", "", "", location="epic/P01_11.MP4")])
    assert flat.id_of("EPIC-KITCHENS/P01/P01_11.MP4") == "p"  # no two videos of EPIC-KITCHENS have one name


def test_a_name_that_two_videos_share_leads_nowhere() -> None:
    names = Names.of(
        [VideoItem("a_1", "", "", "", location="a/1.mp4"), VideoItem("b_1", "", "", "", location="b/1.mp4")]
    )
    assert names.id_of("a/1.mp4") == "a_1"
    with pytest.raises(ItemError, match=r"ambiguous_video: several videos are called 1\.mp4"):
        names.id_of("1.mp4")
    with pytest.raises(ItemError, match=r"not_taken: c/2\.mp4"):
        names.id_of("c/2.mp4")
    with pytest.raises(ItemError, match="unsafe_path"):
        names.id_of("a/../../1.mp4")
