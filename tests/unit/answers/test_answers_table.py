"""Hand-written completions and what the parser must make of them: (completion, outcome, option letter or None).

The options are those of an EgoSchema-like question, two of which begin with the camera wearer "C".
"""

import pytest

from pipeline.answers.parser import ParseOutcome, parse_answer

OPTIONS = (
    "C uses a spatula to flip the omelette.",
    "A man cooks while C watches",
    "C walks the dog",
    "Both wash the dishes",
    "C and a man play cards",
)

TABLE: list[tuple[str, str, str | None]] = [
    # inside tags, in every dress
    ("<answer>A</answer>", "tagged", "A"),
    ("<answer>E</answer>", "tagged", "E"),
    ("<answer>b</answer>", "tagged", "B"),
    ("<answer> B </answer>", "tagged", "B"),
    ("<answer>\nB\n</answer>", "tagged", "B"),
    ("<answer>(B)</answer>", "tagged", "B"),
    ("<answer>[B]</answer>", "tagged", "B"),
    ("<answer>B.</answer>", "tagged", "B"),
    ("<answer>B)</answer>", "tagged", "B"),
    ("<answer>B:</answer>", "tagged", "B"),
    ("<answer>**B**</answer>", "tagged", "B"),
    ("<answer>__B__</answer>", "tagged", "B"),
    ("<answer>`B`</answer>", "tagged", "B"),
    ('<answer>"B"</answer>', "tagged", "B"),
    ("<answer>**(B)**</answer>", "tagged", "B"),
    ("<answer>Option B</answer>", "tagged", "B"),
    ("<answer>option (b)</answer>", "tagged", "B"),
    ("<answer>Option: B</answer>", "tagged", "B"),
    ("<answer>Choice B.</answer>", "tagged", "B"),
    ("<answer>Answer: B</answer>", "tagged", "B"),
    ("<answer>The answer is B.</answer>", "tagged", "B"),
    ("<answer>$B$</answer>", "tagged", "B"),
    ("<answer>\uff22</answer>", "tagged", "B"),  # a full-width B
    ("<ANSWER>B</ANSWER>", "tagged", "B"),
    ("< answer >B< / answer >", "tagged", "B"),
    ("<answer>B</answer><|im_end|>", "tagged", "B"),
    ("\\boxed{B}", "tagged", "B"),
    ("$\\boxed{\\text{B}}$", "tagged", "B"),
    ("<answer>\\boxed{B}</answer>", "tagged", "B"),
    ("So \\boxed{(D)}.", "tagged", "D"),
    # inside tags, an option's text
    ("<answer>C walks the dog</answer>", "tagged", "C"),
    ("<answer>c WALKS  the dog.</answer>", "tagged", "C"),
    ("<answer>C uses a spatula to flip the omelette</answer>", "tagged", "A"),
    ("<answer>C and a man play cards</answer>", "tagged", "E"),
    ("<answer>C. C walks the dog</answer>", "tagged", "C"),
    ("<answer>(A) C uses a spatula to flip the omelette.</answer>", "tagged", "A"),
    ("<answer>B: A man cooks while C watches</answer>", "tagged", "B"),
    ("<answer>B. C walks the dog</answer>", "ambiguous", None),
    ("<answer>C uses a knife</answer>", "unreadable", None),
    ("<answer>C</answer> because C walks the dog", "tagged", "C"),
    # inside tags, no option
    ("<answer></answer>", "unreadable", None),
    ("<answer>I don't know</answer>", "unreadable", None),
    ("<answer>A man</answer>", "unreadable", None),
    ("<answer>A or B</answer>", "ambiguous", None),
    ("<answer>A, B</answer>", "ambiguous", None),
    ("<answer>A/C</answer>", "ambiguous", None),
    ("<answer>A and D</answer>", "ambiguous", None),
    ("<answer>AB</answer>", "unreadable", None),
    ("<answer>F</answer>", "out_of_range", None),
    ("<answer>(Z)</answer>", "out_of_range", None),
    ("<answer>2</answer>", "unreadable", None),
    ("<answer>none of the above</answer>", "unreadable", None),
    ("<answer>\u0412</answer>", "unreadable", None),  # a Cyrillic Ve is not a B
    ("The answer is B. <answer>unsure</answer>", "unreadable", None),
    # the last element counts
    ("<answer>A</answer><answer>B</answer>", "tagged", "B"),
    ("<answer>A</answer> no, wait: <answer>D</answer>", "tagged", "D"),
    ("<answer>A</answer> then \\boxed{D}", "tagged", "D"),
    ("\\boxed{D} then <answer>A</answer>", "tagged", "A"),
    ("<answer>A</answer><answer>hm</answer>", "unreadable", None),
    ("<answer><answer>B</answer></answer>", "tagged", "B"),
    ("<answer>A</answer><answer>B", "tagged", "A"),
    ("</answer>B<answer>", "unreadable", None),
    # thinking is not read
    ("<think>C cooks</think><answer>B</answer>", "tagged", "B"),
    ("<think>The answer is A</think><answer>B</answer>", "tagged", "B"),
    ("<think>the answer is <answer>A</answer></think>", "missing", None),
    ("<think>I think A. The answer is A", "missing", None),
    ("<think>so <answer>A</answer>", "missing", None),
    ("<answer>B</answer><think>or <answer>C</answer>?", "tagged", "B"),
    ("<think>a <think>b</think> The answer is A </think> <answer>D</answer>", "tagged", "D"),
    ("<think>a <think>b</think> <answer>D</answer>", "missing", None),
    ("C walks, the answer is A</think><answer>B</answer>", "tagged", "B"),  # the prompt opened the thinking
    ("<think></think>B", "bare", "B"),
    ("<think>x</think>\n\nThe answer is (E).", "anchored", "E"),
    ("<think>x</think>", "missing", None),
    # nothing but an option
    ("B", "bare", "B"),
    ("C", "bare", "C"),
    ("(C)", "bare", "C"),
    ("c.", "bare", "C"),
    ("**D**", "bare", "D"),
    ("Option A", "bare", "A"),
    ("Answer: C", "bare", "C"),
    ("C walks the dog", "bare", "C"),
    ("C uses a spatula to flip the omelette.", "bare", "A"),
    ("E. C and a man play cards", "bare", "E"),
    ("F", "out_of_range", None),
    # anchored in prose
    ("C uses a spatula, so the answer is (B)", "anchored", "B"),
    ("A man is cooking. The answer is D", "anchored", "D"),
    ("The correct answer is: **E**", "anchored", "E"),
    ("**Answer**: C", "bare", "C"),
    ("Final answer: (D)\nC was happy.", "anchored", "D"),
    ("The answer is C because of the leash", "anchored", "C"),
    ("The answer is C, since a dog is walked.", "anchored", "C"),
    ("The best option is B.", "anchored", "B"),
    ("The answer is A. No: the answer is D.", "anchored", "D"),
    ("It is not A, so the answer is B.", "anchored", "B"),
    ("Option D is correct.", "anchored", "D"),
    ("I would say (E) is the right answer.", "anchored", "E"),
    ("B is the answer.", "anchored", "B"),
    ("The answer is option b), clearly".replace("b)", "(b)"), "anchored", "B"),
    ("The answer is C walks the dog", "anchored", "C"),
    ("The answer is: C uses a spatula to flip the omelette.", "anchored", "A"),
    ("He walks a dog.\n\nC", "anchored", "C"),
    ("He walks a dog.\n(C)", "anchored", "C"),
    ("The correct answer is:\n\nB. A man cooks while C watches", "anchored", "B"),
    # prose that names no option
    ("I don't know", "missing", None),
    ("A man is cooking", "missing", None),
    ("C uses a spatula", "missing", None),
    ("C is cooking and C is eating.", "missing", None),
    ("C is right behind the man", "missing", None),
    ("The answer is C walks home", "missing", None),
    ("The answer is A man who cooks", "missing", None),
    ("The answer is C, who walks the dog", "missing", None),
    ("the answer is a mystery", "missing", None),
    ("I don't think the answer is B", "missing", None),
    ("It is not clear whether the answer is B", "missing", None),
    ("The wrong answer is B", "missing", None),
    ("The answer is not B", "missing", None),
    ("Is the answer B?", "missing", None),
    ("The answer is A or B", "ambiguous", None),
    ("The answer is A, B", "ambiguous", None),
    ("The answer is (A) or (C).", "ambiguous", None),
    ("The answer is G.", "out_of_range", None),
    ("A. C uses a spatula\nB. A man cooks\nC. C walks", "ambiguous", None),
    # cut off, or nothing
    ("<answer>B", "truncated", "B"),
    ("<think>x</think><answer>(D)", "truncated", "D"),
    ("<answer>C walks the", "unreadable", None),
    ("", "empty", None),
    ("   \n", "empty", None),
    ("<|im_end|>", "missing", None),
]


@pytest.mark.parametrize(("completion", "outcome", "letter"), TABLE, ids=[repr(row[0])[:40] for row in TABLE])
def test_table(completion: str, outcome: str, letter: str | None) -> None:
    parsed = parse_answer(completion, OPTIONS)
    assert (parsed.outcome.value, parsed.option) == (outcome, None if letter is None else "ABCDE".index(letter))


def test_the_table_is_large_and_shows_every_outcome() -> None:
    assert len({completion for completion, _, _ in TABLE}) == len(TABLE) >= 80
    assert {outcome for _, outcome, _ in TABLE} == {outcome.value for outcome in ParseOutcome}
