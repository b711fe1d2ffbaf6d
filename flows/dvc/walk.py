"""The order of a run: which stages run, and which of them are forced. `make run` and the flow both use it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from flows.dvc.changes import note_sources, read_sources, sources_changed
from flows.dvc.graph import DOWNLOAD, Graph, Stage


@dataclass(frozen=True)
class Step:
    """One stage of a walk: the `number`th of `total`."""

    stage: Stage
    forced: bool
    number: int
    total: int


class Walk:
    """The stages of one run, decided before the first of them starts.

    Args:
        targets: stages to bring up to date, with what they need; all if empty.
        force: True to run all of them even if nothing changed, or the names of those to force.

    Raises:
        ParamsError: a target or a name is not a stage.
    """

    def __init__(self, graph: Graph, targets: Collection[str], force: bool | Collection[str]) -> None:
        self.project = graph.project
        self.stages = graph.select(targets)
        self.new_sources = sources_changed(self.project)  # a sentence; None if no source has new files
        # as of now; files that arrive during the run belong to the next one
        self._listings = read_sources(self.project)
        forced = [stage.name for stage in graph.stages] if force is True else list(force or ())
        if forced:
            graph.select(forced)
        self.forced = frozenset([*forced, *([DOWNLOAD] if self.new_sources else [])])

    def __iter__(self) -> Iterator[Step]:
        """Each stage in turn. Asking for the next one means that the last one is up to date; after a failure, do not
        ask."""
        for number, stage in enumerate(self.stages, 1):
            yield Step(stage, stage.name in self.forced, number, len(self.stages))
            if stage.name == DOWNLOAD:
                note_sources(self.project, self._listings)
