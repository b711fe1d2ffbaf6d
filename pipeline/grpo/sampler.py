"""Deterministic order of training questions: a function of the seed, so that a resumed run continues where it
stopped."""

from collections.abc import Iterator
from itertools import count, islice

import torch
from torch.utils.data import Sampler

from pipeline.errors import StageError


def order_of_pass(size: int, seed: int, number: int) -> list[int]:
    """The order of questions in pass `number` over `size` questions."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    order: list[int] = torch.randperm(size, generator=generator).tolist()
    return order


class GroupSampler(Sampler[int]):
    """Row numbers of the dataset for a whole run.

    Each rollout batch holds `prompts` different questions, each `group` times in a row; the batch comes `repeats` times
    (once per forward that uses it). Every pass over the `size` questions has its own order, from `seed` and the
    number of the pass. A remainder that does not fill a batch is skipped.
    """

    def __init__(self, size: int, prompts: int, group: int, repeats: int, batches: int, seed: int) -> None:
        if size < prompts:
            raise StageError(
                f"{size} training questions do not fill a batch of {prompts}: lower train_grpo.prompts_per_step"
            )
        self.size, self.prompts, self.group = size, prompts, group
        self.repeats, self.batches, self.seed = repeats, batches, seed

    def __len__(self) -> int:
        return self.prompts * self.group * self.repeats * self.batches

    def __iter__(self) -> Iterator[int]:
        for batch in islice(self._batches(), self.batches):
            for _ in range(self.repeats):
                yield from (question for question in batch for _ in range(self.group))

    def _batches(self) -> Iterator[list[int]]:
        for number in count():
            order = order_of_pass(self.size, self.seed, number)
            for start in range(0, self.size - self.prompts + 1, self.prompts):
                yield order[start : start + self.prompts]
