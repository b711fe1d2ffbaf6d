"""A cache of arrays, bounded by their bytes."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteLru(Generic[Value]):
    """The most recently used values by key, dropped oldest first.

    Args:
        max_megabytes: bound on all values together (1 MB = 10**6 bytes); one value is always kept, however large.
        size: bytes of a value.
    """

    def __init__(self, max_megabytes: float, size: Callable[[Value], int]) -> None:
        self.max_bytes = int(max_megabytes * 1e6)
        self.bytes = self.hits = self.misses = 0
        self._size = size
        self._held: OrderedDict[str, Value] = OrderedDict()

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """The value of `key`, made if it is not cached."""
        if key in self._held:
            self.hits += 1
            self._held.move_to_end(key)
            return self._held[key]
        self.misses += 1
        value = self._held[key] = make()
        self.bytes += self._size(value)
        while self.bytes > self.max_bytes and len(self._held) > 1:
            self.bytes -= self._size(self._held.popitem(last=False)[1])
        return value
