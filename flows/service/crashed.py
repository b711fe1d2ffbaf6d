"""Runs whose process is gone but whose state still says otherwise.

`kill -9` or a power cut of a worker leaves its run `Running` forever. A run that takes the project's lock has proof
that the last holder is dead (flows/dvc/lock.py) and marks it. For a host that never comes back, the automation
`egovlm-heartbeat` (flows/service/automations.py) does the same from the server's side.
"""

import logging
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from flows.dvc.lock import LockHolder

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


def mark_crashed(dead: LockHolder | None, logger: Logger) -> bool:
    """Mark the run of a dead holder as Crashed if the server still considers it alive; returns whether it did."""
    run_id = _as_run_id(dead)
    if run_id is None:
        return False
    with get_client(sync_client=True) as client:
        try:
            run = client.read_flow_run(run_id)
        except ObjectNotFound:
            return False
        if run.state is None or run.state.is_final():
            return False
        client.set_flow_run_state(run_id, Crashed(message=_epitaph(dead)))
    logger.warning("marked run %s (%s) as Crashed: its process is gone", run.name, run_id)
    return True


def _epitaph(dead: LockHolder | None) -> str:
    where = f"process {dead.pid} on {dead.host}" if dead else "its process"
    return (
        f"{where} died without a final state (kill -9, out of memory, power cut); "
        "finished stages are kept, start it again"
    )


def _as_run_id(holder: LockHolder | None) -> UUID | None:
    try:
        return UUID(holder.run) if holder else None
    except ValueError:  # a run without Prefect
        return None
