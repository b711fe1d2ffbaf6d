"""Options of annotations: clean, check and reorder them. Pure; no torch."""

import hashlib
import random
import re
import unicodedata
from collections.abc import Sequence

from pipeline.errors import ItemError
from pipeline.records import LETTERS

MAX_OPTIONS = len(LETTERS)
_LETTER = re.compile(r"^\s*(?:\(([A-Ja-j])\)|([A-J])[.):](?=\s))\s*")


_OTHER = re.compile(r"[\W_]+")
_ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_ARTICLES = ("a", "an", "the")


def normalise_text(text: str) -> str:
    """Text for comparison: NFKC, lower case, only letters and digits, single spaces, no leading article."""
    if text.isascii():  # most texts by far, and several times faster
        kept = " ".join(text.translate(_ASCII).split())
    else:
        kept = _OTHER.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    first, _, rest = kept.partition(" ")
    return rest if rest and first in _ARTICLES else kept


def clean_options(options: Sequence[str]) -> tuple[str, ...]:
    """Options without their letters (`A. `, `(B) `), stripped.

    Letters are removed only if every option has one; an option may well begin with "C stirs".

    Raises:
        ItemError: `option_count` (not 2-5), `empty_option`, or `option_letters` (letters other than A, B, C ... in
            order, so that the meaning of the answer's index is unknown).
    """
    if not 2 <= len(options) <= MAX_OPTIONS:
        raise ItemError("option_count", f"expected 2-{MAX_OPTIONS} options, found {len(options)}")
    bare = [option.strip() for option in _without_letters(options)]
    if not all(bare):
        raise ItemError("empty_option", f"option {LETTERS[bare.index('')]} is empty")
    return tuple(bare)


def equal_options(options: Sequence[str]) -> str | None:
    """The first option that equals an earlier one (after `normalise_text`); None if all differ."""
    normal = [normalise_text(option) or option for option in options]
    return next((option for i, option in enumerate(options) if normal[i] in normal[:i]), None)


def _without_letters(options: Sequence[str]) -> list[str]:
    found = [_LETTER.match(option) for option in options]
    if not all(found):
        return list(options)
    letters = "".join((m.group(1) or m.group(2)).upper() for m in found if m is not None)
    if len(set(letters)) == 1:  # the actor "C", not a letter
        return list(options)
    if letters != LETTERS[: len(options)]:
        raise ItemError("option_letters", f"expected {LETTERS[: len(options)]}, found {letters}")
    return [_LETTER.sub("", option, count=1) for option in options]


def check_answer(answer: int | None, options: Sequence[str]) -> int | None:
    """`answer` if it indexes `options`; None (not public) stays None.

    Raises:
        ItemError: `answer_out_of_range`.
    """
    if answer is not None and not 0 <= answer < len(options):
        raise ItemError("answer_out_of_range", f"answer {answer}, but there are {len(options)} options, counted from 0")
    return answer


def seeded(seed: int, *keys: str) -> random.Random:
    """A generator that depends on `seed` and `keys` alone, not on call order, process or platform."""
    return random.Random(int.from_bytes(hashlib.sha256("|".join((str(seed), *keys)).encode()).digest()[:8], "big"))  # noqa: S311


def shuffle_options(
    options: Sequence[str], answer: int | None, question_id: str, seed: int
) -> tuple[tuple[str, ...], int | None]:
    """Options in an order determined by a hash of `seed` and `question_id`, and the answer's new index."""
    order = list(range(len(options)))
    seeded(seed, "options", question_id).shuffle(order)
    return tuple(options[i] for i in order), None if answer is None else order.index(answer)


def share_of(key: str, seed: int) -> float:
    """A number in [0, 1) determined by a hash of `seed` and `key`; it decides splits."""
    return int.from_bytes(hashlib.sha256(f"{seed}|split|{key}".encode()).digest()[:8], "big") / 2**64
