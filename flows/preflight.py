"""The cheap part first: a run that cannot be finished here is refused before its first stage, not after days."""

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
    """Look at params, files and machine as far as stages that would run need them; doubts are said.

    Args:
        graph: the project's.
        stages: what the run brings up to date, in order.
        forced: stages that run even if nothing changed.
        elsewhere: stages that another machine does: this one need not have what they need.
        say: takes a line.

    Raises:
        StageError: something stands in the way of a stage that would run.
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
            f"this run cannot be finished here: {'; '.join(f'{f.name}: {f.found}' for f in against)} (`egovlm doctor` "
            "says what to do about each; --unchecked starts it all the same)"
        )
    for finding in found:
        if finding.state == "warn":
            say(f"note: {_told(finding)}")


def _takes_seconds(params: Params) -> bool:
    """A hub model is looked at by libraries that take seconds to import; a run with nothing to do takes less."""
    return params.prepare_model.recipe == "hub"


def _to_run(graph: Graph, stages: Sequence[Stage], forced: Collection[str]) -> list[str]:
    """Names of the stages from the first on that would run: what comes after it will most likely run too."""
    names = [stage.name for stage in stages]
    first = next((i for i, name in enumerate(names) if name in forced or graph.changes(name)), len(names))
    return names[first:]


def _told(finding: Finding) -> str:
    return f"{finding.name}: {finding.found}" + (f" -> {finding.mend}" if finding.mend else "")
