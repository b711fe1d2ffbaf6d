"""A rollout batch before the loss: completions of each question, their accuracy, and which questions are replaced.

Groups whose answers are all right or all wrong have no advantage in accuracy and teach nothing but format. They are
recognised by accuracy alone: by the summed reward, a group of wrong answers in different formats would pass (as in
EasyR1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipeline.answers.parser import parse_answer
from pipeline.grpo.samples import Sample
from pipeline.models.generate import Completion

Roll = Callable[[Sequence[Sample]], list[list[Completion]]]


@dataclass(frozen=True)
class Group:
    """A sample and its G completions."""

    sample: Sample
    completions: Sequence[Completion]

    @cached_property
    def correct(self) -> list[bool]:
        """Whether each completion's answer is right."""
        return [parse_answer(c.text, self.sample.options).option == self.sample.answer for c in self.completions]

    @property
    def accuracy(self) -> float:
        """Share of right completions."""
        return sum(self.correct) / len(self.completions)

    @property
    def informative(self) -> bool:
        """Whether some answers are right and some are not."""
        return 0 < self.accuracy < 1


def plan_groups(
    batch: Sequence[Sample], spare: Sequence[Sample], rounds: int, roll: Roll
) -> tuple[list[Group], list[Group]]:
    """Groups for a batch, and the ones that were replaced.

    In each of up to `rounds` rounds, the next `spare` samples replace groups that are not informative; a spare group
    that is no better is dropped as well. Groups that are still not informative at the end stay, so that the batch
    keeps its size.
    """
    groups = [Group(s, c) for s, c in zip(batch, roll(batch), strict=True)]
    used = {s.question_id for s in batch}
    fresh = iter([s for s in spare if s.question_id not in used])
    replaced: list[Group] = []
    for _ in range(rounds):
        empty = [i for i, group in enumerate(groups) if not group.informative]
        tried = [sample for _, sample in zip(empty, fresh, strict=False)]
        if not tried:
            break
        for sample, completions in zip(tried, roll(tried), strict=True):
            group = Group(sample, completions)
            if group.informative:
                place = empty.pop(0)
                replaced.append(groups[place])
                groups[place] = group
            else:
                replaced.append(group)
    return groups, replaced
