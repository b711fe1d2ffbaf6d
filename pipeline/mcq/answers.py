"""The one answer parser, used by the rewards and by the evaluation. Imports no torch.

It returns the option a completion names, or nothing: it never guesses. The camera wearer of EgoSchema is called "C" and
two options in five begin with "C", so outside tags a letter counts only where the text says that it is the answer.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.mcq.completions import element_tags, last_element, last_match, unclosed_element, visible_text


class Outcome(StrEnum):
    """What became of a completion. The first four carry an option, the others none."""

    TAGGED = "tagged"  # the last <answer>…</answer> or \boxed{…} holds nothing but an option
    BARE = "bare"  # the visible text is nothing but an option (what a direct prompt asks for)
    ANCHORED = "anchored"  # an option where the text says "the answer is …", or alone on the last line
    TRUNCATED = "truncated"  # <answer>B without its closing tag, at the end
    OUT_OF_RANGE = "out_of_range"  # a letter that names no option
    AMBIGUOUS = "ambiguous"  # several options at once, or a letter with another option's text
    UNREADABLE = "unreadable"  # an answer element that names no option
    MISSING = "missing"  # no answer anywhere outside the thinking
    EMPTY = "empty"  # nothing was written


@dataclass(frozen=True)
class ParsedAnswer:
    """`option` indexes the options and is None unless `outcome` says which one was named."""

    option: int | None
    outcome: Outcome

    @property
    def strict(self) -> bool:
        """Whether the answer stood in the form that was asked for (a tagged one)."""
        return self.outcome is Outcome.TAGGED


_ANSWER = element_tags("answer")
_BOXED = re.compile(r"\\boxed\s{0,4}\{([^{}]{0,2000})\}")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s{0,4}\{([^{}]*)\}")
_IN_BOX = re.compile(r"\\boxed\s{0,4}\{([^{}]*)\}")
_LETTER = re.compile(
    r"(?:(?i:(?:the\s+)?(?:option|choice|answer)(?:\s+is)?)[\s:]+)?[(\[]?\s*([A-Za-z])\s*[)\]]?\s*[.:,;]?"
)
_LETTER_AND_TEXT = re.compile(
    r"(?:option\s+)?(?:[(\[]\s*([A-Za-z])\s*[)\]]|([A-Za-z])\s*[.):])[\s:.,-]*(\S.*)", re.DOTALL
)
_SEVERAL = re.compile(r"[(\[]?[A-Za-z][)\]]?(?:\s*(?:,|/|&|;|\bor\b|\band\b)\s*[(\[]?[A-Za-z][)\]]?)+[.]?")
# "the answer is" and its kin; what follows is read by _after_anchor.
_ANCHOR = re.compile(
    r"\b(?:answer|option|choice)\b[*_]{0,3}(?:\s{1,4}(?:is|would\s{1,4}be|must\s{1,4}be|should\s{1,4}be)\b\s{0,4}:?|\s{0,4}[:=\u2013-])",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?:\bnot|n['\u2019]t|\bnever|\bif|\bwhether|\bunless|\bdoubt|\bwrong|\bincorrect|\bnot\s+sure|\bwhy)\s+"
    r"(?:(?:think|believe|say|suppose|agree|sure|certain|know|that)\s+){0,3}"
    r"(?:(?:the|a|an|my|this|his|her)\s+)?(?:(?:final|correct|right|best|only|most\s+likely)\s+)?$",
    re.IGNORECASE,
)
_ANCHORED_LETTER = re.compile(
    r"\s{0,4}(?:(?:option|choice|letter)\s{1,4})?"
    r"(?:[(\[]\s{0,2}([A-Za-z])\s{0,2}[)\]]|([A-Z])(?=[).:,;!/\s]|$))"
    r"(?P<rest>[^\n]{0,40})",
)
_ANOTHER_LETTER = re.compile(
    r"\s*(?:,|/|&|\bor\b|\band\b)\s*(?:or\s+|and\s+)?(?:maybe\s+|perhaps\s+)?\(?[A-Z]\)?(?:\W|$)"
)
_ENDS_CLAUSE = re.compile(r"[).:;!]|,(?!\s*(?:and|or|who|whose)\b)|\s*(?:$|\n|[-\u2013\u2014(])|\s+(?:because|since)\b")
_IS_CORRECT = re.compile(
    r"(?:(?:\b(?i:option|choice|letter)\s{1,4}\(?([A-Za-z])\)?|\(([A-Za-z])\))\s{1,4}is\s{1,4}(?:the\s{1,4})?(?:correct|right|best)"
    r"|\b([A-Z])\s{1,4}is\s{1,4}the\s{1,4}(?:correct\s{1,4}|right\s{1,4}|best\s{1,4})?(?=answer|option|choice))"
    r"(?:\s{0,4}(?:answer|option|choice))?\s{0,4}(?:[.!,;:]|$|\n)"
)
_WINDOW = 80  # characters read before and after an anchor
_TAIL = 20_000  # characters at the end in which anchors are looked for


def _normalise(text: str) -> str:
    """Casefolded, NFKC, one space between words, no surrounding punctuation or emphasis."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(" .,;:!?\"'`*_()[]\u201c\u201d\u2018\u2019")


def _same_text(text: str, options: Sequence[str]) -> list[int]:
    wanted = _normalise(text)
    return [i for i, option in enumerate(options) if wanted and _normalise(option) == wanted]


def _plain(text: str) -> str:
    """`text` without a box, emphasis and surrounding quotes."""
    return unicodedata.normalize("NFKC", _IN_BOX.sub(r"\1", text)).strip(" \t\r\n*_`\"'$\u201c\u201d")


