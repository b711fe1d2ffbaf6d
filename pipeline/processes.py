"""What a process owes the ones around it: it ends with its parent, within its memory, and soon when told to.

Linux only where the kernel has to help (`prctl`, `RLIMIT_DATA`); elsewhere these calls do nothing.
"""

import ctypes
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

STOP_SECONDS = 8.0  # from the first signal to the end; a run has to be gone within 10 s
_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send `number` to this process when the thread that started it ends, by `kill -9` as well.

    An orphan would go on writing while the next run writes the same files.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended while we asked
        os.kill(os.getpid(), number)


def limit_memory(megabytes: int) -> None:
    """Let this process allocate at most `megabytes` more than it has: beyond that an allocation fails as `MemoryError`.

    Private writable memory counts (`RLIMIT_DATA`), mapped files and reserved addresses do not.
    """
    if sys.platform != "linux":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data_bytes() + megabytes * 2**20
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _data_bytes() -> int:
    """Private writable memory of this process now (`data` in /proc/self/statm, in pages)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()


class Stopped(BaseException):
    """The process was told to end by signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """As a shell counts: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


def stop_on_signals() -> None:
    """Raise `Stopped` in the main thread at SIGTERM or SIGINT; a second signal, or `STOP_SECONDS`, ends the process.

    Files are whole or absent at any moment, so that an end without clean-up loses no more than one with it.
    """
    told: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if told:
            os._exit(128 + number)
        told.append(number)
        timer = threading.Timer(STOP_SECONDS, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()
        raise Stopped(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
