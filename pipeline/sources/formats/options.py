"""The one parser of options inside a text, and of the answer that names one of them. It never guesses.

Options may be marked `A.`, `(a)`, `B)` or `1.`, in full-width letters, with or without a space after the mark. They
may be on separate lines, all on one line, or a Python list. A row that looks like multiple choice but cannot be
parsed is a named error, never an open question.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ItemError

# Full-width forms have the same places as ASCII ones (Unicode block "Halfwidth and Fullwidth Forms").
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {ord("、"): ord("."), 0x3000: ord(" ")}
_MARK = re.compile(r"(?:(?P<open>\()|(?<![\w.'-]))(?P<symbol>[A-Ja-j]|10|\d)(?P<close>[.):])(?!\d)[ \t]*(?=\S)")
_REQUEST = re.compile(
    r"[\s\n]*(?:please\s+)?(?:answer|respond|reply|select|choose|pick|only\s+give|give|provide|output)\b[^\n]*"
    r"\b(?:letter|option|options|choice|choices|answer|number)\b[^\n]*$",
    re.IGNORECASE,
)
_HEADING = re.compile(r"\s*\b(?:options|choices|candidates)\s*(?:are)?\s*:?\s*$", re.IGNORECASE)
_NAMED = re.compile(
    r"(?:(?:the\s+)?(?:correct\s+|best\s+)?(?:answer|option|choice)(?:\s+is)?\s*:?\s*)?"
    r"\(?(?P<symbol>[A-Za-z]|\d{1,2})(?:[.):]+\s*(?P<text>.*)|)",
    re.IGNORECASE | re.DOTALL,
)
_BARE = re.compile(r"\(?(?:[A-Ja-j]|\d{1,2})[.):]*")
_COUNTS = re.compile(r"\b(?:how (?:many|much|often|old|long|far)|number|count|times|amount)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Choices:
    """A question without its options, the options without their marks, and the marks (`A` ..., `1` ..., or none)."""

    question: str
    options: tuple[str, ...]
    symbols: tuple[str, ...]
    inline: bool


def read_choices(asked: str) -> Choices | None:
    """The options in `asked`; None if there are none.

    Raises:
        ItemError: `odd_options` if the text continues after its last option.
    """
    narrow = asked.translate(_NARROW)
    listed = _python_list(asked)
    if listed is not None:
        return listed
    sequences = [found for style in _styles(narrow) if len(found := _in_order(style)) >= 2]
    if not sequences:
        return None
    marks = max(sequences, key=lambda found: (_on_own_lines(narrow, found), len(found)))
    inline = not _on_own_lines(narrow, marks)
    ends = [mark.start() for mark in marks[1:]] + [len(asked)]
    texts = [asked[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    texts[-1] = _REQUEST.sub("", texts[-1]).strip()
    if not inline:
        texts = [_one_option(text) for text in texts]
    question = _HEADING.sub("", asked[: marks[0].start()].rstrip()).strip()
    return Choices(question, tuple(texts), tuple(mark["symbol"].upper() for mark in marks), inline)


def _one_option(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        raise ItemError("odd_options", f"{lines[1][:80]!r} stands after the option {lines[0][:60]!r}")
    return lines[0] if lines else ""


def _styles(narrow: str) -> list[list[re.Match[str]]]:
    """The marks of a text, grouped by how they are written."""
    styles: dict[tuple[str, str, str], list[re.Match[str]]] = {}
    for mark in _MARK.finditer(narrow):
        symbol = mark["symbol"]
        kind = "number" if symbol.isdigit() else "upper" if symbol.isupper() else "lower"
        if mark["open"] is None or mark["close"] == ")":
            styles.setdefault((kind, mark["open"] or "", mark["close"]), []).append(mark)
    return list(styles.values())


def _in_order(marks: Sequence[re.Match[str]]) -> list[re.Match[str]]:
    """The last full run A, B, C ... (or 1, 2 ..., or 0, 1 ...) of marks."""
    best: list[re.Match[str]] = []
    for start, mark in enumerate(marks):
        if mark["symbol"].upper() not in ("A", "1", "0"):
            continue
        run = [mark]
        for other in marks[start + 1 :]:
            if _rank(other) == _rank(run[-1]) + 1:
                run.append(other)
        best = run if len(run) >= len(best) else best
    return best


def _rank(mark: re.Match[str]) -> int:
    symbol = mark["symbol"].upper()
    return int(symbol) if symbol.isdigit() else ord(symbol)


def _on_own_lines(narrow: str, marks: Sequence[re.Match[str]]) -> bool:
    return all(not narrow[: mark.start()].rsplit("\n", 1)[-1].strip() for mark in marks)


def _python_list(asked: str) -> Choices | None:
    """Options as a Python or JSON list of texts at the end: `What? ['A. one', 'B. two']`."""
    found = re.search(r"\[\s*['\"].*\]\s*$", _REQUEST.sub("", asked), re.DOTALL)
    if found is None:
        return None
    try:
        values = ast.literal_eval(found.group().strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ItemError("odd_options", f"{found.group()[:80]!r} is not a list of options") from error
    if not isinstance(values, list) or len(values) < 2 or not all(isinstance(value, str) for value in values):
        raise ItemError("odd_options", f"{found.group()[:80]!r} is not a list of options")
    question = _HEADING.sub("", asked[: found.start()].rstrip()).strip()
    marks = [_MARK.match(value.translate(_NARROW).strip()) for value in values]
    run = [mark for mark in marks if mark is not None]
    if len(run) == len(values) and len(_in_order(run)) == len(values):
        texts = tuple(value.strip()[mark.end() :].strip() for value, mark in zip(values, run, strict=True))
        return Choices(question, texts, tuple(mark["symbol"].upper() for mark in run), False)
    return Choices(question, tuple(value.strip() for value in values), (), False)


def read_answer(told: str, choices: Choices) -> int:
    """The option that `told` names by its mark, its text, or both.

    Raises:
        ItemError: `no_answer` if it names none; `contradiction` if mark and text name different ones.
    """
    by_text = [i for i, option in enumerate(choices.options) if _same(option, told)]
    found = _NAMED.fullmatch(told.translate(_NARROW).strip())
    by_mark = None if found is None else _of_symbol(found["symbol"].upper(), choices)
    text = (found["text"] or "").strip() if found is not None else ""
    if by_mark is not None and text.strip(".") and not _same(choices.options[by_mark], text):
        raise ItemError(
            "contradiction", f"{told[:80]!r} names an option by its mark, but its text differs from that option's"
        )
    if by_mark is not None and by_text and by_mark not in by_text:
        raise ItemError("contradiction", f"{told[:80]!r} is the mark of one option but the text of another")
    if by_mark is not None:
        return by_mark
    if len(by_text) != 1:
        raise ItemError("no_answer", f"{told[:80]!r} names none of the options")
    return by_text[0]


def _of_symbol(symbol: str, choices: Choices) -> int | None:
    if choices.symbols:
        return choices.symbols.index(symbol) if symbol in choices.symbols else None
    place = ord(symbol) - ord("A") if not symbol.isdigit() else -1  # a list without marks: does 1 mean the second?
    return place if 0 <= place < len(choices.options) else None


def _same(option: str, told: str) -> bool:
    return option.strip().rstrip(".").casefold() == told.strip().rstrip(".").casefold()


def check_open_answer(question: str, answer: str) -> None:
    """Refuse a bare option letter or number as the answer to an open question: its options were not found.

    A number may answer a question that asks for one ("How many ...").

    Raises:
        ItemError: `options_not_seen`.
    """
    bare = answer.translate(_NARROW).strip()
    if not _BARE.fullmatch(bare) or (bare.strip("().:").isdigit() and _COUNTS.search(question)):
        return
    raise ItemError("options_not_seen", f"the answer {answer.strip()!r} names an option, but no options were found")
