"""Question families: what can be asked about a script, with five options of equal length and the true key times.

The camera wearer is "C", as in EgoSchema. In every family the right value is uniform over the possible ones. The
options (one fixed cycle of values) are rotated independently of it, so neither wording, length nor letter reveals
anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from pipeline.synthetic.seeds import balanced, stream
from pipeline.synthetic.world import COLOURS, PLACES, Script, count_values

OPTIONS = 5
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")


@dataclass(frozen=True)
class Family:
    """One kind of question.

    `wordings` are interchangeable texts. `values(script)` are the five possible answers with the right one,
    `right(script)`. `phrase(value)` is an option's text, `key_seconds(script)` when the answer is visible,
    `vocabulary` the set of all values. `actions` is how many takes a clip needs.
    """

    wordings: tuple[str, ...]
    values: Callable[[Script, np.random.Generator], Sequence[str]]
    right: Callable[[Script], str]
    phrase: Callable[[str], str]
    key_seconds: Callable[[Script], tuple[float, ...]]
    vocabulary: tuple[str, ...]
    actions: int = 1


@dataclass(frozen=True)
class SyntheticQuestion:
    """A question about a script: `options` in order, `answer` the index of the right one, `value` its value."""

    family: str
    question: str
    options: tuple[str, ...]
    answer: int
    value: str
    key_seconds: tuple[float, ...]


def _pairs(script: Script, rng: np.random.Generator) -> list[str]:
    """The right order of two colours, its reverse, and three orders that name another object."""
    first, second = script.taken(0), script.taken(1)
    others = [c for c in COLOURS if c not in (first, second)]
    a, b, c = (others[i] for i in rng.permutation(len(others)))
    pairs = [f"{first} {second}", f"{second} {first}", f"{first} {a}", f"{b} {second}", f"{c} {first}"]
    return [pairs[i] for i in rng.permutation(len(pairs))]


def _put(script: Script) -> tuple[float, ...]:
    action = script.actions[0]
    return (action.grasp_seconds, action.put_seconds)


_PURPOSES = {
    "left": "clearing the right",
    "right": "clearing the left",
    "far": "passing it across",
    "near": "fetching it closer",
    "same": "only testing it",
}

FAMILIES: dict[str, Family] = {
    "taken": Family(
        ("Which object does C take first?", "Which object does C first pick up?"),
        lambda script, rng: COLOURS,
        lambda script: script.taken(),
        lambda value: f"{value} object",
        lambda script: (script.actions[0].grasp_seconds,),
        COLOURS,
    ),
    "moved": Family(
        ("Where does C put that object?", "Where does C move that object?"),
        lambda script, rng: PLACES,
        lambda script: script.actions[0].place,
        lambda value: f"{value} side" if value != "same" else "same spot",
        _put,
        PLACES,
    ),
    "count": Family(
        ("How many objects lie there as C reaches in?", "How many objects does C see when reaching in?"),
        lambda script, rng: [NUMBERS[n] for n in count_values(len(script.actions))],
        lambda script: NUMBERS[len(script.things)],
        lambda value: f"{value} in all",
        lambda script: (script.actions[0].enter_seconds,),
        NUMBERS,
    ),
    "order": Family(
        ("In which order does C take the objects?", "Which object does C take before which other?"),
        _pairs,
        lambda script: f"{script.taken(0)} {script.taken(1)}",
        lambda value: " then ".join(value.split()),
        lambda script: tuple(action.grasp_seconds for action in script.actions),
        tuple(f"{first} {second}" for first, second in permutations(COLOURS, 2)),
        actions=2,
    ),
    "purpose": Family(
        ("What is the purpose of C moving that object?", "Why does C most likely move that object?"),
        lambda script, rng: PLACES,
        lambda script: script.actions[0].place,
        lambda value: _PURPOSES[value],
        _put,
        PLACES,
    ),
}


def actions_needed(families: Sequence[str]) -> int:
    """How many takes a clip must show so that all these families apply to it."""
    return max(FAMILIES[name].actions for name in families)


def ask(script: Script, family: str, seed: int) -> SyntheticQuestion:
    """The question of a family about a script; letters are balanced over the scripts of a split."""
    letter = balanced(seed, script.index, OPTIONS, script.split, "letter", family)
    return ask_at(script, family, letter, stream(seed, script.video_id, "question", family))


def ask_at(script: Script, family: str, answer: int, rng: np.random.Generator) -> SyntheticQuestion:
    """The question with its right option at index `answer`: the list of values is rotated to put it there."""
    kind = FAMILIES[family]
    values, right = list(kind.values(script, rng)), kind.right(script)
    start = (values.index(right) - answer) % OPTIONS
    options = tuple(map(kind.phrase, values[start:] + values[:start]))
    wording = kind.wordings[int(rng.integers(len(kind.wordings)))]
    return SyntheticQuestion(family, wording, options, answer, right, kind.key_seconds(script))
