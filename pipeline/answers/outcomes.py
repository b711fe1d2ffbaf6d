"""The possible outcomes of parsing a completion."""

from dataclasses import dataclass
from enum import StrEnum


class ParseOutcome(StrEnum):
    """The outcome of parsing a completion. The first four have an option, the others none."""

    TAGGED = "tagged"  # the last <answer>…</answer> or \boxed{…} contains nothing but an option
    BARE = "bare"  # the visible text is nothing but an option (what a direct prompt asks for)
    ANCHORED = "anchored"  # an option if the text says "the answer is …", or alone on its first or last line
    TRUNCATED = "truncated"  # <answer>B without its closing tag, at the end
    OUT_OF_RANGE = "out_of_range"  # a letter that names no option
    AMBIGUOUS = "ambiguous"  # several options at once, a letter with another option's text, or an answer taken back
    UNREADABLE = "unreadable"  # an answer element that names no option
    MISSING = "missing"  # no answer anywhere outside the thinking
    EMPTY = "empty"  # nothing was written


@dataclass(frozen=True)
class ParsedAnswer:
    """`option` indexes the options and is None unless `outcome` says which one was named."""

    option: int | None
    outcome: ParseOutcome

    @property
    def strict(self) -> bool:
        """Whether the answer has the requested form (a tagged one)."""
        return self.outcome is ParseOutcome.TAGGED
