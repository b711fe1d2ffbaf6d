"""Random numbers that depend only on a seed and a name: not on order, process, platform hash or worker count."""

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator for one purpose, such as `stream(0, "train_7", "camera")`."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")))


def balanced(seed: int, index: int, size: int, *names: str | int) -> int:
    """Choice number `index` of a sequence over `range(size)` in which every block of `size` contains each value once.

    This balances answers and letters exactly for any number of videos, without state.
    """
    block, place = divmod(index, size)
    return int(stream(seed, *names, block).permutation(size)[place])
