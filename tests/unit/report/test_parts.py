"""Curves, headline, facts, recall, strips, sheets and the model card."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvclive import Live
from PIL import Image

from pipeline.frames.store import Frames
from pipeline.pictures.sheets import frames_sheet, save_sheet
from pipeline.records import Quarantined
from pipeline.report import controls, facts, headline
from pipeline.report.card import model_card
from pipeline.report.curves import charts
from pipeline.report.inputs import ReportInputs, read_inputs
from pipeline.report.mining import mining_recall
from pipeline.report.strips import MAX_FRAMES, strip


def test_charts_group_reward_parts_and_drop_what_is_not_a_number(inputs: ReportInputs) -> None:
    made = {chart["title"]: chart["series"] for chart in charts(inputs.curves)}
    assert [one["name"] for one in made["reward and its parts"]] == ["reward", "accuracy", "format"]
    gradient = made["gradient norm"][0]
    assert gradient["steps"][9] == 10
    assert gradient["values"][9] is None
    assert gradient["values"][8] == 0.5


def test_an_unknown_quantity_gets_a_chart_of_its_own() -> None:
    assert [chart["title"] for chart in charts({"new_thing": [(1, 2.0)], "loss": [(1, 0.1)]})] == ["loss", "new_thing"]


def test_lines_put_the_headline_first_and_controls_last(inputs: ReportInputs) -> None:
    lines = headline.lines(inputs.controls)
    assert [(line.label, line.is_control) for line in lines] == [
        ("reasoning prompt", False),
        ("option likelihood", False),
        ("no video", True),
    ]
    scores = [score for line in lines for score in (line.policy, line.base) if score]
    assert len(scores) == 6
    assert all(score.low <= score.value <= score.high for score in scores)


def test_a_run_of_one_model_and_an_unknown_run_are_lines_too() -> None:
    estimate = {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "count": 9}}
    (line,) = headline.lines({"runs": {"policy reasoning/upside_down": estimate, "base direct/video": {}}})
    assert (line.label, line.base) == ("reasoning/upside_down", None)


def control_run(value: float, **changes: object) -> dict[str, object]:
    return {"accuracy": {"value": value, "low": 0.0, "high": 1.0, "count": 9}, "unparsed_fraction": 0.0, **changes}


def test_a_control_counts_by_forced_choice_and_by_free_writing_only_if_it_can_be_read() -> None:
    broken = {"unparsed_fraction": 0.795, "valid": False}
    runs = {
        "policy reasoning/blind": control_run(0.05, **broken),
        "policy forced/blind": control_run(0.2),
        "base reasoning/blind": control_run(0.02, **broken),
        "policy reasoning/reversed": control_run(0.6, valid=True),
        "policy likelihood/blind": control_run(0.9),
    }
    blind, backwards = controls.control_rows({"runs": runs})
    assert (blind.label, backwards.label) == ("no video", "frames reversed")
    assert blind.policy.best == blind.policy.forced
    assert blind.base.best is None and blind.base.free is not None
    assert backwards.policy.best == backwards.policy.free
    assert controls.invalid({"runs": runs}) == [
        "no video (policy, 80\u00a0% unreadable)",
        "no video (base, 80\u00a0% unreadable)",
    ]
    assert [(line.label, line.policy and line.policy.value) for line in headline.lines({"runs": runs})] == [
        ("no video", 0.2), ("frames reversed", 0.6)
    ]  # fmt: skip
    assert "do not count in free writing" in headline.cautions(GOOD, {"runs": runs})[0]


def test_the_floor_has_a_name_a_person_knows() -> None:
    assert controls.label_of("forced/blind") == "no video, forced choice"
    assert controls.label_of("rule: words") == "rule: words"
    assert headline.floor_of({"floor_of": "chance", "floor": 0.2}) == "20.0\u00a0% (chance)"


GOOD = {"gain_low": 0.1, "above_floor_low": 0.2, "gain_same_prompt_low": 0.1, "unparsed_fraction": 0.01, "gain": 0.2}
GOOD["detectable_gain"] = 0.05


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"leaky": True}, "leaks"),
        ({"gain_low": -0.01, "gain_same_prompt_low": -0.01}, "contains 0"),
        (
            {"above_floor_low": -0.1, "floor_of": "forced/blind"},
            "the floor of – (no video, forced choice): the policy may",
        ),
        ({"unparsed_fraction": 0.2}, "20.0\u00a0% of completions"),
        ({"gain_low": -0.02}, "undo the prompt's cost"),
        ({"detectable_gain": 0.3, "questions": 40}, "40 questions can only show"),
        ({"detectable_gain": None, "questions": 5}, "5 questions are too few to show any difference"),
    ],
)
def test_cautions_name_what_speaks_against_the_headline(change: dict[str, float], words: str | None) -> None:
    metrics = {name: value for name, value in (GOOD | change).items() if value is not None}
    found = headline.cautions(metrics, {"runs": {"policy reasoning/video": {}}, "max_unreadable": 0.02})
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_mistakes_that_lie_in_one_family_are_named() -> None:
    """66 of 75 wrong answers in `count`, as after a run of the embedded default."""
    families = {"count": {"value": 1 - 66 / 140, "count": 140}, "moved": {"value": 1 - 9 / 140, "count": 140}}
    controls = {"runs": {"policy reasoning/video": {"families": families}}}
    assert headline.worst_family(controls) == ("count", 66, 75)
    assert "66 of the 75 mistakes lie in one family, count." in headline.cautions(GOOD, controls)
    assert ("where the mistakes are", "66 of 75 in family count") in headline.details({}, controls)
    even = {name: {"value": 0.5, "count": 20} for name in ("count", "moved")}
    assert headline.cautions(GOOD, {"runs": {"policy reasoning/video": {"families": even}}}) == []


def test_details_leave_out_what_was_not_measured(inputs: ReportInputs) -> None:
    labels = [label for label, _ in headline.details(inputs.metrics, inputs.controls)]
    assert labels[:2] == ["above the floor", "gain over the base at its best"]
    assert "questions that flipped" in labels
    assert "gain, sampled" not in labels
    assert headline.details({"unparsed_fraction": 0.25}, {}) == [
        ("completions without an answer", "policy 25.0\u00a0%")
    ]


def test_no_controls_is_a_caution() -> None:
    assert headline.cautions(GOOD, {}) == ["No controls were run: nothing supports the score."]


def test_flatten_keeps_order_and_cuts_long_lists() -> None:
    pairs = facts.flatten({"b": {"x": 0.123456, "y": None}, "a": list(range(12)), "yes": True})
    assert pairs == [("b.x", "0.1235"), ("b.y", "–"), ("a", "0, 1, 2, 3, 4, 5, 6, 7 … (12 in all)"), ("yes", "yes")]


def test_quarantine_is_counted_by_reason() -> None:
    rows = [Quarantined(stage="s", kind="clip", item_id=f"c{i}", reason="frozen") for i in range(5)]
    rows.append(Quarantined(stage="s", kind="clip", item_id="z", reason="black"))
    left = facts.left_out(rows)
    assert [(group.reason, group.count) for group in left] == [("frozen", 5), ("black", 1)]
    assert [item.item_id for item in left[0].examples] == ["c0", "c1", "c2"]


def test_recall_grows_with_candidates(inputs: ReportInputs) -> None:
    """True times 2.0 and 5.5; candidates at 2.2, 7.0 and 5.4 in this order: half, half, all."""
    tables = mining_recall(inputs.questions, inputs.keyframes, 0.5)
    assert sorted(tables) == sorted({q.source for q in inputs.questions})
    table = next(iter(tables.values()))
    assert [(row["candidates"], row["mined"]) for row in table["by_count"]] == [(1, 0.5), (2, 0.5), (3, 1.0)]
    assert mining_recall(inputs.questions, [], 0.5) == {}
    far = [k.model_copy(update={"pts_seconds": 99.0}) for k in inputs.keyframes]
    table = next(iter(mining_recall(inputs.questions, far, 0.5).values()))
    assert table["by_count"][0]["mined"] == 0.0


def test_strips_are_thinned_and_shrunk() -> None:
    frames = Frames(np.zeros((40, 90, 160, 3), np.uint8), np.arange(40, dtype=np.float64))
    made = strip(frames, max_width=80, start_seconds=2.0)
    assert (made["width"], made["height"]) == (80, 45)
    assert len(made["pts"]) == MAX_FRAMES
    assert (made["pts"][0], made["pts"][-1]) == (-2.0, 37.0)


def test_contact_sheet_marks_frames(tmp_path: Path) -> None:
    images = [np.full((30, 40, 3), 100, np.uint8)] * 5
    sheet = frames_sheet(images, [f"{i} s" for i in range(5)], marked={1}, columns=3, width=80)
    assert sheet.size == (2 * 14 + 3 * 88, 4 + 2 * (60 + 8 + 18) + 4)
    border = [sheet.getpixel((14 + column * 88 + 1, 4 + 30)) for column in range(3)]
    assert border == [(255, 255, 255), (11, 98, 184), (255, 255, 255)]
    assert [sheet.getpixel((14 + column * 88 + 44, 4 + 30)) for column in range(3)] == [(100, 100, 100)] * 3
    save_sheet(sheet, tmp_path / "deep/sheet.jpg")
    with Image.open(tmp_path / "deep/sheet.jpg") as saved:
        assert (saved.format, saved.size) == ("JPEG", sheet.size)
    with pytest.raises(ValueError, match="shorter"):
        frames_sheet(images, ["a"])


def test_a_sheet_without_a_width_fills_the_page() -> None:
    images = [np.full((30, 40, 3), 100, np.uint8)] * 9
    assert frames_sheet(images, [""] * 9, "heading").width == 960
    assert frames_sheet(images[:1], [""], "heading").width == 960
    assert frames_sheet([], [], "nothing could be decoded").width == 960


def test_model_card_is_in_the_hubs_format(inputs: ReportInputs) -> None:
    card = model_card(inputs)
    header, body = card.split("---\n")[1:3]
    data = yaml.safe_load(header)
    assert data["library_name"] == "transformers"
    assert data["model-index"][0]["results"][0]["metrics"][0]["value"] == inputs.metrics["accuracy"]
    assert "stands in for one" in body
    assert "| no video | " in body and "| invalid |" not in body
    assert "CC0-1.0" in body
    assert "max_steps: 40" in body
    assert model_card(inputs) == card


def test_model_card_of_nothing_says_so(tmp_path: Path) -> None:
    card = model_card(read_inputs(tmp_path))
    assert "No score yet" in card
    assert "Not evaluated yet" in card
    assert "model-index" not in card


def test_foreign_text_stays_in_its_cell(inputs: ReportInputs) -> None:
    bad = inputs.questions[0].model_copy(update={"licence": "a | b\n# <b>c"})
    card = model_card(ReportInputs(**{**vars(inputs), "questions": [bad]}))
    assert "a \\| b # &lt;b>c" in card


def test_curves_are_read_as_dvclive_writes_them(tmp_path: Path) -> None:
    live = Live(
        str(tmp_path / "data/reports/live/train_grpo"),
        dvcyaml=None,
        save_dvc_exp=False,
        report=None,
        monitor_system=False,
    )
    for step in range(3):
        live.step = step
        live.log_metric("reward", step / 4, timestamp=False)
    live.end()
    assert read_inputs(tmp_path).curves == {"reward": [(0, 0.0), (1, 0.25), (2, 0.5)]}
    assert json.dumps(charts(read_inputs(tmp_path).curves))


def test_leakage_is_a_sentence_and_probes_are_rows_with_a_column_per_split() -> None:
    found = {"training_questions": 9, "leaks": 2, "recordings_in_evaluation": 4, "egoschema_windows": None}
    assert "2 of the 9 training questions show" in facts.leakage_sentence(found)
    assert "were left out" in facts.leakage_sentence(found)
    assert "allow_leakage" in facts.leakage_sentence(found | {"leaky": True})
    assert facts.leakage_sentence(found | {"leaks": 0}).startswith("None of the 9")
    assert facts.leakage_sentence({}) == ""
    score = {"rule": "longest", "accuracy": 0.2}
    assert facts.probe_rows({"train": [score], "test": [score]}) == [
        {"train": score, "dev": {}, "test": score, "rule": "longest", "learned": False}
    ]
