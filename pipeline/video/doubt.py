"""Whether a container's presentation times can be trusted, judged from its packets alone.

A decoder outputs frames in display order. That order is part of the compressed stream, so it is the truth. A
container's times may be invented: AVI has none, and FFmpeg numbers its packets in decode order. They may also be
damaged, for example by a lost or shifted `ctts` table of an MP4.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

NO_PTS = np.iinfo(np.int64).min
MOST_DEPTH = 16  # H.264 and HEVC reorder at most 16 frames

Doubt = Literal["", "gop", "all"]
"""How much must be decoded to see whether the times fit the decoder's output order: nothing more, the whole GOP of
each wanted frame, or the whole file."""


def doubt_of(pts: NDArray[np.int64], dts: NDArray[np.int64], is_discard: NDArray[np.bool_], depth: int) -> Doubt:
    """How much to check, given the times of packets in decode order.

    Args:
        pts: `[N]`, ticks; `NO_PTS` if there is none. `dts` likewise.
        is_discard: `[N]`, packets outside the edit list.
        depth: how many frames the stream shows later than it decodes them, according to its header (0: none).
    """
    if (pts == NO_PTS).any():
        return ""  # it is decoded in full anyway
    own, late = pts[~is_discard], overtaken(pts)
    if late > MOST_DEPTH or ((late or depth) and np.unique(own).size < own.size):
        return "all"
    early = dts != NO_PTS
    promises_more = depth > 0 and late == 0 and len(pts) > 1  # B-frames are announced, but no time is out of order
    return "gop" if late > depth or promises_more or (pts[early] < dts[early]).any() else ""


def overtaken(pts: NDArray[np.int64]) -> int:
    """The largest number of packets that come before a packet and are shown after it, counted up to a window of 32."""
    counts = np.zeros(len(pts), np.int64)
    for back in range(1, min(2 * MOST_DEPTH + 1, len(pts))):
        counts[back:] += pts[:-back] > pts[back:]
    return int(counts.max()) if len(pts) else 0
