"""One stage, as DVC sees it: up to date, restored from the run cache, or run."""

import re
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from flows.dvc.errors import StageFailed
from flows.dvc.graph import Graph
from flows.processes.process import OnLine, guarded, run_marked
from pipeline.provenance import disagreements, refuse_disagreements

KEPT_LINES = 200  # of a stage's output, for the error message
_DVC_ADVICE = re.compile(
    r"^(To track the changes with git|To enable auto staging|Use `dvc push`|Updating lock file|Generating lock file|"
    r"\tgit add |\tdvc config )"
)
_RESTORED = "is cached - skipping run, checking out outputs"


def is_noise(line: str) -> bool:
    """Whether a line is DVC's advice to a person at a terminal."""
    return _DVC_ADVICE.match(line) is not None


class StageOutcome(StrEnum):
    """What happened to a stage."""

    CACHED = "cached"  # nothing changed
    RESTORED = "restored"  # run before with the same inputs: outputs taken from the run cache
    RAN = "ran"


@dataclass(frozen=True)
class Reasons:
    """Why a stage has to run. `forced`: even if DVC finds nothing changed."""

    texts: Sequence[str]
    forced: bool

    def __bool__(self) -> bool:
        return bool(self.texts)


def reasons_for(graph: Graph, stage: str, force: bool) -> Reasons:
    """Why `stage` has to run now; false if it need not. A result whose record is wrong is made again."""
    if force:
        return Reasons(["forced"], True)
    untrue = disagreements(graph.project.root).get(stage, [])
    return Reasons([*untrue, *graph.changes(stage)], bool(untrue))


def reproduce(graph: Graph, stage: str, on_line: OnLine, force: bool = False) -> StageOutcome:
    """Bring `stage` up to date if necessary; its upstream stages are taken as they are.

    The check runs in this process (a fraction of a second); only a changed stage pays for a `dvc` process.

    Raises:
        StageFailed: its command failed.
        ArtifactError: dvc.lock names other params or code than those that ran.
    """
    reasons = reasons_for(graph, stage, force)
    if not reasons:
        return StageOutcome.CACHED
    with guarded() as token:
        outcome = run_dvc_repro(graph, stage, on_line, reasons, token)
    refuse_disagreements(graph.project.root, [stage])
    return outcome


def run_dvc_repro(graph: Graph, stage: str, on_line: OnLine, reasons: Reasons, token: str) -> StageOutcome:
    """Run `dvc repro -s stage` in a separate process marked with `token`, with live output."""
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    restored = False

    def keep(text: str, is_progress: bool) -> None:
        nonlocal restored
        restored = restored or _RESTORED in text
        if not is_progress:
            kept.append(text)
        on_line(text, is_progress)

    on_line(f"{stage}: {'; '.join(reasons.texts[:5])}", False)
    # "ignore": warnings of DVC's libraries are no output of the stage
    command = [sys.executable, "-W", "ignore", "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    code = run_marked([*command, *(["--force"] if reasons.forced else [])], graph.project.root, keep, token)
    if code:
        raise StageFailed(stage, list(kept), code)
    return StageOutcome.RESTORED if restored else StageOutcome.RAN
