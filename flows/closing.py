"""What follows the last stage: the run becomes an experiment, and the gate judges its model."""

import logging

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.experiments import push_experiment, save_experiment
from flows.graph import Graph
from flows.promotion import promote
from pipeline.errors import EgovlmError

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


def close_run(graph: Graph, experiment: str | None, promote_it: bool, logger: Logger) -> list[str]:
    """Save, push and judge; what came of it, as sentences. What fails here fails its task and is said, but takes no
    finished stage back."""
    job = Finished(graph, experiment_name(graph, experiment))
    saved = save(job, return_state=True)
    notes = [saved.message or "saved"]
    if promote_it:
        notes.append(judge_model(job, wait_for=[saved], return_state=True).message or "judged")
    return notes


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
        if not is_new:
            return Completed(name="Cached", message=f"experiment {job.commit[:10]} has these results already")
        has_remote = bool(job.graph.repo.config["core"].get("remote"))
        pushed = push_experiment(job.graph.project, job.name, lambda text, _: logger.info("%s", text), has_remote)
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=str(error))
    return Completed(message=f"experiment {job.name}{' pushed' if pushed else ' saved'}")


@task(name="promotion", task_run_name="promotion", cache_policy=NO_CACHE, persist_result=False)
def judge_model(job: Finished) -> State[None]:
    """The promotion gate. Promoted, Kept, or Failed where it could not tell."""
    logger = get_run_logger()
    try:
        if job.commit is None:
            return Failed(message="not judged: the run is not saved as an experiment")
        verdict = promote(job.graph.project, job.commit)
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=f"not promoted: {error}")
    logger.info("%s", verdict)
    return Completed(name="Promoted" if verdict.promote else "Kept", message=str(verdict))
