"""Tags inside questions: replaced by words if possible, else the row is refused."""

import re

from pipeline.errors import ItemError

_TIME = re.compile(r"<TIME\s+(?:(\d{1,3}):)?(\d{1,3}):(\d{1,3}(?:\.\d{1,9})?)(?:\s+video\s+1)?\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?\s*[A-Za-z][A-Za-z_]{2,}\b[^<>]{0,200}>")


def plain(text: str) -> str:
    """`text` without markup: `<TIME 00:01:02.5 video 1>` becomes `62.5 s`.

    Raises:
        ItemError: `markup` for a tag that words cannot replace (a box, another video).
    """
    rendered = _TIME.sub(lambda found: f"{_seconds(*found.groups()):g} s", text)
    tag = _TAG.search(rendered)
    if tag is not None:
        raise ItemError("markup", f"{tag.group()[:80]!r} cannot be asked in words")
    return rendered


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return round(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds), 3)
