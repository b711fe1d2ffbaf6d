"""Nothing that a flow started may outlive it. `python guard.py TOKEN FD` waits until its flow is gone, then ends the
rest.

Every process below a stage carries the flow's token in its environment. So it is found whatever its session or
parent is by then: torchrun gives its workers sessions of their own, and `kill -9` of a flow re-parents its trainer
to init. The guard notices the flow's end by the end of file on a pipe that only the flow holds open, even after
`kill -9`.
"""

import contextlib
import os
import sys
from collections.abc import Callable

import psutil

MARK = "EGOVLM_CHILD_OF"
GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL; a cancelled run must be gone within 10 s


def marked(token: str) -> list[psutil.Process]:
    """Living processes of this user that carry `token`."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _mark_of(process) == token]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        value: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):  # already gone, or another user's
        return None
    return value


def end_marked(token: str, grace_seconds: float = GRACE_SECONDS) -> int:
    """End every process that carries `token`: SIGTERM, then SIGKILL after `grace_seconds`. Returns their number."""
    first = marked(token)
    _each(first, psutil.Process.terminate)
    psutil.wait_procs(first, timeout=grace_seconds)
    _each(marked(token), psutil.Process.kill)  # listed again: a dying process may have started others
    return len(first)


def _each(processes: list[psutil.Process], action: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            action(process)


def main() -> None:
    """Block on the pipe, then clean up."""
    token, descriptor = sys.argv[1], int(sys.argv[2])
    os.read(descriptor, 1)
    end_marked(token)


if __name__ == "__main__":
    main()
