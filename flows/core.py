"""One run of the graph inside a flow: lock, parameters, stages, experiment, promotion, summary."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.dvc.ahead import started_ahead
from flows.dvc.experiments import check_name, find_experiment, unsent
from flows.dvc.explain import explained
from flows.dvc.graph import EVALUATE, TRAIN, Graph, Stage
from flows.dvc.lock import LockHolder, project_lock
from flows.dvc.overlay import overlaid
from flows.dvc.project import Project
from flows.dvc.publishing import destination, for_another_machine
from flows.dvc.walk import Walk
from flows.finalize import FinalSteps, finalize_run, is_judged
from flows.preflight import stop_at_preflight
from flows.promotion.sending import is_registry_unsent
from flows.remote.remote_stage import reproduce_on_gpu
from flows.service.crashed import mark_crashed
from flows.stages import StageRun, StageRunner, stage_task
from flows.summary import headline, summary_markdown
from pipeline.params import parse_params

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
TrainOn = Literal["local", "gpu"]

GPU_STAGES = (TRAIN, EVALUATE)  # run on the GPU worker with train_on="gpu"; the rest is CPU work


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked to do; see the parameters of the flow `egovlm`."""

    profile: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    targets: Sequence[str] = ()
    force: bool | Sequence[str] = False
    train_on: TrainOn = "local"
    experiment: str | None = None
    promote: bool = False
    skip_unchanged: bool = False  # do nothing if nothing changed
    unchecked: bool = False  # start even if the preflight check finds a problem
    wait_seconds: float = 0.0  # for another run to release the project


def run_graph(project: Project, request: RunRequest, logger: Logger) -> State[Any]:
    """Run `request` as the current flow run.

    Raises:
        EgovlmError: parameters or project are invalid. (A failed stage does not raise: it is a Failed state.)
        ProjectBusy: another run holds the project.
    """
    check_name(request.experiment)
    with (
        explained(),
        _sole(project, request.wait_seconds, logger),
        overlaid(project, request.profile, request.overrides, parse_params),
        _opened(project) as graph,
    ):
        return _run(graph, request, logger)


@contextmanager
def _sole(project: Project, wait_seconds: float, logger: Logger) -> Iterator[None]:
    def waiting(holder: LockHolder | None) -> None:
        logger.info("waiting: %s holds the project", f"run {holder.run}" if holder else "another run")

    with project_lock(project, str(flow_run.id), wait_seconds, waiting) as dead:
        mark_crashed(dead, logger)
        yield


@contextmanager
def _opened(project: Project) -> Iterator[Graph]:
    graph = Graph(project)
    try:
        yield graph
    finally:
        graph.close()


def _run(graph: Graph, request: RunRequest, logger: Logger) -> State[Any]:
    project = graph.project
    destination(project)  # refuse a missing remote before hours of work, not after
    if request.train_on == "gpu":
        for_another_machine(project)
    walk = Walk(graph, request.targets, request.force)
    if request.skip_unchanged and not walk.forced and nothing_to_do(graph, walk.stages, request.promote):
        return Completed(name="Skipped", message=f"nothing changed in code, params or data; {headline(project)}")
    if walk.new_sources:
        logger.info("%s", walk.new_sources)
    if not request.unchecked:
        elsewhere = GPU_STAGES if request.train_on == "gpu" else ()
        stop_at_preflight(graph, walk.stages, walk.forced, elsewhere, lambda line: logger.warning("%s", line))
    states = run_stages(graph, walk, request.train_on)
    failed = next((state for state in states.values() if not state.is_completed()), None)
    if failed is not None:
        return Failed(message=failed.message)
    outcomes = {name: str(state.name) for name, state in states.items()}
    final = None if request.targets else finalize_run(graph, request.experiment, request.promote, logger)
    return _summed_up(project, outcomes, final)


def nothing_to_do(graph: Graph, stages: Sequence[Stage], promote: bool) -> bool:
    """Whether every stage is up to date and the run that made them was also saved, judged and sent. A run that died
    after its last stage has to be closed by the next one."""
    project = graph.project
    if any(graph.changes(stage.name) for stage in stages):
        return False
    if destination(project) and (unsent(project) or (promote and is_registry_unsent(project))):
        return False
    return find_experiment(project) is not None and (not promote or is_judged(project))


def run_stages(graph: Graph, walk: Walk, train_on: TrainOn) -> dict[str, State[Any]]:
    """Run the stages in turn, what needs no other ahead of its turn, and stop at the first failure."""
    states: dict[str, State[Any]] = {}
    with started_ahead(graph, walk) as ahead:
        for step in walk:
            stage = step.stage
            on_gpu = train_on == "gpu" and stage.name in GPU_STAGES
            run: StageRunner = reproduce_on_gpu if on_gpu else ahead.reproduce
            job = StageRun(graph, stage.name, run, step.forced)
            named = stage_task.with_options(name=stage.name, task_run_name=stage.name)
            upstream = [states[name] for name in stage.upstream if name in states]
            states[stage.name] = named(job, wait_for=upstream, return_state=True)
            if not states[stage.name].is_completed():
                break
    return states


def _summed_up(project: Project, outcomes: Mapping[str, str], final: FinalSteps | None) -> State[Any]:
    notes = final.notes if final else []
    markdown = summary_markdown(project, outcomes, notes)
    create_markdown_artifact(markdown, key="egovlm-summary", description="Result of the run")
    if final and final.failed:
        return Failed(message=f"every stage is finished, but {'; '.join(final.failed)}")
    name = "Cached" if set(outcomes.values()) == {"Cached"} else "Completed"
    return Completed(name=name, message="; ".join([headline(project), *notes]))
