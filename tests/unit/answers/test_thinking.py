"""What of a completion is kept to ask again, and how its letters follow their options."""

import time
import tracemalloc

import pytest

from pipeline.answers.thinking import OPENED, Reopened, chosen_letter, has_thinking, reopen, reopen_undecided, reorder


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("<think>r</think><keyframes>1.0</keyframes><answer>B</answer>", "<think>r</think><keyframes>1.0</keyframes>"),
        ("<think>red</think>\n<answer>B</answer>", "<think>red</think>\n"),
        ("<think>red</think> The answer is B.", "<think>red</think>"),
        ("<think>red</think><keyframes>1.0</keyframes> B", "<think>red</think><keyframes>1.0</keyframes>"),
        ("<think>red</think><keyframes>1.0, 2", "<think>red</think>"),
        ("<think>red blue", "<think>red blue</think>"),
        ("<think>red <answer>B</answer>", "<think>red</think>"),
        ("red</think><answer>B</answer>", "red</think>"),
        ("It is red. <answer>B</answer>", "It is red. "),
        ("<answer>B</answer>", ""),
        ("B", ""),
        ("", ""),
        ("<think>a <|video_pad|> b</think><answer>B", "<think>a  b</think>"),
    ],
)  # fmt: skip
def test_what_stands_before_the_answer_is_kept(completion: str, kept: str) -> None:
    assert reopen(completion) == Reopened(kept, OPENED)


@pytest.mark.parametrize(
    ("completion", "text", "continuation"),
    [
        ("<think>so red B</think><answer>B</answer>", "<think>so red", " {letter}"),
        ("<think>so red (B).</think><answer>B</answer>", "<think>so red", " ({letter}"),
        ("<think>so red B", "<think>so red", " {letter}"),
        ("<think>so red</think><answer>B</answer>", "<think>so red</think>", OPENED),
        (
            "<think>Option A is wrong, (B) fits: C takes it. So option C: red</think><answer>C</answer>",
            "<think>Option A is wrong, (B) fits: C takes it. So option C: red</think>",
            OPENED,
        ),
        ("Option B, as C takes it. <answer>B</answer>", "Option B, as C takes it. ", OPENED),
        ("", "", OPENED),
    ],
)
def test_a_letter_at_the_end_is_asked_for_again(completion: str, text: str, continuation: str) -> None:
    assert reopen_undecided(completion) == Reopened(text, continuation)


def test_in_a_new_order_no_option_keeps_its_letter() -> None:
    orders = {reorder(5, f"0|q{i}") for i in range(100)}
    assert orders == {(1, 2, 3, 4, 0), (2, 3, 4, 0, 1), (3, 4, 0, 1, 2), (4, 0, 1, 2, 3)}
    assert reorder(2, "any") == (1, 0)
    assert reorder(5, "0|q1") == reorder(5, "0|q1")


@pytest.mark.parametrize(
    ("completion", "letter"),
    [
        ("<think>red</think><keyframes>1.0</keyframes><answer>B</answer>", "B"),
        ("<think>red</think>\n<answer> b </answer>", "B"),
        ("<answer>E</answer>", "E"),
        ("<think>red</think> so <answer>B</answer>", None),
        ("<think>red</think><answer>(B)</answer>", None),
        ("<think>red</think><answer>red</answer>", None),
        ("<think>red <answer>B</answer>", None),
        ("<think>red</think>", None),
        ("B", None),
    ],
)
def test_a_letter_that_was_written_is_the_choice(completion: str, letter: str | None) -> None:
    assert chosen_letter(completion) == letter


@pytest.mark.parametrize(
    ("completion", "thought"),
    [
        ("<think>so red B</think><answer>B</answer>", True),
        ("<think>B</think><answer>B</answer>", False),
        ("<think> (B). </think><answer>B</answer>", False),
        ("<think></think><answer>B</answer>", False),
        ("<answer>B</answer>", False),
        ("", False),
    ],
)
def test_a_thinking_is_more_than_tags_and_a_letter(completion: str, thought: bool) -> None:
    assert has_thinking(completion) is thought


def test_hostile_completions_cost_no_more_than_reading_them() -> None:
    # CPU time and not the clock: a busy machine is slow.
    short, long = (min(_cpu_seconds(repeated) for _ in range(3)) for repeated in (25_000, 200_000))
    assert long < 24 * short  # linear: 8; quadratic: 64


def _cpu_seconds(repeated: int) -> float:
    started = time.process_time()
    for text in ("<think>" * repeated, "</think>" * repeated, "<think>" + " B" * repeated, "<keyframes>" * repeated):
        reopen_undecided(text)
    return time.process_time() - started


@pytest.mark.parametrize("tag", ["<think>", "</think>"])
def test_hostile_completions_are_not_kept_tag_by_tag(tag: str) -> None:
    # 20,000 kept objects are a megabyte or more, and in a large process the collector visits them again and again
    text = tag * 20_000
    tracemalloc.start()
    reopen_undecided(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * len(text)
