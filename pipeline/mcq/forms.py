"""Texts that are nothing but an option: a letter in any dress, an option's text, or both. Imports no torch.

Dress is what models put around a letter without meaning anything by it: brackets, quotes, emphasis, LaTeX, "the correct
option is". Patterns match short texts only and repeat nothing that can match in two ways.
"""

import re
import unicodedata
from collections.abc import Sequence

from pipeline.mcq.outcomes import Outcome, ParsedAnswer

SHORT = 80  # characters; a dressed letter is shorter
_OUTER = " .,;:!?\"'`*_()[]\u201c\u201d\u2018\u2019"
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_MARKUP = re.compile(r"\\[()\[\]]|\\(?:boxed|rm|bf)\b\s{0,4}|[{}$*`]|__|~~|</?(?:b|i|u|em|strong|code|p|br)\s{0,4}/?>")
_HEADING = re.compile(r"^[#>\s]{1,8}")

_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:i(?: would|'d|\u2019d| will|'ll)? (?:choose|pick|select|go with) "
    r"|(?:the |my )?(?:(?:final|correct|right|best|most likely|chosen) ){0,2}(?:answer|option|choice|letter)\b"
    r"(?: (?:is|would be|must be|should be)\b| ?[:=-])?:? ?)(?:(?:the )?(?:option|choice|letter)\b:? ?)?",
    re.IGNORECASE,
)
_SHORT_LEAD = re.compile(r"(?:option|choice|answer|letter)\b ?[:=-]? ?", re.IGNORECASE)
_LETTER = re.compile(r"[(\[\"'\u2018\u201c]{0,3} ?([A-Za-z]) ?[)\]\"'\u2019\u201d]{0,3} ?[.:,;!]{0,3}")
_LETTER_AND_TEXT = re.compile(
    r"(?:[(\[] ?(?P<held>[A-Za-z]) ?[)\]]|(?P<free>[A-Za-z]))"
    r"(?P<between> ?[.):,;=\u2013\u2014-]{1,2} ?| )(?P<text>\S.*)"
)
_ONE = r"[(\[]?[A-Za-z][)\]]?"
_SEVERAL = re.compile(
    rf"(?:(?:both|either|neither|options?|all of) )?{_ONE}"
    rf"(?:(?> ?[,/&;+] ?(?:(?:or|and|nor) )?| (?:(?:or|and|nor) )?){_ONE})+[.!]?",
    re.IGNORECASE,
)
_REASON = re.compile(r"(?:because|since)\b", re.IGNORECASE)


def plain(text: str) -> str:
    """`text` in NFKC on one line, without emphasis, LaTeX, invisible characters and what surrounds it."""
    seen = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    seen = _HEADING.sub("", _MARKUP.sub("", seen))
    return " ".join(seen.split()).strip(" _\"'\u201c\u201d")


def normalise(text: str) -> str:
    """`plain` text, casefolded, without surrounding punctuation: what must agree for two texts to be the same."""
    return plain(text).casefold().strip(_OUTER)


def same_text(text: str, options: Sequence[str]) -> list[int]:
    """Indices of the options whose text is `text`."""
    wanted = normalise(text)
    return [i for i, option in enumerate(options) if wanted and normalise(option) == wanted]


def longest_form(options: Sequence[str]) -> int:
    """Characters beyond which no text is nothing but one of `options`."""
    return 2 * max(map(len, options), default=0) + 4 * SHORT


def by_letter(letter: str, options: Sequence[str], outcome: Outcome) -> ParsedAnswer:
    """The option of a letter, or that there is none of it."""
    option = ord(letter.upper()) - ord("A")
    return ParsedAnswer(option, outcome) if option < len(options) else ParsedAnswer(None, Outcome.OUT_OF_RANGE)


AMBIGUOUS = ParsedAnswer(None, Outcome.AMBIGUOUS)


def _letter_and_text(text: str, options: Sequence[str], outcome: Outcome) -> ParsedAnswer | None:
    """`B. its text`: the letter where the text is its own, the start of its own, or a reason; nothing to rely on where
    the text is another option's."""
    match = _LETTER_AND_TEXT.fullmatch(text)
    if match is None:
        return None
    named = by_letter(match["held"] or match["free"], options, outcome)
    set_off = match["held"] is not None or match["between"] != " "
    if named.option is None:
        return named if set_off else None
    same = same_text(match["text"], options)
    if same:
        return named if named.option in same else AMBIGUOUS
    begun = normalise(match["text"])
    starts = len(begun) >= 8 and normalise(options[named.option]).startswith(begun)
    reasoned = _REASON.match(match["text"]) is not None and (match["held"] or match["free"]).isupper()
    return named if (starts and set_off) or reasoned else None


def _undressed(text: str, options: Sequence[str], outcome: Outcome) -> ParsedAnswer | None:
    letter = _LETTER.fullmatch(text) if len(text) < SHORT else None
    if letter is not None:
        return by_letter(letter.group(1), options, outcome)
    both = _letter_and_text(text, options, outcome)
    same = same_text(text, options)
    if same:
        contradicted = both is not None and both.option not in (None, same[0])
        return AMBIGUOUS if len(same) > 1 or contradicted else ParsedAnswer(same[0], outcome)
    if len(text) < SHORT and _SEVERAL.fullmatch(text):
        return AMBIGUOUS
    return both


def only_an_option(text: str, options: Sequence[str], outcome: Outcome) -> ParsedAnswer | None:
    """What `text` names where it is nothing but an option, as `outcome`; None where it is something else.

    Letters of options that are not there are OUT_OF_RANGE; several letters, the text of two options, or a letter beside
    another option's text are AMBIGUOUS.
    """
    stripped = text.strip()
    if not stripped or len(stripped) > longest_form(options):
        return None
    bare = plain(stripped)
    found = _undressed(bare, options, outcome)
    lead = _LEAD.match(bare)
    if found is None and lead is not None and lead.end() < len(bare):
        if outcome is Outcome.BARE and not _SHORT_LEAD.fullmatch(lead.group()):
            outcome = Outcome.ANCHORED  # a sentence, not a bare option
        found = _undressed(bare[lead.end() :].strip(" _\"'\u201c\u201d"), options, outcome)
    return found
