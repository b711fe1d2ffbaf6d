"""Answers in prose: places where a text says that the words after or before are the answer. Imports no torch.

"A" is an article and "C" the camera wearer, so a letter counts only if no words continue from
it. That is at the end of its clause, in brackets, or with its own text.
"""

import re
from collections.abc import Iterator, Sequence

from pipeline.answers.forms import AMBIGUOUS, SHORT, by_letter, longest_form, only_an_option
from pipeline.answers.outcomes import ParsedAnswer, ParseOutcome

_TAIL = 20_000  # characters at the end that are searched for anchors
_PLACES = 100  # anchors read, from the end; text with more of them and no answer is not prose
_LINES = 4_000  # characters at the end that are split into lines

_HEDGE = r"(?:\s{1,4}(?:that|therefore|thus|indeed|most|likely|probably|clearly|definitely|obviously|certainly)\b){0,3}"
_ANCHOR = re.compile(
    r"(?:\b(?:answer|option|choice|letter)\b[\"'*_`]{0,3}(?:\s{1,4}(?:to|for)\s[^\n.:;]{0,80}?"
    r"|\s{1,4}(?:that|which)\s{1,4}(?:best|most)\s[^\n.:;]{0,80})?"
    r"(?:\s{1,4}(?:is|will\s{1,4}be|would\s{1,4}be|must\s{1,4}be|should\s{1,4}be|has\s{1,4}to\s{1,4}be)\b"
    + _HEDGE
    + r"\s{0,4}:?|\s{0,4}[:=\uff1a\u2013-])"
    r"|\u7b54\u6848(?:\u5e94\u8be5)?\s{0,2}(?:\u662f|\u4e3a|[:\uff1a])"  # Chinese: the answer is
    r"|\bI(?:\s{1,4}would|['\u2019]d|\s{1,4}will|['\u2019]ll)?\s{1,4}(?:choose|pick|select|go\s{1,4}with)\b)",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?:\bnot|n['\u2019]t|\bnever|\bif|\bwhether|\bunless|\bdoubt|\bwhy|\bneither|\bnor"
    r"|\b(?:wrong|incorrect|worst|other|another|possible|second|impossible))\s+"
    r"(?:(?:think|believe|say|suppose|agree|sure|certain|know|that)\s+){0,3}"
    r"(?:(?:the|a|an|my|this|his|her)\s+)?(?:(?:final|correct|right|best|only|most\s+likely)\s+)?\(?$",
    re.IGNORECASE,
)
_CLAUSE_LETTER = re.compile(
    r"\s{0,4}(?:(?:option|choice|letter)\s{1,4})?"
    r"(?:[(\[]\s{0,2}([A-Za-z])\s{0,2}[)\]]|[\"'`]?([A-Z])[\"'`]?(?=[).:,;!/\s\u3002\uff0c]|$))"
    r"(?P<rest>[^\n]{0,40})",
)
_ANOTHER_LETTER = re.compile(
    r"\s*(?:,|/|&|\bor\b|\band\b)\s*(?:or\s+|and\s+)?(?:maybe\s+|perhaps\s+)?\(?[A-Z]\)?(?:\W|$)"
)
_ENDS_CLAUSE = re.compile(
    r"[).:;!\u3002\uff0c]|,(?!\s*(?:and|or|who|whose)\b)|\s*(?:$|\n|[-\u2013\u2014(])|\s+(?:because|since)\b"
)
_CORRECT = r"is\s{1,4}(?:the\s{1,4})?(?:correct|right|best|most\s{1,4}(?:accurate|likely|plausible))"
_BEST = r"(?:fits|suits|matches|describes|explains|answers)\b[^\n.!?;:,]{0,60}?\s(?:the\s{1,4})?best"
_IS_CORRECT = re.compile(
    rf"(?:(?:\b(?i:option|choice|letter)\s{{1,4}}\(?([A-Za-z])\)?|\(([A-Za-z])\))\s{{1,4}}"
    rf"(?:{_CORRECT}|best\s{{1,4}}(?:describes|matches|fits|explains|answers|summari[sz]es)|{_BEST})\b[^\n.!?;:,]{{0,80}}"
    r"|\b([A-Z])\s{1,4}is\s{1,4}(?:correct|the\s{1,4}(?:correct\s{1,4}|right\s{1,4}|best\s{1,4})?(?:answer|option|choice)))"
    r"\s{0,4}(?:[.!,;:]|$|\n)"
)
_SO = re.compile(  # "Thus (B)", "so it is D.", "A is wrong, so D": at the very end only
    r"(?P<denied>\b[A-E]\)?\s{1,4}(?:is|are)\s{1,4}(?:not|wrong|incorrect|out|impossible)\b[^.\n]{0,40})?"
    r"(?i:\b(?:so|thus|hence|therefore)),?\s{1,4}(?i:it(?:['\u2019]s|\s{1,4}(?:is|must\s{1,4}be))\s{1,4})?"
    r"(?:\((?P<held>[A-E])\)[.!]?|(?P<ended>[A-E])[.!]|(?P<bare>[A-E])(?(denied)|(?!)))\s{0,20}\Z"
)
_JOINED = re.compile(r"(?:^|\W)[A-Z]\)?\s{0,4}(?:\bor|\band|[,/&])\s{1,4}\(?$")
_TAKEN_BACK = re.compile(
    r"(?:[.!?]\s{1,4}|\n\s{0,4})(?:no|wait|actually|hmm|correction|scratch\s{1,4}that|on\s{1,4}second\s{1,4}thought)[,.:!]",
    re.IGNORECASE,
)


def _article(line: str) -> bool:
    """Whether `line` is a lone "a", which is more likely a lost article than option A."""
    return line.strip() == "a"


def _after_anchor(match: re.Match[str], text: str, options: Sequence[str]) -> ParsedAnswer | None:
    """What follows "the answer is": an option up to the end of the line or sentence (of the next line if this one
    has ended), or a letter that ends its clause. None if it is denied."""
    if _NEGATED.search(text[max(0, match.start() - SHORT) : match.start()]):
        return None
    end = match.end()
    line = text[end : end + longest_form(options)].lstrip(" \t*_:").removeprefix("\r").lstrip("\n ").split("\n", 1)[0]
    for part in (line, re.split(r"(?<=[.!])[\s*_]", line, maxsplit=1)[0]):
        whole = None if _article(part) else only_an_option(part, options, ParseOutcome.ANCHORED)
        if whole is not None:
            return whole
    letter = _CLAUSE_LETTER.match(line.replace("*", ""))
    if letter is None:
        return None
    if _ANOTHER_LETTER.match(letter["rest"]):
        return AMBIGUOUS
    if not letter.group(1) and not _ENDS_CLAUSE.match(letter["rest"]):
        return None
    return by_letter(letter.group(1) or letter.group(2), options, ParseOutcome.ANCHORED)


def _before_correct(match: re.Match[str], text: str, options: Sequence[str]) -> ParsedAnswer | None:
    """What "option B is correct" says; None if it is denied, AMBIGUOUS if another letter is joined to it."""
    before = text[max(0, match.start() - SHORT) : match.start()]
    if _NEGATED.search(before):
        return None
    letter = match.group(1) or match.group(2) or match.group(3)
    return AMBIGUOUS if _JOINED.search(before) else by_letter(letter, options, ParseOutcome.ANCHORED)


def _anchored(text: str, options: Sequence[str]) -> Iterator[tuple[int, ParsedAnswer]]:
    """(position, answer) of the anchored forms, the last first."""
    last = _SO.search(text[-SHORT:])
    if last is not None:
        letter = last["held"] or last["ended"] or last["bare"]
        yield len(text), by_letter(letter, options, ParseOutcome.ANCHORED)
    places = [(m.end(), m, _after_anchor) for m in _ANCHOR.finditer(text)]
    places += [(m.end(), m, _before_correct) for m in _IS_CORRECT.finditer(text)]
    for end, match, read in sorted(places, key=lambda place: -place[0])[:_PLACES]:
        answer = read(match, text, options)
        if answer is not None:
            yield end, answer


def read_anchored(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    """The last anchored answer in the last 20,000 characters of `text`; AMBIGUOUS if it is taken back afterwards."""
    tail = text[-_TAIL:]
    for end, answer in _anchored(tail, options):
        return AMBIGUOUS if _TAKEN_BACK.search(tail, max(0, end - 1)) else answer
    return None


def read_lines(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    """An option alone on the first or the last line. AMBIGUOUS if other lines name other options, as in a list."""
    lines = [line for line in text[-_LINES:].split("\n") if line.strip()]
    if len(text) > _LINES:
        lines = [text.lstrip()[:_LINES].split("\n", 1)[0], *lines]
    ends = [only_an_option(lines[i], options, ParseOutcome.ANCHORED) for i in (-1, 0)]
    answer = next((end for end in ends if end is not None), None)
    if answer is None or answer.option is None:
        return answer
    named = (only_an_option(line, options, ParseOutcome.ANCHORED) for line in lines)
    return AMBIGUOUS if any(one is not None and one.option != answer.option for one in named) else answer
