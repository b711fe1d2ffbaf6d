"""The tiny base from words to policy: tokenizer, fresh weights, the courses it takes."""

from collections.abc import Callable, Iterable, Sequence

from pipeline.models.policy import Policy, make_policy
from pipeline.models.tiny_model import build_model
from pipeline.models.tiny_pretrain import Course, Lesson, teach
from pipeline.models.tiny_tokenizer import build_tokenizer
from pipeline.params import TinyPhase, TinyShape


def new_policy(shape: TinyShape, texts: Iterable[str], seed: int) -> Policy:
    """An untaught policy whose tokenizer knows the words of `texts`."""
    tokenizer = build_tokenizer(texts)
    return make_policy(build_model(shape, tokenizer, seed), tokenizer)


Draw = Callable[[str, TinyPhase, int], Sequence[Lesson]]


def take_course(policy: Policy, name: str, phase: TinyPhase, draw: Draw) -> dict[str, float]:
    """Teach one phase; `draw(name, phase, step)` gives its lessons. Returns the steps taken and the loss at the end."""
    course = Course(name, phase.steps, phase.learning_rate, phase.enough_loss)
    losses = teach(policy, lambda step: draw(name, phase, step), course)
    tail = losses[-10:]
    return {"steps": len(losses), "loss": round(sum(tail) / len(tail), 4)}
