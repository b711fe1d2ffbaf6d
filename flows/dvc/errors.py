"""Errors around a stage. Each says which stage failed, what happened and what to do next."""

import re
import signal
from collections.abc import Sequence

from pipeline.errors import StageError

_DVC_NOISE = re.compile(
    r"^(ERROR: failed to (reproduce|run)|Running stage|> python|Reproducing|To track the changes|Use `dvc push`|!|"
    r"To enable auto staging|\s*git add |\s*dvc config )"
)
_DVC_ERROR = re.compile(r"^ERROR: (?:failed to reproduce '[^']*':? ?)?(.*)")
_EXIT_CODE = re.compile(r"exited with (-?\d+)")
# As pipeline/stages/__main__.py prints it: stage, kind of error, message. No line break follows an unfinished bar.
_EXPECTED = re.compile(r"^(?:.*%\|.*\])?egovlm [a-z_]+: [A-Za-z]+: ")
_CRASH = re.compile(r"^[A-Za-z_.]+(Error|Exception|Interrupt)\b")
TAIL_LINES = 12


class StageFailed(StageError):
    """A stage's command failed.

    Args:
        stage: name of the stage.
        output: its last lines, oldest first.
        exit_code: of `dvc repro` (255 for everything; the stage's own code is in the output).
    """

    def __init__(self, stage: str, output: Sequence[str], exit_code: int) -> None:
        self.stage = stage
        self.exit_code = real_exit_code(output, exit_code)
        self.lines = last_words(output)
        of_dvc = "" if any(_EXIT_CODE.search(line) for line in output) else _dvc_error(output)
        told = f"DVC: {of_dvc}. Then run again" if of_dvc else _explained(stage, self.lines, self.exit_code)
        super().__init__(f"{stage}: {told}")

    def __reduce__(self) -> tuple[type["StageFailed"], tuple[str, list[str], int]]:
        return (type(self), (self.stage, self.lines, self.exit_code))


class ResultMissing(StageError):
    """A result made elsewhere did not arrive. Training it here instead would hide that."""


class ProjectBusy(StageError):
    """Another run holds the project."""


def real_exit_code(output: Sequence[str], exit_code: int) -> int:
    """The stage's own exit code. DVC exits with 255 for every failure and prints the real one."""
    found = [match.group(1) for line in output if (match := _EXIT_CODE.search(line))]
    return int(found[-1]) if found else exit_code


def last_words(output: Sequence[str]) -> list[str]:
    """The last lines that are not DVC's own."""
    return [line for line in output if not _DVC_NOISE.match(line)][-TAIL_LINES:]


def _dvc_error(output: Sequence[str]) -> str:
    """DVC's own error (a read-only cache, a full disk); "" if the stage's command failed instead."""
    said = [match.group(1) for line in output if (match := _DVC_ERROR.match(line)) and match.group(1)]
    return said[-1].rstrip(".") if said else ""


def is_told_later(line: str) -> bool:
    """Whether `StageFailed` will repeat this line of a stage's output, so that it need not be shown twice."""
    return _EXPECTED.match(line) is not None or line.startswith("ERROR: failed to reproduce")


def _explained(stage: str, lines: Sequence[str], exit_code: int) -> str:
    """Cause and next step."""
    if exit_code < 0 or exit_code > 128:
        cause = f"killed by {_signal_name(exit_code)}; its last line: {lines[-1] if lines else 'none'}."
        return f"{cause} {_next_step(stage, exit_code)}"
    expected = [_EXPECTED.sub("", line) for line in lines if _EXPECTED.match(line)]
    if expected:
        return f"{expected[-1].rstrip('.')}. Then run again: finished stages are kept"
    said = [line for line in lines if _CRASH.match(line)] or list(lines) or ["no output"]
    return f"{said[-1].rstrip('.')} (exit code {exit_code}). {_next_step(stage, exit_code)}"


def _signal_name(exit_code: int) -> str:
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit code {exit_code}"


def _next_step(stage: str, exit_code: int) -> str:
    again = f"Then run again: finished stages are kept and `{stage}` resumes"
    if _signal_name(exit_code) == "SIGKILL":
        return (
            f"SIGKILL usually means out of memory: lower the workers or batch size of {stage} in params.yaml. {again}"
        )
    return f"Full output: task `{stage}` of the run, or `dvc repro -s {stage}`. {again}"
