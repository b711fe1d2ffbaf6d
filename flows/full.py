"""Flow `egovlm` (deployment `full`): the whole DVC graph, one task per stage."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Failed

from flows.core import RunRequest, TrainOn, run_graph
from flows.dvc.project import find_project
from pipeline.errors import EgovlmError

WAIT_SECONDS = 6 * 3600.0  # for another run to release the project


def run_name() -> str:
    """`<experiment>-<git short sha>`; `run` if no experiment is named."""
    return f"{flow_run.parameters.get('experiment') or 'run'}-{find_project().short_sha()}"


@flow(name="egovlm", flow_run_name=run_name, persist_result=False)
def egovlm(
    profile: str | None = None,
    overrides: dict[str, Any] | None = None,
    targets: list[str] | None = None,
    force: bool | list[str] = False,
    train_on: TrainOn = "local",
    experiment: str | None = None,
    promote: bool = False,
    unchecked: bool = False,
) -> State[Any]:
    """Run the DVC graph: egocentric video in, trained model and score out.

    Args:
        profile: apply profiles/<profile>.yaml to this run only.
        overrides: values of params.yaml for this run by dotted key, e.g. {"train_grpo.learning_rate": 1e-6}.
        targets: stages to bring up to date, with what they need; all if empty.
        force: run stages even if nothing changed: true for all, or a list of stages.
        train_on: `local` trains in this checkout; `gpu` sends training and evaluation to the work pool `gpu`.
        experiment: name of the DVC experiment and of the run.
        promote: let the promotion gate judge the result; a better model becomes the champion.
        unchecked: start even if the preflight check finds that the run cannot finish here.
    """
    logger = get_run_logger()
    try:
        request = RunRequest(
            profile,
            overrides or {},
            targets or (),
            force,
            train_on,
            experiment,
            promote,
            False,
            unchecked,
            WAIT_SECONDS,
        )
        return run_graph(find_project(), request, logger)
    except EgovlmError as error:  # expected: a message, not a traceback
        logger.error("%s", error)
        return Failed(message=str(error))
