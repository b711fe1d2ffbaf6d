"""The answer parser: properties, and ten megabytes of malice. The table of completions is in test_answers_table.py."""

import string
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.answers.completions import visible_text
from pipeline.answers.parser import ParseOutcome, parse_answer

OPTIONS = (
    "C uses a spatula.",
    "A man cooks while C watches",
    "C walks the dog",
    "Both wash the dishes",
    "C and a man play cards",
)
NAMED = {ParseOutcome.TAGGED, ParseOutcome.BARE, ParseOutcome.ANCHORED, ParseOutcome.TRUNCATED}
WORDS = st.text(string.ascii_letters + " .,:;()<>/\\{}*\n'?", max_size=80)
PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "\\boxed{",
        "}",
        "A",
        "C",
        "the answer is ",
        " or ",
        "(",
        ")",
        "\n",
    ]
)


def test_only_tagged_answers_are_strict() -> None:
    assert parse_answer("<answer>B</answer>", OPTIONS).strict
    assert not parse_answer("The answer is B", OPTIONS).strict


def test_a_letter_beyond_the_options_names_none() -> None:
    assert parse_answer("<answer>C</answer>", ["yes", "no"]).outcome is ParseOutcome.OUT_OF_RANGE


def test_letters_win_over_options_that_are_letters() -> None:
    assert parse_answer("<answer>A</answer>", ["B", "A"]).option == 0


def test_equal_options_cannot_be_named_by_their_text() -> None:
    assert parse_answer("<answer>yes</answer>", ["yes", "Yes.", "no"]).outcome is ParseOutcome.AMBIGUOUS


def test_option_texts_that_are_numbers() -> None:
    assert parse_answer("<answer>three</answer>", ["two", "three"]).option == 1
    assert parse_answer("<answer>3</answer>", ["2", "3"]).option == 1


@given(st.lists(PIECES | WORDS, max_size=30).map("".join))
def test_an_option_is_returned_exactly_with_the_outcomes_that_name_one(completion: str) -> None:
    parsed = parse_answer(completion, OPTIONS)
    assert (parsed.option is not None) == (parsed.outcome in NAMED)
    assert parsed.option is None or 0 <= parsed.option < len(OPTIONS)


@given(WORDS.filter(lambda text: "<" not in text), st.integers(0, 4))
def test_thinking_never_changes_a_tagged_answer(thought: str, option: int) -> None:
    letter = "ABCDE"[option]
    parsed = parse_answer(f"<think>{thought}</think><answer>{letter}</answer>", OPTIONS)
    assert (parsed.option, parsed.outcome) == (option, ParseOutcome.TAGGED)


@given(WORDS.filter(lambda text: "<" not in text))
def test_thinking_alone_answers_nothing(thought: str) -> None:
    assert parse_answer(f"<think>{thought} the answer is A", OPTIONS).option is None
    assert parse_answer(f"<think>{thought} <answer>A</answer></think>", OPTIONS).option is None


@given(st.text(string.ascii_letters + " ", min_size=2, max_size=40), st.integers(0, 4))
def test_an_option_is_read_by_its_own_text(text: str, place: int) -> None:
    options = ["first thing", "second thing", "third thing", "fourth thing", "fifth thing"]
    options[place] = f"xx {text}"
    assert parse_answer(f"<answer>{options[place].upper()}.</answer>", options).option == place


@given(st.text(max_size=200))
def test_visible_text_holds_nothing_that_was_not_written(completion: str) -> None:
    assert set(visible_text(completion)) <= set(completion) | {"\n"}


TAGS = ["<answer>", "</answer>", "<think>", "</think>", "<answer><think>", "<answer>A, ", "\\boxed{", "\\text{", "<"]
PROSE = ["the answer is ", "answer: A or ", "answer" + " " * 50, "option B is the ", "not think that ", "A, "]
HOSTILE = [*TAGS, *PROSE, " ", "(", "**", "\n"]


@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_hostile_completions_take_linear_time(piece: str) -> None:
    def cpu_seconds(length: int) -> float:
        text = (piece * (length // len(piece) + 1))[:length]
        started = time.process_time()
        parse_answer(text, OPTIONS)
        parse_answer(f"<answer>{text}</answer>", OPTIONS)
        return time.process_time() - started

    assert cpu_seconds(200_000) < 0.5  # a quadratic step would take minutes for these


def test_megabytes_of_nested_tags() -> None:
    text = "<think><answer>A</think>" * (5_000_000 // 24)
    started = time.process_time()
    parse_answer(text, OPTIONS)
    assert time.process_time() - started < 10


def test_the_room_needs_no_torch() -> None:
    rooms = "pipeline.answers.parser, pipeline.answers.keyframes, pipeline.answers.prompts"
    code = f"import sys, {rooms}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
