"""Run one stage on a GPU worker in another checkout and bring its result back.

The working tree travels as a git commit under refs/egovlm/runs/<id>, with uncommitted and new files but never data
(flows/dvc/snapshot.py). The stage's inputs and its result travel through the DVC remote. The GPU side never writes
to git; the CPU side never trains in place of a result that did not arrive.

    CPU checkout                                    GPU checkout (flow egovlm-train)
    snapshot -> push ref, push inputs    ---->      fetch, check out, pull inputs by force, compare them with dvc.lock
    wait, log, cancel with us                       dvc repro -s STAGE
    restore by digest, or fail           <----      push the result; its digest is the run's message
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from flows.dvc.graph import Graph
from flows.dvc.project import RUN_REFS, Project
from flows.dvc.publishing import for_another_machine
from flows.dvc.reproduce import StageOutcome
from flows.dvc.snapshot import snapshot
from flows.processes.process import OnLine
from flows.remote.remote_run import run_remotely
from flows.remote.result import dvc, restore_result
from pipeline.errors import StageError

DEPLOYMENT = "egovlm-train/gpu"

logger = logging.getLogger(__name__)


def reproduce_on_gpu(graph: Graph, stage: str, on_line: OnLine, force: bool = False) -> StageOutcome:
    """Like `reproduce`, but the deployment `egovlm-train/gpu` does the work.

    Raises:
        ParamsError: `publish` does not name the remotes to send through.
        StageError: the remote run failed (its own message).
        ResultMissing: the result did not come back.
    """
    reasons = ["forced"] if force else graph.changes(stage)
    if not reasons:
        return StageOutcome.CACHED
    on_line(f"{stage}: {'; '.join(reasons[:5])}", False)
    project = graph.project
    git_remote, dvc_remote = for_another_machine(project)
    push_inputs(graph, stage, dvc_remote, on_line)
    with published_snapshot(project, git_remote) as commit:
        on_line(f"{stage}: sent as {commit[:12]} to {DEPLOYMENT}", False)
        message = run_remotely(
            DEPLOYMENT, {"commit": commit, "stage": stage, "force": force}, f"{stage}-{commit[:8]}", on_line
        )
    restore_result(graph, stage, message, dvc_remote, on_line)
    return StageOutcome.RAN


@contextmanager
def published_snapshot(project: Project, remote: str) -> Iterator[str]:
    """The snapshot's commit, which can be fetched from the git remote during the block."""
    commit = snapshot(project)
    ref = f"{RUN_REFS}/{uuid.uuid4().hex[:12]}-{commit[:12]}"
    project.git("update-ref", ref, commit)
    project.git("push", "--quiet", remote, f"{ref}:{ref}")
    try:
        yield commit
    finally:
        project.git("update-ref", "-d", ref)
        _forget(project, remote, ref)


def _forget(project: Project, remote: str, ref: str) -> None:
    try:
        project.git("push", "--quiet", remote, f":{ref}")
    except StageError as error:  # litter, not damage
        logger.warning("%s stays on %s: %s", ref, remote, error)


def push_inputs(graph: Graph, stage: str, remote: str, on_line: OnLine) -> None:
    """Send what `stage` reads, and nothing else, to the DVC remote."""
    inputs = graph.stage(stage).inputs
    dvc(
        graph.project,
        ["push", "--remote", remote, *inputs],
        on_line,
        "its inputs could not be sent to the DVC remote",
        stage,
    )


def pull_inputs(graph: Graph, stage: str, on_line: OnLine) -> None:
    """Bring the inputs of `stage` to the state of dvc.lock, whatever is there, and verify it.

    `dvc repro --pull` is not enough: it fetches missing inputs but trusts stale ones.

    Raises:
        StageError: an input is still not what dvc.lock says.
    """
    inputs = graph.stage(stage).inputs
    dvc(graph.project, ["pull", "--force", *inputs], on_line, "its inputs are not in the DVC remote", stage)
    stale = graph.stale_outputs(inputs)
    if stale:
        raise StageError(f"{stage}: {', '.join(stale)} differ from dvc.lock after the pull: refusing to train on them")
