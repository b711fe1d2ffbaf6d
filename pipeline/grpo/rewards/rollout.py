"""What a reward sees: one completion in its context."""

from dataclasses import dataclass
from functools import cached_property

from pipeline.answers.parser import parse_answer
from pipeline.grpo.samples import Sample
from pipeline.train_params import RewardSettings


@dataclass(frozen=True)
class Rollout:
    """A completion of a sample: its text, its length in tokens, whether it ended by itself, and the accuracy of its
    whole group. Also that on shuffled frames, and whether the right option is chosen again after its thinking (both
    None if not requested)."""

    text: str
    tokens: int
    finished: bool
    sample: Sample
    settings: RewardSettings
    group_accuracy: float = 0.0
    shuffled_accuracy: float | None = None
    reasked_right: bool | None = None

    @cached_property
    def correct(self) -> bool:
        """Whether the one parser reads the right option."""
        return parse_answer(self.text, self.sample.options).option == self.sample.answer
