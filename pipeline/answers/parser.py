"""The one answer parser, used by the rewards and by the evaluation. Imports no torch.

It returns the option a completion names, or nothing: it never guesses. The camera wearer of EgoSchema is called "C" and
two options in five begin with "C". So outside tags a letter counts only if the text says that it is the answer
(`anchors.py`). `forms.py` says what counts as an option by itself.
"""

import re
from collections.abc import Callable, Sequence

from pipeline.answers.anchors import read_anchored, read_lines
from pipeline.answers.completions import element_tags, last_element, last_match, unclosed_element, visible_text, without
from pipeline.answers.forms import only_an_option
from pipeline.answers.outcomes import ParsedAnswer, ParseOutcome

__all__ = ["ParseOutcome", "ParsedAnswer", "parse_answer"]

_ANSWER = element_tags("answer")
_KEYFRAMES = element_tags("keyframes")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathcal|mathsf|emph)\s{0,4}\{([^{}]{0,2000})\}")
_BOXED = re.compile(r"\\boxed\s{0,4}\{{1,2}([^{}]{0,2000})\}")
_OPEN_BOX = re.compile(r"\\boxed\s{0,4}\{{1,2}([^{}]{0,200})\Z")
_CUT_TAG = re.compile(r"<[/\\]?[A-Za-z]{0,8}\s{0,4}\Z")

Reader = Callable[[str, Sequence[str]], ParsedAnswer | None]


def _last_tagged(text: str) -> str | None:
    """Content of the last <answer> element or \\boxed{}, whichever ends last."""
    found = last_element(text, _ANSWER)
    boxed = last_match(_BOXED, text)
    if boxed is not None and (found is None or boxed.end() > found[0]):
        return boxed.group(1)
    return None if found is None else found[1]


def _read_tagged(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    content = _last_tagged(text)
    if content is None:
        return None
    return only_an_option(content, options, ParseOutcome.TAGGED) or ParsedAnswer(None, ParseOutcome.UNREADABLE)


def _read_truncated(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    content = unclosed_element(text, _ANSWER)
    if content is None:
        box = _OPEN_BOX.search(text[-300:])
        content = None if box is None else box.group(1)
    if content is None:
        return None
    content = content[:-20] + _CUT_TAG.sub("", content[-20:])
    return only_an_option(content, options, ParseOutcome.TRUNCATED) or ParsedAnswer(None, ParseOutcome.UNREADABLE)


def _read_bare(text: str, options: Sequence[str]) -> ParsedAnswer | None:
    return only_an_option(text, options, ParseOutcome.BARE)


_IN_TAGS: tuple[Reader, ...] = (_read_tagged, _read_truncated)
_OUTSIDE: tuple[Reader, ...] = (_read_bare, read_anchored, read_lines)


def parse_answer(completion: str, options: Sequence[str]) -> ParsedAnswer:
    """The option that `completion` names, in time linear in its length.

    Args:
        completion: what the model wrote; its thinking is not read.
        options: the texts of 2 to 5 options, in the order of the letters.

    The last `<answer>…</answer>` or `\\boxed{…}` counts, and if there is one nothing else is read. Inside it: a
    letter, decorated or not (`B`, `(B)`, `B.`, `**b**`, `Option B`), an option's text (ignoring case, spaces and
    outer punctuation), or both. Outside tags: the whole text in one of these forms; "the answer is B" if B ends its
    clause, the last one within the last 20,000 characters; or an option alone on the first or last line.
    """
    text = visible_text(completion)
    for _ in range(2):  # \textbf inside \text
        text = _LATEX_TEXT.sub(r"\1", text)
    outside = without(text, _KEYFRAMES)  # times are not an answer; inside the answer's tags they make it unreadable
    if not outside.strip():
        return ParsedAnswer(None, ParseOutcome.MISSING if completion.strip() else ParseOutcome.EMPTY)
    for readers, seen in ((_IN_TAGS, text), (_OUTSIDE, outside)):
        for read in readers:
            parsed = read(seen, options)
            if parsed is not None:
                return parsed
    return ParsedAnswer(None, ParseOutcome.MISSING)
