"""Process lifetime, memory limits and signals: a process ends with its parent, keeps to its memory limit, and stops
soon when asked to.

Calls that need the kernel's help (`prctl`, `RLIMIT_DATA`) work on Linux only; elsewhere they do nothing.
"""

import ctypes
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType

STOP_SECONDS = 8.0  # from the first signal to the end; a run must be gone within 10 s
_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send signal `number` to this process when the thread that started it ends, even by `kill -9`.

    An orphan would keep writing while the next run writes the same files.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended during the call
        os.kill(os.getpid(), number)


def limit_memory(megabytes: int) -> None:
    """Let this process allocate at most `megabytes` more than it has; beyond that, allocations raise `MemoryError`.

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
    """Signal `number` asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """The shell's exit code: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


_starting = threading.Event()  # set while the main thread is inside `starting_a_process`
_held_back: list[int] = []


@contextmanager
def starting_a_process() -> Iterator[None]:
    """Start a worker inside: Ctrl-C is for its owner alone, and the owner's `Stopped` waits until it is started.

    A new interpreter has no handler of ours yet, so SIGINT would end it with a traceback. So would an owner that
    leaves between the new process and what it reads first. The worker takes SIGINT again when it unblocks it.
    """
    resource_tracker.ensure_running()  # if it is started inside, it lets SIGINT through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main = threading.current_thread() is threading.main_thread()  # only there a handler raises
    if main:
        _starting.set()
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if main:
            _starting.clear()
            if _held_back:
                raise Stopped(_held_back.pop())


def stop_on_signals() -> None:
    """Raise `Stopped` in the main thread at SIGTERM or SIGINT. A second signal, or `STOP_SECONDS`, ends the process.

    Files are whole or absent at any moment, so ending without clean-up loses nothing more.
    """
    told: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if told:
            os._exit(128 + number)
        told.append(number)
        timer = threading.Timer(STOP_SECONDS, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()
        if _starting.is_set():
            _held_back.append(number)
        else:
            raise Stopped(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
