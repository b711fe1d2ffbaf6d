"""One Prefect task per DVC stage, with the stage's name, live log lines and a progress artifact. Its state says what
happened: Cached, Restored, Completed or Failed."""

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact, create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.dvc.errors import is_told_later
from flows.dvc.explain import explained
from flows.dvc.graph import TRAIN, Graph
from flows.dvc.lock import heartbeat
from flows.dvc.project import Project
from flows.dvc.reproduce import StageOutcome, is_noise
from flows.processes.process import OnLine
from flows.processes.progress import Throttle, read_progress
from flows.summary import address
from pipeline.errors import EgovlmError
from pipeline.layout import LIVE_PAGE

LOG_PROGRESS_SECONDS = 15.0
ARTIFACT_SECONDS = 10.0

StageRunner = Callable[[Graph, str, OnLine, bool], StageOutcome]

_STATES = {
    StageOutcome.CACHED: ("Cached", "nothing changed"),
    StageOutcome.RESTORED: ("Restored", "ran before with the same inputs; outputs restored from the run cache"),
    StageOutcome.RAN: ("Completed", "ran"),
}


class StageRun:
    """What a stage's task needs. Not a dataclass, because Prefect searches dataclasses for futures."""

    def __init__(self, graph: Graph, stage: str, run: StageRunner, force: bool) -> None:
        self.graph, self.stage, self.run, self.force = graph, stage, run, force


@task(cache_policy=NO_CACHE, persist_result=False)
def stage_task(job: StageRun) -> State[Any]:
    """Bring one stage up to date. An expected error becomes a Failed state that names the stage and the next step."""
    logger = get_run_logger()
    lines = StageLines(job.graph.project, job.stage, logger)
    try:
        with explained():
            outcome = job.run(job.graph, job.stage, lines, job.force)
    except EgovlmError as error:
        logger.error("%s", error)
        return Failed(message=str(error))
    finally:
        lines.close()
    name, message = _STATES[outcome]
    return Completed(name=name, message=f"{job.stage}: {message}", data=outcome)


class StageLines:
    """Where a stage's output goes: lines to the run's log, progress bars to an artifact and now and then to the log."""

    def __init__(self, project: Project, stage: str, logger: "logging.Logger | logging.LoggerAdapter[logging.Logger]"):
        self.project, self.stage, self.logger = project, stage, logger
        self._artifact: UUID | None = None
        self._percent = 0.0
        self._logged, self._shown = Throttle(LOG_PROGRESS_SECONDS), Throttle(ARTIFACT_SECONDS)

    def __call__(self, text: str, is_progress: bool) -> None:
        """Take one line."""
        heartbeat(self.project)
        progress = read_progress(text)
        if progress is None:
            if not (is_noise(text) or is_told_later(text)):
                self.logger.info("%s", text)
            return
        self._percent = progress.percent
        if self._logged.ready():
            self.logger.info("%s: %.0f %% %s", self.stage, progress.percent, progress.text)
        if self._shown.ready():
            self._show(progress.text)

    def close(self) -> None:
        """Update the artifact with the last reading."""
        if self._artifact is not None:
            self._show("last reading")

    def _show(self, text: str) -> None:
        # An artifact is decoration: a short server outage must not end hours of training.
        try:
            if self._artifact is None:
                key = f"progress-{self.stage.replace('_', '-')}"
                self._artifact = _created(create_progress_artifact(self._percent, key=key, description=text))
                self._link_to_curve()
            else:
                update_progress_artifact(self._artifact, progress=self._percent, description=text)
        except Exception as error:  # any client error: network, server restart, conflict
            self.logger.warning("progress of %s could not be shown: %s", self.stage, error)

    def _link_to_curve(self) -> None:
        url = address(LIVE_PAGE)
        if self.stage == TRAIN and url:
            create_link_artifact(url, link_text="reward curve, live", key="reward-curve")


def _created(answer: object) -> UUID:
    assert isinstance(answer, UUID)  # noqa: S101 - in a sync task the client answers with the id
    return answer
