"""The tiny base from words to policy: tokenizer, fresh weights, phases of training."""

import re
from collections.abc import Callable, Iterable, Sequence

from pipeline.models.families.family import Family
from pipeline.models.policy import Policy, make_policy
from pipeline.tiny_base.model import build_model
from pipeline.tiny_base.pretrain import Example, Schedule, pretrain
from pipeline.tiny_base.recipe import Phase, TinyShape
from pipeline.tiny_base.tokenizer import build_tokenizer


def new_policy(family: Family, shape: TinyShape, texts: Iterable[str], seed: int) -> Policy:
    """A policy with fresh weights whose tokenizer knows the words of `texts` and of the family's time stamps."""
    tokenizer = build_tokenizer([*texts, _SPECIAL.sub("", family.video_text([0.5], 1))])
    return make_policy(build_model(family, shape, tokenizer, seed), tokenizer)


_SPECIAL = re.compile(r"<\|\w+\|>")
Draw = Callable[[str, Phase, int], Sequence[Example]]


MOST_LESSONS = 3
"""How often a phase is taught at most; see `Phase.repeat_below`."""


def train_phase(policy: Policy, name: str, phase: Phase, steps: int, draw: Draw) -> dict[str, float]:
    """Train one phase for at most `steps`, and again while it is not learned; `draw(name, phase, step)` gives its
    examples.

    Returns the steps taken, and over the last ten the mean loss and the exact matches: the part of examples
    that greedy decoding would write word for word.
    """
    policy.model.model.visual.requires_grad_(not phase.freeze_vision)
    taken: list[tuple[float, float]] = []
    for lesson in range(1, MOST_LESSONS + 1):
        taken += _teach(policy, name if lesson == 1 else f"{name}, {lesson}", phase, steps, draw)
        loss, exact = (sum(column) / len(column) for column in zip(*taken[-10:], strict=True))
        if phase.repeat_below is None or exact >= phase.repeat_below:
            break
    policy.model.model.visual.requires_grad_(True)
    return {"steps": len(taken), "loss": round(loss, 4), "exact_match": round(exact, 4)}


def _teach(policy: Policy, name: str, phase: Phase, steps: int, draw: Draw) -> list[tuple[float, float]]:
    """The phase once, from its full learning rate on: loss and exact matches of each step."""
    schedule = Schedule(name, steps, phase.learning_rate, phase.focal_gamma, phase.stop_at_exact_match, phase.steady)
    return pretrain(policy, lambda step: draw(name, phase, step), schedule)
