"""Near-duplicates: found by bands, checked exactly, the same as comparing all pairs."""

import random

from pipeline.text.duplicates import jaccard, near_duplicates, near_matches, shingles


def _texts(number: int = 150) -> list[str]:
    chance = random.Random(3)
    words = [f"w{i}" for i in range(40)]
    texts = [" ".join(chance.choices(words, k=24)) for _ in range(number)]
    for i in range(0, number, 5):  # every fifth text comes back with one word changed at the end
        texts.append(texts[i].rsplit(" ", 1)[0] + " other")
    return texts


def test_the_same_as_all_pairs() -> None:
    texts = _texts()
    sets = [shingles(text) for text in texts]
    expected: dict[int, int] = {}
    for i in range(len(texts)):
        match = next((j for j in range(i) if j not in expected and jaccard(sets[j], sets[i]) >= 0.8), None)
        if match is not None:
            expected[i] = match
    found = near_duplicates(texts, [""] * len(texts), 0.8)
    assert len(expected) == 30
    assert found == expected


def test_groups_are_kept_apart() -> None:
    assert near_duplicates(["what is it", "What is it?"], ["a", "b"], 0.9) == {}
    assert near_duplicates(["what is it", "What is it?"], ["a", "a"], 0.9) == {1: 0}


def test_matches_between_two_sets() -> None:
    texts, references = (
        ["a new text here", "what does c do in the kitchen now"],
        ["other words", "What does C do in the kitchen now?"],
    )
    assert near_matches(texts, references, 0.9) == {1: 1}
    assert near_matches([], references, 0.9) == {}


def test_short_and_empty_texts() -> None:
    assert shingles("Cup") == {"cup"}
    assert near_duplicates(["", "", "cup"], ["", "", ""], 0.9) == {1: 0}
