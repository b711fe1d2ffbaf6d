"""The tiny base from words to policy: tokenizer, fresh weights, phases of training."""

from collections.abc import Callable, Iterable, Sequence

from pipeline.models.policy import Policy, make_policy
from pipeline.tiny_base.model import build_model
from pipeline.tiny_base.pretrain import Example, Schedule, pretrain
from pipeline.tiny_base.recipe import Phase, TinyShape
from pipeline.tiny_base.tokenizer import build_tokenizer


def new_policy(shape: TinyShape, texts: Iterable[str], seed: int) -> Policy:
    """A policy with fresh weights whose tokenizer knows the words of `texts`."""
    tokenizer = build_tokenizer(texts)
    return make_policy(build_model(shape, tokenizer, seed), tokenizer)


Draw = Callable[[str, Phase, int], Sequence[Example]]


def train_phase(
    policy: Policy, name: str, phase: Phase, steps: int, draw: Draw, accuracy: Callable[[], float]
) -> dict[str, float]:
    """Train one phase for at most `steps`; `draw(name, phase, step)` gives its examples.

    `accuracy()` is the policy's greedy accuracy (0 to 1) in its best family, measured only if the phase has a
    `stop_at_accuracy`.

    Returns the steps taken, and over the last ten the mean loss and the exact matches: the part of examples
    that greedy decoding would write word for word.
    """
    bound = phase.stop_at_accuracy
    until = None if bound is None else lambda: accuracy() <= bound
    schedule = Schedule(name, steps, phase.learning_rate, phase.focal_gamma, phase.stop_at_exact_match, until)
    policy.model.model.visual.requires_grad_(not phase.freeze_vision)
    taken = pretrain(policy, lambda step: draw(name, phase, step), schedule)
    policy.model.model.visual.requires_grad_(True)
    tail = taken[-10:]
    loss, exact = (sum(column) / len(tail) for column in zip(*tail, strict=True))
    return {"steps": len(taken), "loss": round(loss, 4), "exact_match": round(exact, 4)}
