"""Texts that are nothing but an option: a decorated letter, an option's text, or both. Imports no torch.

Decoration is what models put around a letter without changing its meaning: brackets, quotes, emphasis, LaTeX, "the
correct option is". Patterns match short texts only, and repeat nothing that can match in two ways.
"""

import json
import re
import unicodedata
from collections.abc import Sequence

from pipeline.answers.outcomes import ParsedAnswer, ParseOutcome

SHORT = 80  # characters; a decorated letter is shorter
_OUTER = " .,;:!?\"'`*_()[]\u201c\u201d\u2018\u2019\u3002"
_UNSAID = "\u2705\u2714\u2713\u2611\ufe0f"  # ticks; a cross is not one of them
_INVISIBLE = re.compile(f"[\x00-\x08\x0e-\x1f\x7f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff{_UNSAID}]")
_MARKUP = re.compile(r"\\[()\[\]]|\\(?:boxed|rm|bf)\b\s{0,4}|[{}$*`]|__|~~|</?(?:b|i|u|em|strong|code|p|br)\s{0,4}/?>")
_HEADING = re.compile(r"^[#>\s]{1,8}")

_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:i(?: would|'d|\u2019d| will|'ll)? (?:choose|pick|select|go with) "
    r"|(?:the |my )?(?:(?:final|correct|right|best|most likely|chosen) ){0,2}(?:answer|option|choice|letter)\b"
    r"(?: (?:is|would be|must be|should be)\b| ?[:=-])?:? ?)(?:(?:the )?(?:option|choice|letter)\b:? ?)?",
    re.IGNORECASE,
)
_HEDGE = r"(?:(?:definitely|certainly|clearly|surely|obviously|(?:most )?(?:probably|likely)),? )"
_IT_IS = r"(?:it(?:['\u2019]s| is| must be| should be| would be| has to be) )"
_SOFT_LEAD = re.compile(  # "It's B.", "Probably D", "I think it is A.": an answer, if a capital or a text follows
    rf"(?:(?:so|thus|hence|therefore),? )?(?:i (?:think|believe|guess|would say)(?: that)? {_HEDGE}?{_IT_IS}?"
    rf"|i['\u2019]d say {_IT_IS}?|my (?:best )?guess(?: is| ?:) {_IT_IS}?|ans\b ?[.:=-]? "
    rf"|{_HEDGE}{_IT_IS}?|{_IT_IS}{_HEDGE}?)",
    re.IGNORECASE,
)
_CHINESE_LEAD = re.compile(
    r"(?:\u6240\u4ee5|\u56e0\u6b64)?,?(?:\u6b63\u786e)?\u7b54\u6848(?:\u5e94\u8be5)?(?:\u662f|\u4e3a)? ?:? ?"
)  # "the answer is"
_BULLET = re.compile(r"[-\u2022\u2013] ")
_OTHER_LETTER = re.compile(r"(?:^|\W)(?:[(\[][A-Za-z][)\]]|[A-Za-z][).:])(?:\s|$)")
_ANSWER_KEYS = {"answer", "final_answer", "option", "choice", "letter"}
_SHORT_LEAD = re.compile(r"(?:option|choice|answer|letter)\b ?[:=-]? ?", re.IGNORECASE)
_LETTER = re.compile(r"[(\[\"'\u2018\u201c]{0,3} ?([A-Za-z]) ?[)\]\"'\u2019\u201d]{0,3} ?[.:,;!\u3002]{0,3}")
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
    """`text` in NFKC on one line, without emphasis, LaTeX, invisible characters and surrounding signs."""
    seen = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    seen = _HEADING.sub("", _MARKUP.sub("", seen))
    return " ".join(seen.split()).strip(" _\"'\u201c\u201d")


def normalise_answer(text: str) -> str:
    """`plain` text, casefolded, without surrounding punctuation; two texts are the same if these agree."""
    return plain(text).casefold().strip(_OUTER)


def same_text(text: str, options: Sequence[str]) -> list[int]:
    """Indices of the options whose text is `text`."""
    wanted = normalise_answer(text)
    return [i for i, option in enumerate(options) if wanted and normalise_answer(option) == wanted]


def longest_form(options: Sequence[str]) -> int:
    """The longest that a text can be if it is only one of `options`, in characters."""
    return 2 * max(map(len, options), default=0) + 4 * SHORT


