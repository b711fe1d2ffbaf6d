"""Scheduled runs that were missed while no worker was there: only the newest is run.

Otherwise a server that was off for a month would start a process for every night, all at once, and find nothing to do.
"""

from datetime import UTC, datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled

NIGHTLY = "nightly"


def cancel_missed_runs() -> int:
    """Cancel all but the newest missed run of the schedule on the server of PREFECT_API_URL; how many."""
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    nightly = DeploymentFilter(name=DeploymentFilterName(any_=[NIGHTLY]))
    with get_client(sync_client=True) as client:
        newest_first = client.read_flow_runs(
            flow_run_filter=wanted, deployment_filter=nightly, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200
        )
        for run in newest_first[1:]:
            reason = "missed while no worker was there; the newest missed run replaces it"
            client.set_flow_run_state(run.id, Cancelled(message=reason))
    return len(newest_first[1:])
