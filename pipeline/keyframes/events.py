"""Actions in an activity curve: the state before, the peak and the state after. Pure.

A question about an action may depend on any of these. A short clip holds one or two actions, and its questions are
mostly about the states: what was where before, what the hand held, what changed. In a long clip they are mostly
about which actions happen at all, and those are visible at their peaks. `docs/decisions.md` says on which clips this
was chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

Floats = NDArray[np.float64]

PROMINENCE = 0.05  # of the normalised curve: how far a peak must rise above the valleys beside it
STATE_SECONDS = 0.8  # how far from an action's peak its states before and after are searched
STATE_WIDTH_SECONDS = 0.3  # how long a state is assumed to be visible (standard deviation)
ROLES = ("start", "contact", "peak", "end", "cover")


@dataclass(frozen=True)
class Event:
    """One action: seconds from the start of the file, and `strength`, the prominence of its peak in [0, 1]."""

    start_seconds: float
    peak_seconds: float
    end_seconds: float
    strength: float


def find_events(score: Floats, pts_seconds: Floats) -> list[Event]:
    """The peaks of `score` (`[T]` in [0, 1]) at `pts_seconds` (`[T]`, increasing), each between its two rests, in
    order of time. The rest is the lowest point of the curve within `STATE_SECONDS` of the peak, on its own side.

    A long action with several peaks becomes several events; a curve without a prominent peak has none.
    """
    if len(score) < 2:
        return []
    floor = float(score.min())
    padded = np.concatenate([[floor], score, [floor]])  # an action may be in progress when the clip begins or ends
    peaks, facts = find_peaks(padded, prominence=PROMINENCE)
    return [
        _event(score, pts_seconds, int(peak), float(height))
        for peak, height in zip(peaks - 1, facts["prominences"], strict=True)
    ]


def _event(score: Floats, pts: Floats, peak: int, strength: float) -> Event:
    first, last = np.searchsorted(pts, [pts[peak] - STATE_SECONDS - 1e-9, pts[peak] + STATE_SECONDS + 1e-9])
    start = int(first) + int(np.argmin(score[first : peak + 1]))
    end = peak + int(np.argmin(score[peak:last]))
    return Event(float(pts[start]), float(pts[peak]), float(pts[end]), min(strength, 1.0))


def contacts(events: Sequence[Event]) -> NDArray[np.bool_]:
    """Which events end in a pause before the next one begins, while the hand stays. `bool [events]`."""
    near = [after.start_seconds - before.end_seconds <= STATE_SECONDS for before, after in pairwise(events)]
    return np.array([*near, False], bool)[: len(events)]


def state_worth(events: Sequence[Event], pts_seconds: Floats) -> Floats:
    """How much each moment shows of a state before or after an action: `float64 [T]` in [0, 1].

    Values add up over events, so the pause between two movements, when the hand is on the object, scores highest.
    The square root of the strength counts, because a weak action is still an action.
    """
    worth = np.zeros(len(pts_seconds))
    for event in events:
        for state in (event.start_seconds, event.end_seconds):
            worth += np.sqrt(event.strength) * np.exp(-(((pts_seconds - state) / STATE_WIDTH_SECONDS) ** 2) / 2)
    most = float(worth.max(initial=0.0))
    return worth / most if most > 0 else worth


def place(pts_seconds: float, events: Sequence[Event]) -> tuple[int, str]:
    """Index of the event that a moment belongs to and its role there; (-1, "cover") outside every event.

    If two events share the moment, the stronger one counts. A pause between two movements is a `contact`.
    """
    inside = [i for i, e in enumerate(events) if e.start_seconds - 0.2 <= pts_seconds <= e.end_seconds + 0.2]
    if not inside:
        return -1, "cover"
    paused = contacts(events)
    best = max(inside, key=lambda i: events[i].strength)
    event = events[best]
    times = {"start": event.start_seconds, "peak": event.peak_seconds, "end": event.end_seconds}
    role = min(times, key=lambda name: abs(times[name] - pts_seconds))
    if (role == "end" and paused[best]) or (role == "start" and best > 0 and paused[best - 1]):
        role = "contact"
    return best, role