def by_letter(letter: str, options: Sequence[str], outcome: ParseOutcome) -> ParsedAnswer:
    """The option of a letter, or OUT_OF_RANGE if there is none."""
    option = ord(letter.upper()) - ord("A")
    return ParsedAnswer(option, outcome) if option < len(options) else ParsedAnswer(None, ParseOutcome.OUT_OF_RANGE)


AMBIGUOUS = ParsedAnswer(None, ParseOutcome.AMBIGUOUS)


def _letter_and_text(text: str, options: Sequence[str], outcome: ParseOutcome) -> ParsedAnswer | None:
    """`B. its text`: the letter, if the text is that option's, its beginning, that option's and one more sentence,
    or a reason. AMBIGUOUS if the text is another option's."""
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
    begun = normalise_answer(match["text"])
    starts = len(begun) >= 8 and normalise_answer(options[named.option]).startswith(begun)
    goes_on = _and_a_sentence(match["text"], named.option, options)
    reasoned = _REASON.match(match["text"]) is not None and (match["held"] or match["free"]).isupper()
    return named if ((starts or goes_on) and set_off) or reasoned else None


def _and_a_sentence(text: str, option: int, options: Sequence[str]) -> bool:
    """Whether `text` is the option's own text, its sentence ended, and prose that names no other option."""
    own, said = normalise_answer(options[option]), normalise_answer(text)
    if not own or not said.startswith(own) or said[len(own) : len(own) + 1] not in {".", "!", "?", ";"}:
        return False
    others = [normalise_answer(other) for other in options]
    named = any(other and other in said and other not in own for other in others)
    return not named and _OTHER_LETTER.search(said[len(own) :]) is None


def _undressed(text: str, options: Sequence[str], outcome: ParseOutcome) -> ParsedAnswer | None:
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


def _answer_of_json(text: str) -> str | None:
    """The value of the one answer key of a JSON object (`{"answer": "E"}`)."""
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return None
    is_object = isinstance(pairs, list) and all(isinstance(pair, tuple) for pair in pairs)
    values = [value for key, value in pairs if key.lower() in _ANSWER_KEYS] if is_object else []
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _after_soft_lead(bare: str, options: Sequence[str], outcome: ParseOutcome) -> ParsedAnswer | None:
    """What follows "it's", "probably" or "I think". A lower-case letter is no answer there: "It's a" merely lost its
    noun."""
    lead = _SOFT_LEAD.match(bare)
    rest = "" if lead is None else bare[lead.end() :].strip(" _\"'\u201c\u201d")
    letter = _LETTER.fullmatch(rest) if len(rest) < SHORT else None
    if not rest or (letter is not None and letter.group(1).islower()):
        return None
    return _undressed(rest, options, outcome)


def _led(bare: str, options: Sequence[str], outcome: ParseOutcome) -> ParsedAnswer | None:
    """What follows a lead ("the answer is", "it's", a bullet), with the outcome for a sentence."""
    sentence = ParseOutcome.ANCHORED if outcome is ParseOutcome.BARE else outcome  # a sentence is not a bare option
    for pattern in (_LEAD, _CHINESE_LEAD):
        lead = pattern.match(bare)
        if lead is not None and lead.end() < len(bare):
            kept = outcome if _SHORT_LEAD.fullmatch(lead.group()) else sentence
            return _undressed(bare[lead.end() :].strip(" _\"'\u201c\u201d"), options, kept)
    if _BULLET.match(bare):
        return _letter_and_text(bare[2:].lstrip(), options, outcome)
    return _after_soft_lead(bare, options, sentence)


def only_an_option(text: str, options: Sequence[str], outcome: ParseOutcome) -> ParsedAnswer | None:
    """The option, as `outcome`, if `text` is nothing but an option; else None.

    Letters of missing options are OUT_OF_RANGE. Several letters, the text of two options, or a letter with another
    option's text are AMBIGUOUS.
    """
    stripped = text.strip()
    if not stripped or len(stripped) > longest_form(options):
        return None
    value = _answer_of_json(stripped) if stripped.startswith("{") else None
    bare = plain(stripped if value is None else value)
    return _undressed(bare, options, outcome) or _led(bare, options, outcome)
