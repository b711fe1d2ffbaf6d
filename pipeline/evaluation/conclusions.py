"""What a thinking about the synthetic world concludes: read from its facts, with no model asked."""

import re
from collections.abc import Sequence

from pipeline.synthetic.families import FAMILIES

_CONCLUSION = re.compile(r"\bso\s{1,9}([a-z ]{1,80}?)\s{0,9}(?:[A-E]\s{0,9})?\Z")


def concluded_option(thinking: str, family: str, options: Sequence[str]) -> int | None:
    """Index of the option that `thinking` ends with (`... so red B`: the option that says red, whatever B says).

    None if it concludes nothing, names no value of the family, or names a value that no option says.
    """
    found = _CONCLUSION.search(thinking[-100:])
    kind = FAMILIES.get(family)
    if found is None or kind is None:
        return None
    value = " ".join(found[1].split())
    phrase = kind.phrase(value) if value in kind.vocabulary else None
    return options.index(phrase) if phrase in options else None
