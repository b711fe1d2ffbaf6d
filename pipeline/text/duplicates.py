"""Near-duplicate texts by MinHash: word shingles, banded signatures, every candidate checked exactly.

Broder 1997, "On the resemblance and containment of documents"; bands as in Leskovec et al., "Mining of Massive
Datasets", section 3.4. Written in numpy because one `datasketch.MinHash` per question would take most of the stage's
time.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.text.options import normalise_text

_PRIME = np.uint64((1 << 31) - 1)  # products of two 31-bit numbers fit 64 bits
_ROWS = 4  # signature rows per band
_BANDS = 16  # at similarity 0.8 a pair is missed with probability (1 - 0.8^4)^16 = 0.0002; at 0.9 with 1e-7


def shingles(text: str, words: int = 3) -> frozenset[str]:
    """Runs of `words` successive words of the normalised text; the whole text if it is shorter."""
    tokens = normalise_text(text).split()
    if len(tokens) <= words:
        return frozenset([" ".join(tokens)])
    return frozenset(" ".join(tokens[i : i + words]) for i in range(len(tokens) - words + 1))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Size of the intersection over size of the union."""
    return len(a & b) / len(a | b)


def near_duplicates(texts: Sequence[str], groups: Sequence[str], similarity: float) -> dict[int, int]:
    """Find texts that repeat an earlier one.

    Args:
        texts: compared by the Jaccard similarity of their shingles.
        groups: only texts of the same group are compared.
        similarity: from this value on, two texts count as one.

    Returns:
        index of a repeated text -> index of the kept text it repeats (always the smaller index, itself kept).
    """
    sets = [shingles(text) for text in texts]
    keys = _band_keys(sets, groups)
    buckets: dict[bytes, list[int]] = {}
    repeats: dict[int, int] = {}
    for index, own in enumerate(keys):
        earlier = sorted({other for key in own for other in buckets.get(key, ())})
        match = next((other for other in earlier if jaccard(sets[other], sets[index]) >= similarity), None)
        if match is not None:
            repeats[index] = match
            continue
        for key in own:
            buckets.setdefault(key, []).append(index)
    return repeats


def near_matches(texts: Sequence[str], references: Sequence[str], similarity: float) -> dict[int, int]:
    """Index of each text that repeats a reference -> index of the first such reference."""
    if not texts or not references:
        return {}
    known, sets = [shingles(text) for text in references], [shingles(text) for text in texts]
    buckets: dict[bytes, list[int]] = {}
    for index, keys in enumerate(_band_keys(known, [""] * len(known))):
        for key in keys:
            buckets.setdefault(key, []).append(index)
    found: dict[int, int] = {}
    for index, keys in enumerate(_band_keys(sets, [""] * len(sets))):
        candidates = sorted({other for key in keys for other in buckets.get(key, ())})
        match = next((other for other in candidates if jaccard(known[other], sets[index]) >= similarity), None)
        if match is not None:
            found[index] = match
    return found


def _band_keys(sets: Sequence[frozenset[str]], groups: Sequence[str]) -> list[list[bytes]]:
    width = _ROWS * 4
    blobs = [row.tobytes() for row in _signatures(sets)]
    return [
        [_key(f"{band}|{group}|".encode() + blob[band * width : (band + 1) * width]) for band in range(_BANDS)]
        for blob, group in zip(blobs, groups, strict=True)
    ]


def _key(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=8).digest()


def _signatures(sets: Sequence[frozenset[str]], chunk: int = 4096) -> NDArray[np.uint32]:
    """MinHash signatures, shape [len(sets), bands x rows]."""
    rng = np.random.default_rng(0)  # the hash functions: part of the method, not of the experiment
    a = rng.integers(1, int(_PRIME), size=_ROWS * _BANDS, dtype=np.uint64)
    b = rng.integers(0, int(_PRIME), size=_ROWS * _BANDS, dtype=np.uint64)
    out = np.empty((len(sets), _ROWS * _BANDS), dtype=np.uint32)
    for start in range(0, len(sets), chunk):
        part = sets[start : start + chunk]
        hashes = np.array([_hash31(s) for one in part for s in one], dtype=np.uint64)
        offsets = np.cumsum([0, *(len(one) for one in part)])[:-1]
        for column in range(_ROWS * _BANDS):
            mixed = (hashes * a[column] + b[column]) % _PRIME
            out[start : start + len(part), column] = np.minimum.reduceat(mixed, offsets)
    return out


def _hash31(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") & 0x7FFFFFFF
