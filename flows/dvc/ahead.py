"""A stage that needs no other starts before its turn, beside the stages that stand before it.

`prepare_model` computes on one core, or downloads, and needs none of the data stages. DVC holds its lock only while it
hashes and records, so `dvc repro` of one stage can run beside that of another. The record is the same in any order.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

from flows.dvc.graph import Graph
from flows.dvc.reproduce import Reasons, StageOutcome, reasons_for, reproduce, run_dvc_repro
from flows.dvc.walk import Walk
from flows.processes.process import OnLine, guarded
from pipeline.provenance import refuse_disagreements


class Ahead:
    """Runs the stages of a walk: those that started ahead by waiting for them, the others by `reproduce`."""

    def __init__(self, graph: Graph, stack: ExitStack, due: dict[str, Reasons]) -> None:
        self.names = frozenset(due)
        self._started = {name: stack.enter_context(_started(graph, name, reasons)) for name, reasons in due.items()}

    def reproduce(self, graph: Graph, stage: str, on_line: OnLine, force: bool = False) -> StageOutcome:
        """As `reproduce`; what a started stage has printed comes first. If one has failed, no other stage starts."""
        failed = next((name for name, started in self._started.items() if started.failed), stage)
        if failed in self._started:
            outcome = self._started.pop(failed).outcome(on_line)
            graph.is_patient = bool(self._started)
            return outcome
        return reproduce(graph, stage, on_line, force)


@contextmanager
def started_ahead(graph: Graph, walk: Walk) -> Iterator[Ahead]:
    """Start what need not wait for its turn. What still runs at the end of the block is ended."""
    with ExitStack() as stack:
        due = _due(graph, walk)
        graph.is_patient = bool(due)
        stack.callback(setattr, graph, "is_patient", False)
        yield Ahead(graph, stack, due)


def _due(graph: Graph, walk: Walk) -> dict[str, Reasons]:
    """Stages that need no other and have to run, if one before them has to run too."""
    due: dict[str, Reasons] = {}
    for number, stage in enumerate(walk.stages[1:], 1):
        if stage.upstream or not (reasons := reasons_for(graph, stage.name, stage.name in walk.forced)):
            continue
        if any(reasons_for(graph, before.name, before.name in walk.forced) for before in walk.stages[:number]):
            due[stage.name] = reasons
    return due


@contextmanager
def _started(graph: Graph, stage: str, reasons: Reasons) -> Iterator["_Started"]:
    with guarded() as token:
        yield _Started(graph, stage, reasons, token)


class _Started:
    """A stage in a thread, and what it prints. Progress bars of the time before its turn are dropped."""

    def __init__(self, graph: Graph, stage: str, reasons: Reasons, token: str) -> None:
        self._graph, self._stage, self._reasons, self._token = graph, stage, reasons, token
        self._lines: SimpleQueue[tuple[str, bool] | None] = SimpleQueue()
        self._has_its_turn = threading.Event()
        self._result: StageOutcome | Exception | None = None  # None while it runs
        threading.Thread(target=self._run, name=f"ahead: {stage}", daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = run_dvc_repro(self._graph, self._stage, self._keep, self._reasons, self._token)
        except Exception as error:
            self._result = error
        finally:
            self._lines.put(None)

    def _keep(self, text: str, is_progress: bool) -> None:
        if self._has_its_turn.is_set() or not is_progress:
            self._lines.put((text, is_progress))

    @property
    def failed(self) -> bool:
        return isinstance(self._result, Exception)

    def outcome(self, on_line: OnLine) -> StageOutcome:
        """Wait for the end of the stage, and pass on what it prints."""
        self._has_its_turn.set()
        while line := self._lines.get():
            on_line(*line)
        if not isinstance(self._result, StageOutcome):
            raise self._result or RuntimeError(f"{self._stage} has no result")
        refuse_disagreements(self._graph.project.root, [self._stage])
        return self._result
