"""What went wrong in each question that the policy did not answer right, counted by family.

Key times tell two kinds of mistakes apart: the policy looked at another moment, or it looked at the right one and still
chose wrong.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

KINDS = {
    "no_answer": "gave no readable answer",
    "no_times": "named no key time",
    "elsewhere": "named other moments",
    "right_moment": "named the right moment, chose wrong",
    "wrong": "chose wrong (true key times unknown)",
}
HIT_SECONDS = 0.5  # a named time this near to a true one hits it, or half a frame spacing if that is more


def mistake(row: Mapping[str, Any], spacing_seconds: float) -> str:
    """One of `KINDS`, or "" if the policy was right, was not asked, or the truth is not public.

    Args:
        row: a row of the gallery.
        spacing_seconds: between the frames that the model saw; 0 if unknown.
    """
    given = row["policy"]
    if given is None or row["answer"] is None or given["option"] == row["answer"]:
        return ""
    if given["option"] is None:
        return "no_answer"
    if not row["truth"]:
        return "wrong"
    if not given["keyframes"]:
        return "no_times"
    near = max(HIT_SECONDS, spacing_seconds / 2)
    hit = any(abs(named - true) <= near for named in given["keyframes"] for true in row["truth"])
    return "right_moment" if hit else "elsewhere"


def mistake_table(rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """(kinds that occur, in order; [(family, how many of each kind)]), families with most mistakes first."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        if row["mistake"]:
            counts.setdefault(row["family"], Counter())[row["mistake"]] += 1
    kinds = [kind for kind in KINDS if any(found[kind] for found in counts.values())]
    order = sorted(counts, key=lambda family: (-counts[family].total(), family))
    return kinds, [(family, [counts[family][kind] for kind in kinds]) for family in order]
