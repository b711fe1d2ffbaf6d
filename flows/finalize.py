"""After the last stage: save the run as an experiment, let the gate judge its model, and send both if asked."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.dvc.experiments import experiment_name, name_of, save_experiment, send_experiments, unsent
from flows.dvc.explain import explained
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.dvc.publishing import destination, sent
from flows.promotion.promote import promote
from flows.promotion.sending import send_registry
from pipeline.errors import EgovlmError

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass(frozen=True)
class FinalSteps:
    """What followed the last stage, as sentences: `notes` all of them, `failed` those of what did not work."""

    notes: list[str]
    failed: list[str]


def finalize_run(graph: Graph, experiment: str | None, promote_it: bool, logger: Logger) -> FinalSteps:
    """Save, judge and send. What fails here fails the run, since somebody has to look, but no finished stage is lost:
    the next run does it again."""
    job = Finished(graph, experiment_name(experiment, str(flow_run.id or "local")))
    states: list[State[Any]] = [save(job, return_state=True)]
    if promote_it:
        states.append(judge_model(job, wait_for=states[:1], return_state=True))
    if job.to is None:
        logger.info("nothing is sent: `publish` in params.yaml names no remote")
    else:
        states.append(publish(job, wait_for=states[-1:], return_state=True))
    notes = [state.message or str(state.name) for state in states]
    return FinalSteps(notes, [note for note, state in zip(notes, states, strict=True) if not state.is_completed()])


class Finished:
    """A run whose stages are all finished. Not a dataclass, because Prefect searches dataclasses for futures."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name
        self.commit: str | None = None
        self.is_new = False
        self.judged = False
        self.to = destination(graph.project)


@task(name="save_experiment", task_run_name="save_experiment", cache_policy=NO_CACHE, persist_result=False)
def save(job: Finished) -> State[None]:
    """Save the run as a DVC experiment on this machine."""
    logger = get_run_logger()
    try:
        with explained():
            job.commit, job.is_new = save_experiment(job.graph, job.name, f"egovlm {job.name}: flow run {flow_run.id}")
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=str(error))
    if not job.is_new:
        known = name_of(job.graph.project, job.commit)
        return Completed(name="Cached", message=f"experiment {known} already has these results")
    return Completed(message=f"experiment {job.name} saved{'' if job.to else ', on this machine only'}")


@task(name="promotion", task_run_name="promotion", cache_policy=NO_CACHE, persist_result=False)
def judge_model(job: Finished) -> State[None]:
    """The promotion gate. Promoted, Kept, or Failed if it could not decide."""
    logger = get_run_logger()
    try:
        if job.commit is None:
            return Failed(message="not judged: the run is not saved as an experiment")
        with explained():
            verdict = promote(job.graph.project, job.commit, logger.info)
        job.judged = True
        note_judged(job.graph.project)
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=f"not promoted: {error}")
    logger.info("%s", verdict)
    return Completed(name="Promoted" if verdict.promote else "Kept", message=str(verdict))


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish(job: Finished) -> State[None]:
    """Send the new experiment, anything a remote refused before, and the registry's tags to where `publish` says."""
    logger = get_run_logger()
    project, to = job.graph.project, job.to
    assert to is not None  # noqa: S101 - the task is not started without
    try:
        names = [*unsent(project), *([job.name] if job.is_new else [])]
        refs = send_experiments(project, names, to, lambda text, _: logger.info("%s", text))
        refs += send_registry(project, to.git_remote) if job.judged else []
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=f"not sent: {error}")
    told = sent(refs, to)
    logger.info("%s", told)
    return Completed(name="Completed" if refs else "Cached", message=told)


def is_judged(project: Project) -> bool:
    """Whether the gate has already judged the results that dvc.lock describes."""
    try:
        return _judged(project).read_bytes() == (project.root / "dvc.lock").read_bytes()
    except OSError:
        return False


def note_judged(project: Project) -> None:
    """Record that the results in dvc.lock have been judged."""
    project.private.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(project.root / "dvc.lock", _judged(project))


def _judged(project: Project) -> Path:
    return project.private / "judged.lock"
