"""Leaks found by what frames show, for videos whose recording is unknown.

Two clips look alike if at least half of one's non-blank frames have a near twin in the other, as they are or
mirrored. A near twin differs in few bits of a perceptual hash. Candidates share 16 bits in one place; every
candidate is compared exactly. A copy that begins or ends elsewhere is found only if its frames still show similar
pictures.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipeline.checks.clips import ClipLook
from pipeline.checks.leakage import Leak
from pipeline.records import Question

MOST_BITS = 8  # of 64; JPEG at quality 30, half size and 10 % more light change at most 6 (see the tests)
SHARE = 0.5
_MASK = 0xFFFF


def find_lookalikes(
    training: Sequence[Question], evaluation: Iterable[Question], looks: Mapping[str, ClipLook]
) -> list[Leak]:
    """The rows of `training` whose clip looks like an evaluation clip, in the order given; `looks` by clip id."""
    known = {q.clip_id for q in evaluation if q.clip_id in looks}
    index = _index(known, looks)
    found: dict[str, str | None] = {}
    for clip_id in {q.clip_id for q in training if q.clip_id in looks}:
        for own in (looks[clip_id].hashes, looks[clip_id].mirrored):
            near = sorted({other for key in _keys(own) for other in index.get(key, ())})
            found[clip_id] = found.get(clip_id) or next((o for o in near if alike(own, looks[o].hashes)), None)
    matches = [(q, found.get(q.clip_id)) for q in training]
    return [Leak(q.question_id, q.source, "frames", other) for q, other in matches if other is not None]


def alike(own: Sequence[int], other: Sequence[int]) -> bool:
    """Whether at least half of `own`'s hashes have a near twin in `other`."""
    if not own or not other:
        return False
    a, b = np.array(own, dtype=np.uint64), np.array(other, dtype=np.uint64)
    nearest = np.bitwise_count(a[:, None] ^ b[None, :]).min(axis=1)
    return bool((nearest <= MOST_BITS).mean() >= SHARE)


def _index(clips: Iterable[str], looks: Mapping[str, ClipLook]) -> dict[tuple[int, int], set[str]]:
    index: dict[tuple[int, int], set[str]] = {}
    for clip_id in clips:
        for key in _keys(looks[clip_id].hashes):
            index.setdefault(key, set()).add(clip_id)
    return index


def _keys(hashes: Iterable[int]) -> list[tuple[int, int]]:
    return [(band, (value >> (16 * band)) & _MASK) for value in hashes for band in range(4)]
