"""Flow `egovlm-retrain` (deployment `nightly`): the graph on a schedule, if something changed and no other run is
active."""

import time
from dataclasses import replace
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.core import Logger, RunRequest, TrainOn, run_graph
from flows.dvc.errors import ProjectBusy
from flows.dvc.lock import end_holder, read_holder, silent_seconds
from flows.dvc.project import Project, find_project
from flows.full import run_name
from pipeline.errors import EgovlmError

AFTER_END_SECONDS = 30.0  # wait for the lock of a stuck run after ending it


@flow(name="egovlm-retrain", flow_run_name=lambda: f"retrain-{run_name()}", persist_result=False)
def egovlm_retrain(
    profile: str | None = None,
    overrides: dict[str, Any] | None = None,
    train_on: TrainOn = "local",
    promote: bool = True,
    stuck_minutes: float = 180.0,
) -> State[Any]:
    """Retrain if code, params or data changed; a better model becomes the champion.

    It skips if nothing changed or another run is active; its message gives the reason. It never waits for another
    run, so slow nights do not pile up. Training that a dead worker left unfinished resumes from its checkpoint.

    Args:
        profile: apply profiles/<profile>.yaml to this run only.
        overrides: values of params.yaml for this run by dotted key.
        train_on: `local` or `gpu`.
        promote: let the promotion gate judge the result.
        stuck_minutes: a run without output for this long is ended, and this one replaces it.
    """
    logger = get_run_logger()
    started = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    request = RunRequest(
        profile, overrides or {}, (), False, train_on, f"retrain-{started}", promote, skip_unchanged=True
    )
    try:
        project = find_project()
        try:
            return run_graph(project, request, logger)
        except ProjectBusy as busy:
            if not _end_stuck(project, stuck_minutes, logger):
                return Completed(name="Skipped", message=str(busy))
        return run_graph(project, replace(request, wait_seconds=AFTER_END_SECONDS), logger)
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=str(error))


def _end_stuck(project: Project, stuck_minutes: float, logger: Logger) -> bool:
    """End the run that holds the project if it is stuck; returns whether it was."""
    holder, silent = read_holder(project), silent_seconds(project)
    if holder is None or silent < stuck_minutes * 60 or holder.run == str(flow_run.id):
        return False
    ended = end_holder(project)
    if ended is None:
        return False
    logger.warning("ended run %s: its stage had printed nothing for %.0f min", ended.run, silent / 60)
    return True
