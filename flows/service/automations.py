"""What the server itself does: a run that has sent no heartbeat for a while is marked Crashed.

Workers' runs send a heartbeat every half a minute (flows/service/ui.py); one that falls silent was killed with its
host. On a host that is still there the next run says so at once (flows/service/crashed.py).
"""

from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from flows.service.missed_runs import cancel_missed_runs

SILENT_SECONDS = 100.0
NAME = "egovlm-heartbeat"
_HEARTBEAT = "prefect.flow-run.heartbeat"
_LAST_WORDS = ("Completed", "Cached", "Skipped", "Failed", "Cancelled", "Crashed")


def heartbeat_automation() -> AutomationCore:
    """Crashed after `SILENT_SECONDS` without heartbeat or final state."""
    return AutomationCore(
        name=NAME,
        description="A run whose host died is marked Crashed",
        trigger=EventTrigger(
            after={_HEARTBEAT},
            expect={_HEARTBEAT, *(f"prefect.flow-run.{state}" for state in _LAST_WORDS)},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENT_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message="no heartbeat from its worker; finished stages are kept, start it again",
                force=False,  # on a busy server events arrive late and out of order: a finished run stays finished
            )
        ],
    )


def register_automations() -> None:
    """Create or update the automation on the server at PREFECT_API_URL."""
    with get_client(sync_client=True) as client:
        for old in client.read_automations_by_name(NAME):
            client.delete_automation(old.id)
        client.create_automation(heartbeat_automation())


if __name__ == "__main__":
    register_automations()
    cancel_missed_runs()
