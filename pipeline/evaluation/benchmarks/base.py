"""What a benchmark is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.records import Question


@dataclass(frozen=True)
class Benchmark:
    """A set of questions with a name.

    `has` says whether a question belongs to it. `ids` is the key under which a source's `benchmark()` names all of its
    questions, if their number is fixed. Fewer questions make a partial result, which is reported as such. `task` is
    lmms-eval's name of it. `submits` says whether answers are submitted to a server.
    """

    name: str
    has: Callable[[Question], bool]
    ids: str | None = None
    task: str | None = None
    submits: bool = False


def of_source(*names: str) -> Callable[[Question], bool]:
    """Questions whose source is one of `names`, or one of them with a suffix (`egoplan`, `egoplan_val`)."""

    def has(question: Question) -> bool:
        return any(question.source == name or question.source.startswith(f"{name}_") for name in names)

    return has


def select_questions(benchmark: Benchmark, questions: Iterable[Question]) -> list[Question]:
    """The benchmark's questions, by id."""
    return sorted((q for q in questions if benchmark.has(q)), key=lambda q: q.question_id)
