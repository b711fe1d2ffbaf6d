"""Start a deployment from a run and wait for it. If either is cancelled or dies, so does the other."""

import time
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.states import Cancelling

from flows.processes.process import OnLine
from pipeline.errors import StageError

POLL_SECONDS = 1.0
NO_WORKER_SECONDS = 60.0  # then say that no worker has taken the run
MAX_CRASHES = 2  # a dead worker is no failure of the stage: the run restarts and resumes from its checkpoint


def run_remotely(deployment: str, parameters: dict[str, Any], name: str, on_line: OnLine) -> str:
    """Run `deployment` to its end and return its final message. If this run is cancelled or killed, so is that one.

    Raises:
        StageError: it failed, was cancelled, or crashed more than `MAX_CRASHES` times.
    """
    for attempt in range(MAX_CRASHES + 1):
        run = run_deployment(deployment, parameters=parameters, flow_run_name=name, timeout=0)
        assert isinstance(run, FlowRun)  # noqa: S101 - the sync call answers with the run
        run = _follow(run.id, on_line)
        state = run.state
        message = (state.message if state else None) or ""
        if state is not None and state.is_completed():
            return message
        if state is None or not state.is_crashed() or attempt == MAX_CRASHES:
            raise StageError(
                message or f"run {name} of {deployment} ended in state {state.name if state else 'unknown'}"
            )
        on_line(f"the worker of run {name} died ({message}); starting it again", False)
    raise AssertionError("unreachable")


def _follow(run_id: UUID, on_line: OnLine) -> FlowRun:
    started, told = time.monotonic(), False
    with get_client(sync_client=True) as client:
        try:
            while True:
                run = client.read_flow_run(run_id)
                if run.state is not None and run.state.is_final():
                    return run
                waiting = run.state is not None and run.state.is_scheduled()
                if waiting and not told and time.monotonic() - started > NO_WORKER_SECONDS:
                    told = True
                    on_line("no worker has taken the run yet: is one running for the pool `gpu`?", False)
                time.sleep(POLL_SECONDS)
        except BaseException:
            _cancel(client, run_id)
            raise


def _cancel(client: SyncPrefectClient, run_id: UUID) -> None:
    client.set_flow_run_state(run_id, Cancelling(message="the run that started this one has ended"))
