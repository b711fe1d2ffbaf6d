"""The visible part of a completion and its tagged elements, found in linear time. Imports no torch.

A completion is hostile input: ten megabytes of nested, unclosed tags must cost no more than reading them. Patterns here
match single tags with bounded whitespace; pairing them is a loop over the matches, never a lazy `.*?`.
"""

import re
from collections.abc import Iterator

_THINK = re.compile(r"<\s{0,4}([/\\]?)\s{0,4}think(?:ing)?\s{0,4}>", re.IGNORECASE)
SPECIAL_TOKEN = re.compile(r"<\|[A-Za-z_]{1,30}\|>|</?s>|<(?:eos|bos|pad|end_of_turn)>|<think(?:ing)?\s{0,4}/>")


def _visible_pieces(completion: str) -> Iterator[str]:
    depth, shown_from, opened = 0, 0, False
    for tag in _THINK.finditer(completion):
        closes = bool(tag.group(1))
        if depth == 0 and not (closes and not opened):
            yield completion[shown_from : tag.start()]
        depth = max(depth - 1, 0) if closes else depth + 1
        opened = True
        if depth == 0:
            shown_from = tag.end()
    if depth == 0:
        yield completion[shown_from:]


def visible_text(completion: str) -> str:
    """`completion` without its thinking and without special tokens (`<|im_end|>`).

    `<think>…</think>` is removed: nested ones as a whole, and an unclosed one up to the end. If the first tag is a
    closing one, the prompt had opened the thinking, as reasoning chat templates do. All text before it is then removed.
    """
    return SPECIAL_TOKEN.sub("", "\n".join(_visible_pieces(completion)))


def element_tags(name: str) -> re.Pattern[str]:
    """Pattern of `<name>` and `</name>`; group 1 is `/` (or a mistaken backslash) for a closing tag."""
    return re.compile(rf"<\s{{0,4}}([/\\]?)\s{{0,4}}{name}\s{{0,4}}>", re.IGNORECASE)


def last_element(text: str, tags: re.Pattern[str]) -> tuple[int, str] | None:
    """(end, content) of the last element that is opened and closed, innermost when nested; None without one."""
    opened: int | None = None
    found: tuple[int, int, int] | None = None
    for tag in tags.finditer(text):
        if not tag.group(1):
            opened = tag.end()
        elif opened is not None:
            found, opened = (opened, tag.start(), tag.end()), None
    return None if found is None else (found[2], text[found[0] : found[1]])


def unclosed_element(text: str, tags: re.Pattern[str]) -> str | None:
    """Content of an element opened by the last tag and cut off by the end of the text; None if there is none.

    If nothing follows and the previous tag is also an opening one (`<answer>B<answer>`), the last was meant to close.
    """
    before, last = None, None
    for tag in tags.finditer(text):
        before, last = last, tag
    if last is None or last.group(1):
        return None
    content = text[last.end() :]
    if not content.strip() and before is not None and not before.group(1):
        return text[before.end() : last.start()]
    return content


def without(text: str, tags: re.Pattern[str]) -> str:
    """`text` with a line break in place of every element that is opened and closed, from its last opening tag on."""
    pieces: list[str] = []
    shown_from, opened = 0, None
    for tag in tags.finditer(text):
        if not tag.group(1):
            opened = tag.start()
        elif opened is not None:
            pieces.append(text[shown_from:opened])
            shown_from, opened = tag.end(), None
    return "\n".join([*pieces, text[shown_from:]])


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of `pattern` in `text`."""
    found = None
    for match in pattern.finditer(text):
        found = match
    return found
