"""What follows the last stage: the run becomes an experiment, and the gate judges its model."""

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

from flows.dvc.experiments import push_experiments, save_experiment, unsent
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.promotion.promote import promote
from pipeline.errors import EgovlmError

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass(frozen=True)
class Closing:
    """What followed the last stage, as sentences: `notes` all of them, `failed` those of what did not work."""

    notes: list[str]
    failed: list[str]


def close_run(graph: Graph, experiment: str | None, promote_it: bool, logger: Logger) -> Closing:
    """Save, push and judge. What fails here fails the run, since somebody has to look, but no finished stage is lost:
    the next run does it again."""
    job = Finished(graph, experiment_name(graph, experiment))
    states: list[State[Any]] = [save(job, return_state=True)]
    if promote_it:
        states.append(judge_model(job, wait_for=states[:1], return_state=True))
    notes = [state.message or str(state.name) for state in states]
    return Closing(notes, [note for note, state in zip(notes, states, strict=True) if not state.is_completed()])


def experiment_name(graph: Graph, experiment: str | None) -> str:
    """`<experiment>-<git sha>-<first of the flow run's id>`: unique, and says where it comes from."""
    run_id = str(flow_run.id or "local")
    return f"{experiment or 'run'}-{graph.project.short_sha()}-{run_id[:8]}"


class Finished:
    """A run whose stages are all finished. Not a dataclass: Prefect would walk into it looking for futures."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name
        self.commit: str | None = None


@task(name="save_experiment", task_run_name="save_experiment", cache_policy=NO_CACHE, persist_result=False)
def save(job: Finished) -> State[None]:
    """Save the run as a DVC experiment and send it to the remotes that are configured."""
    logger = get_run_logger()
    message = f"egovlm {job.name}: flow run {flow_run.id}"
    try:
        job.commit, is_new = save_experiment(job.graph, job.name, message)
        late = unsent(job.graph.project)
        if not is_new and not late:
            return Completed(name="Cached", message=f"experiment {job.commit[:10]} has these results already")
        has_remote = bool(job.graph.repo.config["core"].get("remote"))
        names = [*late, *([job.name] if is_new else [])]
        pushed = push_experiments(job.graph.project, names, lambda text, _: logger.info("%s", text), has_remote)
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=str(error))
    return Completed(message=f"experiment {' '.join(names)}{' pushed' if pushed else ' saved'}")


@task(name="promotion", task_run_name="promotion", cache_policy=NO_CACHE, persist_result=False)
def judge_model(job: Finished) -> State[None]:
    """The promotion gate. Promoted, Kept, or Failed where it could not tell."""
    logger = get_run_logger()
    try:
        if job.commit is None:
            return Failed(message="not judged: the run is not saved as an experiment")
        verdict = promote(job.graph.project, job.commit)
        note_judged(job.graph.project)
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=f"not promoted: {error}")
    logger.info("%s", verdict)
    return Completed(name="Promoted" if verdict.promote else "Kept", message=str(verdict))


def is_judged(project: Project) -> bool:
    """Whether the gate has given its verdict on the results that dvc.lock describes."""
    try:
        return _judged(project).read_bytes() == (project.root / "dvc.lock").read_bytes()
    except OSError:
        return False


def note_judged(project: Project) -> None:
    """Note that the results of dvc.lock have had their verdict."""
    project.private.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(project.root / "dvc.lock", _judged(project))


def _judged(project: Project) -> Path:
    return project.private / "judged.lock"
