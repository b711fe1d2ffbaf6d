"""Key times named in a completion, and how well they match the true ones. Imports no torch.

The score is a soft F1: named and true times are paired one to one so that the sum of exp(-d^2 / 2 sigma^2) over the
pairs is largest. A sum of Gaussians to the *nearest* key time would be maximised by one safe time, or by naming
every frame. Here a second named time near the same true time earns nothing and costs precision. An answer that names
more than `max_count` times scores 0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.answers.completions import element_tags, last_element, visible_text

_TAGS = element_tags("keyframes")
_NUMBER = re.compile(r"[0-9]{1,7}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")
_SEPARATORS = re.compile(r"[\s,;\[\]()]+")


def parse_keyframes(completion: str) -> list[float] | None:
    """Seconds named in the last `<keyframes>…</keyframes>` outside the thinking, in the order written.

    None if there is no such element, or if any part of it is not a plain number (`2.5`, `2.5s`): a half-readable
    list is not an answer. An empty element is an empty list.
    """
    found = last_element(visible_text(completion), _TAGS)
    if found is None:
        return None
    pieces = [
        piece for piece in _SEPARATORS.split(found[1]) if piece and piece.casefold() not in ("s", "seconds", "sec")
    ]
    values = [_NUMBER.fullmatch(piece.removesuffix("s")) for piece in pieces]
    return [float(value.group()) for value in values if value] if all(values) else None


@dataclass(frozen=True)
class KeyframeScore:
    """Soft precision, recall and F1 in [0, 1]; `matched` is the sum of the pairs' closeness."""

    precision: float
    recall: float
    f1: float
    matched: float


_NONE = KeyframeScore(0.0, 0.0, 0.0, 0.0)


Target = float | tuple[float, float]  # an instant, or start and end of an event; any time within it is a hit


def match_keyframes(
    named: Sequence[float] | None, truth: Sequence[Target], sigma_seconds: float, max_count: int
) -> KeyframeScore:
    """Score `named` against `truth` (seconds, same origin) with a one-to-one Gaussian match.

    A time within an event is at distance 0 from it, so precision and recall mean the same for both kinds of target.

    `named` None or empty scores 0, and so does naming more than `max_count` times (or more than the true ones, if
    those are more).

    Raises:
        ValueError: `truth` is empty (there is nothing to score against) or `sigma_seconds` is not positive.
    """
    if not truth or sigma_seconds <= 0:
        raise ValueError(
            f"expected at least one true key time and a positive sigma, found {list(truth)}, {sigma_seconds}"
        )
    if not named or len(named) > max(max_count, len(truth)):
        return _NONE
    matched = _best_match(np.asarray(named, float), _spans(truth), sigma_seconds)
    total = len(named) + len(truth)
    return KeyframeScore(matched / len(named), matched / len(truth), 2 * matched / total, matched)


def _spans(truth: Sequence[Target]) -> np.ndarray:
    """`float64 [targets, 2]`: start and end, equal for an instant."""
    return np.array([target if isinstance(target, tuple) else (target, target) for target in truth], float)


def _best_match(named: np.ndarray, spans: np.ndarray, sigma_seconds: float) -> float:
    from scipy.optimize import linear_sum_assignment

    before, after = spans[None, :, 0] - named[:, None], named[:, None] - spans[None, :, 1]
    closeness = np.exp(-0.5 * (np.maximum(np.maximum(before, after), 0.0) / sigma_seconds) ** 2)
    rows, columns = linear_sum_assignment(closeness, maximize=True)
    return float(closeness[rows, columns].sum())


def soft_f1(named: Sequence[float] | None, truth: Sequence[Target], sigma_seconds: float, max_count: int) -> float:
    """The F1 of `match_keyframes`: 1 for the true times, 0 for none or too many."""
    return match_keyframes(named, truth, sigma_seconds, max_count).f1


def frame_spacing(pts_seconds: Sequence[float]) -> float:
    """Median distance of neighbouring frames in seconds: the resolution of any time that a model can name.

    Raises:
        ValueError: fewer than two frames.
    """
    if len(pts_seconds) < 2:
        raise ValueError("the spacing of fewer than two frames is undefined")
    return float(np.median(np.diff(np.asarray(pts_seconds, float))))
