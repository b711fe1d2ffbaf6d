"""Actions in an activity curve: the state before, the peak and the state after. Pure.

A question about an action may turn on any of these. In a short clip, which holds one action or two, it mostly turns on
the states: what lay where before, what the hand held, what changed. In a long clip it mostly turns on which actions
happen at all, and those are seen at their peaks. `docs/decisions.md` says on which clips this was chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

Floats = NDArray[np.float64]

PROMINENCE = 0.05  # of the normalised curve: how far a peak must rise above the valleys beside it
STATE_SECONDS = 0.8  # the states before and after an action are looked for so far from its peak
STATE_WIDTH_SECONDS = 0.3  # how long a state is taken to be visible (standard deviation)
ROLES = ("start", "contact", "peak", "end", "cover")


@dataclass(frozen=True)
class Event:
    """One action: seconds from the start of the file, and `strength`, the prominence of its peak in [0, 1]."""

    start_seconds: float
    peak_seconds: float
    end_seconds: float
    strength: float


def find_events(score: Floats, pts_seconds: Floats) -> list[Event]:
    """The peaks of `score` (`[T]` in [0, 1]) at `pts_seconds` (`[T]`, increasing), each between its two rests; in order
    of time. The rest is the lowest point of the curve within `STATE_SECONDS` of the peak, on its own side.

    A long action has several peaks and so several events; a curve without a prominent peak has none.
    """
    if len(score) < 2:
        return []
    floor = float(score.min())
    padded = np.concatenate([[floor], score, [floor]])  # an action may be under way when the clip begins or ends
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
    """Which events end in a pause before the next one begins: the hand has come and has not left. `bool [events]`."""
    near = [after.start_seconds - before.end_seconds <= STATE_SECONDS for before, after in pairwise(events)]
    return np.array([*near, False], bool)[: len(events)]


def state_worth(events: Sequence[Event], pts_seconds: Floats) -> Floats:
    """How much each moment shows of a state before or after an action: `float64 [T]` in [0, 1].

    Adds up over events, so the pause between two movements, where the hand is on the object, is worth most. The root
    of the strength counts: a weak action is still an action.
    """
    worth = np.zeros(len(pts_seconds))
    for event in events:
        for state in (event.start_seconds, event.end_seconds):
            worth += np.sqrt(event.strength) * np.exp(-(((pts_seconds - state) / STATE_WIDTH_SECONDS) ** 2) / 2)
    most = float(worth.max(initial=0.0))
    return worth / most if most > 0 else worth


def place(pts_seconds: float, events: Sequence[Event]) -> tuple[int, str]:
    """Index of the event that a moment belongs to and its role there; (-1, "cover") outside every event.

    Of two events that share the moment the stronger one counts. A pause between two movements is a `contact`.
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
