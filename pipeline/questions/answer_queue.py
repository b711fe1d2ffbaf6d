"""A queue of answers from which any position can be removed, and which knows the most common remaining answers."""

import heapq
from collections.abc import Iterator, Sequence

_TRIES = 32  # how many positions of the same answer are offered


class Queue:
    """Positions 0, 1, ... of `answers`. All steps are O(1), except O(log n) for those on the heap of counts.

    >>> queue = Queue(["cup", "pan", "cup"])
    >>> queue.remove(0)
    >>> queue.first(), list(queue.after(1, 10)), queue.due(1)
    (1, [2], ['cup', 'pan'])
    """

    def __init__(self, answers: Sequence[str]) -> None:
        self.remaining = len(answers)
        self._answers = answers
        self._end = len(answers)
        self._next: list[int] = [*range(1, len(answers) + 1), 0]  # the last entry stands for both ends
        self._before: list[int] = [len(answers), *range(len(answers))]
        self._gone = [False] * len(answers)
        self._places: dict[str, list[int]] = {}
        for place in range(len(answers) - 1, -1, -1):  # the last of a list is the first in the queue
            self._places.setdefault(answers[place], []).append(place)
        self._counts = {answer: len(places) for answer, places in self._places.items()}
        self._heap = [(-count, answer) for answer, count in self._counts.items()]
        heapq.heapify(self._heap)

    def first(self) -> int:
        """The first remaining position."""
        return self._next[self._end]

    def after(self, place: int, reach: int) -> Iterator[int]:
        """The next `reach` positions after a remaining one."""
        for _ in range(reach):
            place = self._next[place]
            if place == self._end:
                return
            yield place

    def places_of(self, answer: str) -> Iterator[int]:
        """The first few remaining positions with this answer."""
        places = self._places[answer]
        while places and self._gone[places[-1]]:
            places.pop()
        return (place for place in places[: -_TRIES - 1 : -1] if not self._gone[place])

    def due(self, count: int) -> list[str]:
        """The answers that remain at least `count` times, the most common first."""
        found = []
        while self._heap and -self._heap[0][0] >= count:
            standing, answer = heapq.heappop(self._heap)
            if -standing == self._counts[answer]:
                found.append((standing, answer))
        for entry in found:
            heapq.heappush(self._heap, entry)
        return [answer for _, answer in found]

    def remove(self, place: int) -> None:
        """Remove a position."""
        self._gone[place] = True
        self._next[self._before[place]] = self._next[place]
        self._before[self._next[place]] = self._before[place]
        self.remaining -= 1
        answer = self._answers[place]
        self._counts[answer] -= 1
        heapq.heappush(self._heap, (-self._counts[answer], answer))
