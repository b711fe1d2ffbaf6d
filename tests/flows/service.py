"""What tests ask of a running Prefect server."""

import contextlib
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterStartTime,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.deployments import run_deployment
from prefect.states import Cancelling

from flows.dvc.project import Project
from flows.service.ui import LocalServices


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until `condition` gives something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.1)
    return value


class Service:
    """A server, its workers, and the toy project they work on."""

    def __init__(self, machine: LocalServices, project: Project) -> None:
        self.machine, self.project = machine, project

    @property
    def gpu_root(self) -> Path:
        """The clone of the `gpu` worker."""
        assert self.machine.gpu_project is not None
        return self.machine.gpu_project

    def start(self, deployment: str = "egovlm/full", **parameters: Any) -> UUID:
        """Start a run; does not wait."""
        run = run_deployment(deployment, parameters=parameters, timeout=0, as_subflow=False)
        assert isinstance(run, FlowRun)
        return run.id

    def run(self, deployment: str = "egovlm/full", seconds: float = 240, **parameters: Any) -> FlowRun:
        """Start a run and wait for its end."""
        return self.wait(self.start(deployment, **parameters), seconds)

    def wait(self, run_id: UUID, seconds: float = 240) -> FlowRun:
        """The run once it has ended."""
        until(lambda: (s := self.read(run_id).state) and s.is_final(), seconds, f"run {run_id} ended")
        return self.read(run_id)

    def read(self, run_id: UUID) -> FlowRun:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(run_id)

    def cancel(self, run_id: UUID) -> None:
        """What `prefect flow-run cancel` does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run_id, Cancelling())

    def cancel_all(self) -> None:
        """Leave no run behind for the next test."""
        due = FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)))
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(flow_run_filter=due, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=50):
                if run.state is not None and not run.state.is_final():
                    client.set_flow_run_state(run.id, Cancelling())

    def tasks(self, run_id: UUID) -> dict[str, str]:
        """Name of each task run and name of its state."""
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=wanted)
        runs.sort(key=lambda run: run.start_time or run.expected_start_time)
        return {run.name: str(run.state_name) for run in runs}

    def logs(self, run_id: UUID) -> str:
        """All log lines of a run."""
        with get_client(sync_client=True) as client:
            lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])), limit=200)
        return "\n".join(line.message for line in lines)

    def expect_tasks(self, run_id: UUID, expected: dict[str, str], seconds: float = 60) -> None:
        """Task runs and their states come to the server as events, some time after the run has ended."""
        deadline = time.monotonic() + seconds
        while (found := self._own_tasks(run_id)) != expected and time.monotonic() < deadline:
            time.sleep(0.5)
        assert found == expected, found

    def _own_tasks(self, run_id: UUID) -> dict[str, str]:
        """Without the tasks that stand for runs of other deployments, which bear those runs' made-up names."""
        return {name: state for name, state in self.tasks(run_id).items() if "-" not in name}

    def artifact(self, key: str) -> str:
        """Latest content of an artifact."""
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        with get_client(sync_client=True) as client:
            (newest, *_) = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=1)
        return str(newest.data)

    def children(self, run_id: UUID) -> list[UUID]:
        """Runs of egovlm-train that were started after `run_id`, newest first."""
        begun = self.read(run_id).created
        # without the filter, the many runs that a schedule has laid out for coming days fill the answer
        later = FlowRunFilter(start_time=FlowRunFilterStartTime(after_=begun))
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(flow_run_filter=later, limit=200)
        mine = [r for r in runs if r.id != run_id and r.created and begun and r.created > begun]
        return [r.id for r in sorted(mine, key=lambda r: r.created, reverse=True)]


def stage_processes(stage: str, root: Path) -> list[psutil.Process]:
    """Processes of the toy's `stage` that run in `root`."""
    return [p for p in psutil.process_iter() if _is_stage(p, stage, root)]


def _is_stage(process: psutil.Process, stage: str, root: Path) -> bool:
    try:
        return process.cmdline()[1:3] == ["stage.py", stage] and Path(process.cwd()) == root
    except (psutil.Error, OSError):
        return False


def kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """The whole host goes down: a process and all its descendants, without a chance to say anything."""
    for victim in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    process.wait()