def _by_letter(letter: str, options: Sequence[str], outcome: Outcome) -> ParsedAnswer:
    option = ord(letter.upper()) - ord("A")
    return ParsedAnswer(option, outcome) if option < len(options) else ParsedAnswer(None, Outcome.OUT_OF_RANGE)


def _by_letter_and_text(text: str, options: Sequence[str], outcome: Outcome) -> ParsedAnswer | None:
    """`B. its text`: the letter, unless the text is another option's."""
    match = _LETTER_AND_TEXT.fullmatch(text)
    if match is None:
        return None
    named = _by_letter(match.group(1) or match.group(2), options, outcome)
    same = _same_text(match.group(3), options)
    if named.option is not None and same and named.option not in same:
        return ParsedAnswer(None, Outcome.AMBIGUOUS)
    return named if same or named.option is None else None


def _only_an_option(text: str, options: Sequence[str], outcome: Outcome) -> ParsedAnswer | None:
    """The option where `text` is nothing but one: a letter in any dress, an option's text, or both; None otherwise."""
    plain = _plain(text)
    letter = _LETTER.fullmatch(plain) if len(plain) < _WINDOW else None
    if letter is not None:
        return _by_letter(letter.group(1), options, outcome)
    same = _same_text(plain, options)
    if same:
        return ParsedAnswer(same[0], outcome) if len(same) == 1 else ParsedAnswer(None, Outcome.AMBIGUOUS)
    if len(plain) < _WINDOW and _SEVERAL.fullmatch(plain):
        return ParsedAnswer(None, Outcome.AMBIGUOUS)
    return _by_letter_and_text(plain, options, outcome)


def _last_tagged(text: str) -> str | None:
    """Content of the last <answer> element or \\boxed{}, whichever ends last."""
    found = last_element(text, _ANSWER)
    boxed = last_match(_BOXED, text)
    if boxed is not None and (found is None or boxed.end() > found[0]):
        return boxed.group(1)
    return None if found is None else found[1]


def _after_anchor(text: str, end: int, options: Sequence[str]) -> ParsedAnswer | None:
    """What stands after "the answer is": an option's text up to the line's end, or a letter that ends its clause."""
    longest = max(map(len, options), default=0) + _WINDOW
    line = text[end : end + longest].split("\n", 1)[0].replace("*", "")
    same = _same_text(line, options)
    if len(same) == 1 and len(line.strip()) > 1:
        return ParsedAnswer(same[0], Outcome.ANCHORED)
    letter = _ANCHORED_LETTER.match(line)
    if letter is None:
        return None
    if _ANOTHER_LETTER.match(letter.group("rest")):
        return ParsedAnswer(None, Outcome.AMBIGUOUS)
    if not letter.group(1) and not _ENDS_CLAUSE.match(letter.group("rest")):
        return None
    return _by_letter(letter.group(1) or letter.group(2), options, Outcome.ANCHORED)


def _anchored(text: str, options: Sequence[str]) -> Iterator[tuple[int, ParsedAnswer]]:
    """(position, answer) of every anchored form."""
    for match in _ANCHOR.finditer(text):
        if _NEGATED.search(text[max(0, match.start() - _WINDOW) : match.start()]):
            continue
        parsed = _after_anchor(text, match.end(), options)
        if parsed is not None:
            yield match.end(), parsed
    for match in _IS_CORRECT.finditer(text):
        letter = match.group(1) or match.group(2) or match.group(3)
        yield match.end(), _by_letter(letter, options, Outcome.ANCHORED)


def _last_line(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    line = text.rstrip().rsplit("\n", 1)[-1]
    return _only_an_option(line, options, Outcome.ANCHORED)


Reader = Callable[[str, Sequence[str]], ParsedAnswer | None]


def _read_tagged(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    content = _last_tagged(text)
    if content is None:
        return None
    return _only_an_option(content, options, Outcome.TAGGED) or ParsedAnswer(None, Outcome.UNREADABLE)


def _read_truncated(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    content = unclosed_element(text, _ANSWER)
    if content is None:
        return None
    return _only_an_option(content, options, Outcome.TRUNCATED) or ParsedAnswer(None, Outcome.UNREADABLE)


def _read_bare(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    return _only_an_option(text, options, Outcome.BARE)


def _read_anchored(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    found = sorted(_anchored(text[-_TAIL:], options), key=lambda pair: pair[0])
    return found[-1][1] if found else _last_line(text, options)


_READERS: tuple[Reader, ...] = (_read_tagged, _read_truncated, _read_bare, _read_anchored)


def parse_answer(completion: str, options: Sequence[str]) -> ParsedAnswer:
    """The option that `completion` names, in time linear in its length.

    Args:
        completion: what the model wrote; its thinking is not read.
        options: the texts of 2 to 5 options, in the order of the letters.

    The last `<answer>…</answer>` or `\\boxed{…}` counts, and where there is one nothing else is read. Inside it a
    letter in any dress (`B`, `(B)`, `B.`, `**b**`, `Option B`), an option's text (case, spaces and outer punctuation
    aside) or both. Outside tags: the whole text in one of these forms; "the answer is B" where B ends its clause, the
    last one within the last 20,000 characters; or the last line.
    """
    text = _LATEX_TEXT.sub(r"\1", visible_text(completion))
    if not text.strip():
        return ParsedAnswer(None, Outcome.MISSING if completion.strip() else Outcome.EMPTY)
    for read in _READERS:
        parsed = read(text, options)
        if parsed is not None:
            return parsed
    return ParsedAnswer(None, Outcome.MISSING)
