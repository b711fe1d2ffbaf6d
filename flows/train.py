"""Flow `egovlm-train` (deployment `gpu`): one stage of another checkout's working tree, in a separate checkout."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.dvc.explain import explained
from flows.dvc.graph import Graph
from flows.dvc.lock import LockHolder, project_lock
from flows.dvc.overlay import restore
from flows.dvc.project import Project, find_project
from flows.dvc.reproduce import reproduce
from flows.remote.clone import check_out
from flows.remote.remote_stage import pull_inputs
from flows.remote.result import push_result
from flows.service.crashed import Logger, mark_crashed
from flows.stages import StageLines, StageRun, stage_task
from pipeline.errors import EgovlmError

WAIT_SECONDS = 24 * 3600.0


@flow(name="egovlm-train", persist_result=False)
def egovlm_train(commit: str, stage: str, force: bool = False) -> State[str]:
    """Check out `commit`, bring the inputs of `stage` to its dvc.lock, run it, send the result to the DVC remote.

    The final message names the result (`result <digest>`), so that the sender restores exactly this one.

    Args:
        commit: full hash under refs/egovlm/runs of the git remote.
        stage: name of a stage of dvc.yaml.
        force: run it even if this machine has its result.
    """
    logger = get_run_logger()
    try:
        return _train(find_project(), commit, stage, force, logger)
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=str(error))


def _train(project: Project, commit: str, stage: str, force: bool, logger: Logger) -> State[str]:
    def waiting(holder: LockHolder | None) -> None:
        logger.info("waiting: %s holds this checkout", f"run {holder.run}" if holder else "another run")

    with explained(), project_lock(project, str(flow_run.id), WAIT_SECONDS, waiting) as dead:
        mark_crashed(dead, logger)
        restore(project)
        check_out(project, commit)
        graph = Graph(project)
        try:
            return _run(graph, stage, force, logger)
        finally:
            graph.close()


def _run(graph: Graph, stage: str, force: bool, logger: Logger) -> State[str]:
    graph.select([stage])  # refuses an unknown name
    lines = StageLines(graph.project, stage, logger)
    try:
        pull_inputs(graph, stage, lines)
        named = stage_task.with_options(name=stage, task_run_name=stage)
        state: State[Any] = named(StageRun(graph, stage, reproduce, force), return_state=True)
        if not state.is_completed():
            return Failed(message=state.message)
        digest = push_result(graph, stage, lines)
    finally:
        lines.close()
    return Completed(message=f"{stage}: {state.name}, result {digest}")
