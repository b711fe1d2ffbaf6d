"""A completion's own thinking, kept to ask its author again: for a forced choice, or under other option orders.

Imports no torch.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.answers.completions import SPECIAL_TOKEN, element_tags

ANSWER = "<answer>{letter}</answer>"
"""What is scored for each option under the direct prompt."""
OPENED = "<answer>{letter}"
"""What is scored for each option behind a completion's own thinking."""

_THINK, _ANSWER = element_tags("think"), element_tags("answer")
_CLOSED = "</think>"
_UP_TO_ANSWER = re.compile(r"(?:\s{0,9}<keyframes>[^<>]{0,2000}</keyframes>)?(?:\s{0,9}(?=<answer>))?", re.IGNORECASE)
_LAST_WORD = re.compile(r"(\s{1,9}\(?)[A-E]\)?[.!]?\s{0,9}\Z")
_LETTER = re.compile(r"<answer>\s{0,2}([A-E])\s{0,2}</answer>", re.IGNORECASE)


@dataclass(frozen=True)
class Reopened:
    """A completion up to its answer: `text` stands, `continuation` is scored with each option's letter for
    `{letter}`."""

    text: str
    continuation: str = OPENED


def reopen(completion: str) -> Reopened:
    """The completion's thinking and key times, with the answer still to come.

    Thinking that was never closed is closed. What stands between thinking and answer, other than key times, is dropped:
    it could be an answer. A completion without thinking keeps what it wrote before its answer tag, if it has one.
    """
    text = SPECIAL_TOKEN.sub("", completion)
    answer = _ANSWER.search(text)
    last = _last(_THINK.finditer(text, 0, answer.start() if answer else len(text)))
    if last is None:
        return Reopened(text[: answer.start()] if answer else "")
    if not last.group(1):
        return Reopened(text[: answer.start() if answer else len(text)].rstrip() + _CLOSED)
    end = last.end()
    tail = _UP_TO_ANSWER.match(text, end)
    return Reopened(text[: tail.end() if tail else end])


def chosen_letter(completion: str) -> str | None:
    """The letter alone that follows what `reopen` keeps; None if something else does.

    In a greedy completion it is the likeliest of all tokens at this place, so the likeliest of the letters: the
    forced choice is made.
    """
    text = SPECIAL_TOKEN.sub("", completion)
    kept = reopen(completion).text
    found = _LETTER.match(text, len(kept)) if text.startswith(kept) else None
    return found[1].upper() if found else None


def thinking_of(completion: str) -> str:
    """What stands in a completion before its thinking is closed, or before its answer if it has no thinking."""
    kept = reopen(completion).text
    closing = _last(tag for tag in _THINK.finditer(kept) if tag.group(1))
    return kept if closing is None else kept[: closing.start()]


def _last(tags: Iterable[re.Match[str]]) -> re.Match[str] | None:
    """The last of `tags`. Kept in a list, those of a hostile completion make the collector of a large process work for
    seconds."""
    return next(iter(deque(tags, maxlen=1)), None)


def has_thinking(completion: str) -> bool:
    """Whether there is a word of reasoning, tags and a closing letter aside."""
    words = _THINK.sub("", thinking_of(completion))
    return bool(_LAST_WORD.sub("", f" {words}").strip())


def reopen_undecided(completion: str) -> Reopened:
    """As `reopen`, to ask again with the options in another order: without a letter with which the thinking ends.

    That letter is an answer and not a reason, so it is what is asked for again. Letters on the way stay as they are
    written: a thinking that only points at `option B` gives no reason, and points at another option now.
    """
    kept, thought = reopen(completion).text, thinking_of(completion)
    last = _LAST_WORD.search(thought[-40:])
    if last is None:
        return Reopened(kept)
    start = max(len(thought) - 40, 0) + last.start()
    return Reopened(thought[:start], f"{last[1]}{{letter}}")


def reorder(options: int, key: str) -> tuple[int, ...]:
    """An order of 2 to 5 options, drawn by `key`, in which none keeps its letter.

    It is a rotation, as in the view `permuted`: options that come as a cycle (numbers, the values of the synthetic
    world) still do, so that nothing but the letters is new.
    """
    drawn = int.from_bytes(hashlib.sha256(f"reorder|{key}".encode()).digest()[:8], "big")
    first = 1 + drawn % (options - 1)
    return tuple((first + place) % options for place in range(options))
