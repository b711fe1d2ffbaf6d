"""The tiny base from words to policy: tokenizer, fresh weights, the courses it takes."""

from collections.abc import Callable, Iterable, Sequence

from pipeline.models.policy import Policy, make_policy
from pipeline.tiny_base.model import build_model
from pipeline.tiny_base.pretrain import Course, Lesson, teach
from pipeline.tiny_base.tokenizer import build_tokenizer
from pipeline.tiny_params import TinyPhase, TinyShape


def new_policy(shape: TinyShape, texts: Iterable[str], seed: int) -> Policy:
    """An untaught policy whose tokenizer knows the words of `texts`."""
    tokenizer = build_tokenizer(texts)
    return make_policy(build_model(shape, tokenizer, seed), tokenizer)


Draw = Callable[[str, TinyPhase, int], Sequence[Lesson]]


def take_course(
    policy: Policy, name: str, phase: TinyPhase, draw: Draw, accuracy: Callable[[], float]
) -> dict[str, float]:
    """Teach one phase; `draw(name, phase, step)` gives its lessons, `accuracy()` the policy's greedy accuracy (0 to 1),
    asked only where the phase has an `accuracy_at_most`.

    Returns the steps taken, and over the last ten the mean loss and the part of lessons written word for word.
    """
    bound = phase.accuracy_at_most
    until = None if bound is None else lambda: accuracy() <= bound
    course = Course(name, phase.steps, phase.learning_rate, phase.focus, phase.enough_right, until)
    steps = teach(policy, lambda step: draw(name, phase, step), course)
    tail = steps[-10:]
    loss, right = (sum(column) / len(tail) for column in zip(*tail, strict=True))
    return {"steps": len(steps), "loss": round(loss, 4), "right": round(right, 4)}
