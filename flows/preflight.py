"""Cheap checks first: a run that cannot finish here is refused before its first stage, not after days."""

from collections.abc import Callable, Collection, Sequence

from flows.dvc.graph import Graph, Stage
from pipeline.errors import StageError
from pipeline.params import Params, load_params
from pipeline.preflight.check import preflight
from pipeline.preflight.findings import Finding


def stop_at_preflight(
    graph: Graph,
    stages: Sequence[Stage],
    forced: Collection[str],
    elsewhere: Collection[str],
    say: Callable[[str], object],
) -> None:
    """Check params, files and machine as far as the stages that would run need them; doubts are printed.

    Args:
        graph: the project's graph.
        stages: those the run brings up to date, in order.
        forced: those that run even if nothing changed.
        elsewhere: those that another machine runs; this one need not have what they need.
        say: called with each line.

    Raises:
        StageError: a stage that would run cannot finish here.
    """
    root = graph.project.root
    params = load_params(root / "params.yaml")
    if _takes_seconds(params) and not _to_run(graph, stages, forced):
        return
    found = preflight(params, root)
    against = [f for f in found if f.state == "fail" and not (f.is_of_machine and set(f.stages) <= set(elsewhere))]
    waiting = _to_run(graph, stages, forced) if against else []
    against = [finding for finding in against if set(finding.stages) & set(waiting)]
    if against:
        raise StageError(
            f"this run cannot finish here: {'; '.join(f'{f.name}: {f.found}' for f in against)} (`egovlm doctor` "
            "says how to fix each; --unchecked starts it anyway)"
        )
    for finding in found:
        if finding.state == "warn":
            say(f"note: {_told(finding)}")


def _takes_seconds(params: Params) -> bool:
    """Checking a hub model needs libraries that take seconds to import; a run with nothing to do takes less."""
    return params.prepare_model.recipe == "hub"


def _to_run(graph: Graph, stages: Sequence[Stage], forced: Collection[str]) -> list[str]:
    """Names of the first stage that would run and all after it: those will most likely run too."""
    names = [stage.name for stage in stages]
    first = next((i for i, name in enumerate(names) if name in forced or graph.changes(name)), len(names))
    return names[first:]


def _told(finding: Finding) -> str:
    return f"{finding.name}: {finding.found}" + (f" -> {finding.mend}" if finding.mend else "")
