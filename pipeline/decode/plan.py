"""The packet plan: which packets must be decoded to see the wanted frames. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.video.index import PacketIndex


def packet_ranges(index: PacketIndex, wanted_pts: NDArray[np.int64]) -> list[range]:
    """Disjoint ranges of packet numbers, in decode order, that hold everything the wanted frames depend on.

    A frame needs the packets from an I-frame up to its own. The I-frame must come no later than the frame in decode
    order *and* in presentation order. A frame that is decoded after an I-frame but shown before it (a leading frame
    of an open GOP) references the previous GOP.

    If the times are in doubt, a range extends to the next I-frame, since a whole GOP reveals its own order.

    Args:
        wanted_pts: `[n]`, ticks; each is the pts of a shown packet.
    """
    shown = np.flatnonzero(~index.is_discard)
    by_pts = shown[np.argsort(index.pts[shown], kind="stable")]
    own = by_pts[np.searchsorted(index.pts[by_pts], wanted_pts)]
    iframes = np.flatnonzero(index.is_iframe)
    ends = np.append(iframes, len(index))[np.searchsorted(iframes, own, side="right")] - 1 if index.doubt else own
    spans = [(_start(index, iframes, int(packet)), int(end)) for packet, end in zip(own, ends, strict=True)]
    return _merge(sorted(spans))


def _start(index: PacketIndex, iframes: NDArray[np.int64], packet: int) -> int:
    usable = iframes[(iframes <= packet) & (index.pts[iframes] <= index.pts[packet])]
    return int(usable[-1]) if usable.size else 0


def _merge(spans: Sequence[tuple[int, int]]) -> list[range]:
    """Join spans (first, last) that share packets; `spans` is sorted."""
    ranges: list[range] = []
    for first, last in spans:
        if ranges and first < ranges[-1].stop:
            ranges[-1] = range(ranges[-1].start, max(ranges[-1].stop, last + 1))
        else:
            ranges.append(range(first, last + 1))
    return ranges
