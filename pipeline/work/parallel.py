"""One function over many items in worker processes, on this machine or on a Ray cluster.

A result is a value or the item's error. If a worker dies (a codec crashes, the kernel's out-of-memory killer) or
does not answer in time, only its item is lost. After a death the item is tried once more, then given up with a reason.
"""

import math
import multiprocessing
import signal
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from pipeline.errors import MOST_UNEXPECTED, UNEXPECTED, ItemError, StageError
from pipeline.processes import die_with_parent, limit_memory, starting_a_process
from pipeline.work.items import ATTEMPTS, GRACE, Function, Result, Workers, call, lost_worker


def run_parallel(function: Function, tasks: Sequence[Any], workers: Workers) -> Iterator[Result]:
    """Yield `(position of the task, value or ItemError)` as tasks finish, in any order.

    Args:
        function: importable by name (it is sent to other processes); raises ItemError for a bad item.

    Raises:
        StageError: more than `MOST_UNEXPECTED` items failed unexpectedly, which means a bug.
        EgovlmError: what else `function` raises, other than ItemError.
    """
    surprises = 0
    for position, result in _run(function, tasks, workers):
        if isinstance(result, ItemError) and result.reason == UNEXPECTED:
            surprises += 1
            if surprises > MOST_UNEXPECTED:
                raise StageError(f"{surprises} items failed unexpectedly; the last: {result.detail}")
        yield position, result


def _run(function: Function, tasks: Sequence[Any], workers: Workers) -> Iterator[Result]:
    if workers.executor == "ray":
        from pipeline.work.on_ray import run_on_ray  # an extra: imported when used

        yield from run_on_ray(function, tasks, workers)
    else:
        yield from run_in_processes(function, tasks, workers)


class _Bug:
    """An exception that ends the run, on its way back from a worker."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.text = "".join(traceback.format_exception(error))


def _work(pipe: Connection, function: Function, megabytes_limit: int) -> None:
    """Loop of a worker process: a task in, a result out, until the other end closes."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the pool's owner decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    limit_memory(megabytes_limit)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, ConnectionError):
            return
        try:
            result = call(function, task)
        except BaseException as error:
            result = _Bug(error)
        try:
            pipe.send(result)
        except ConnectionError:  # the owner has ended, or is ending us: nobody wants the result
            return


class _Worker:
    """A worker process and the position of its current task."""

    def __init__(self, function: Function, megabytes_limit: int) -> None:
        context = multiprocessing.get_context("spawn")  # fork would copy threads and locks in unknown states
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, function, megabytes_limit), daemon=True)
        with starting_a_process():
            self.process.start()
        other.close()
        self.position = -1
        self.since = 0.0

    def give(self, position: int, task: Any) -> None:
        self.position, self.since = position, time.monotonic()
        self.pipe.send(task)

    def take(self) -> Any:
        """The result; raises EOFError if the process is dead."""
        result = self.pipe.recv()
        if isinstance(result, _Bug):
            result.error.add_note(f"in a worker process:\n{result.text}")
            raise result.error
        return result

    def stop(self) -> None:
        """End the process now."""
        self.process.kill()  # before its pipe closes, which it would notice
        self.process.join()
        self.pipe.close()


def run_in_processes(function: Function, tasks: Sequence[Any], workers: Workers) -> Iterator[Result]:
    """`run_parallel` on this machine."""
    pool = _Pool(function, tasks, workers)
    try:
        while pool.feed():
            yield from pool.results()
    finally:
        pool.stop()


class _Pool:
    """Idle and busy workers, the queue, and how often each task killed its worker."""

    def __init__(self, function: Function, tasks: Sequence[Any], workers: Workers) -> None:
        self._function = function
        self._megabytes_limit = workers.megabytes_limit
        self._tasks = tasks
        self._kill_after = workers.seconds_limit * GRACE
        self._queue = deque(range(len(tasks)))
        self._deaths = [0] * len(tasks)
        self._busy: list[_Worker] = []
        self._idle = [self._worker() for _ in range(min(workers.number, len(tasks)))]

    def _worker(self) -> _Worker:
        return _Worker(self._function, self._megabytes_limit)

    def feed(self) -> bool:
        """Give every idle worker a task; returns whether any task is running."""
        while self._idle and self._queue:
            worker = self._idle.pop()
            position = self._queue.popleft()
            try:
                worker.give(position, self._tasks[position])
            except OSError:  # it died while idle, so the task is not at fault
                worker.stop()
                self._queue.appendleft(position)
                self._idle.append(self._worker())
                continue
            self._busy.append(worker)
        return bool(self._busy)

    def results(self) -> Iterator[Result]:
        """Wait for the next results, deaths or timeouts."""
        now = time.monotonic()
        next_expiry = min(worker.since for worker in self._busy) + self._kill_after - now
        timeout = None if next_expiry == math.inf else max(next_expiry, 0) + 0.01
        ready = set(wait([worker.pipe for worker in self._busy], timeout))
        for worker in [w for w in self._busy if w.pipe in ready]:
            yield from self._take(worker)
        for worker in [w for w in self._busy if time.monotonic() - w.since > self._kill_after]:
            position = self._replace(worker)
            yield (
                position,
                ItemError("time_limit", f"killed after {self._kill_after:g} s: it was stuck inside the decoder"),
            )

    def _take(self, worker: _Worker) -> Iterator[Result]:
        try:
            result = worker.take()
        except (EOFError, ConnectionError):
            yield from self._bury(worker)
            return
        self._busy.remove(worker)
        self._idle.append(worker)
        yield worker.position, result

    def _bury(self, worker: _Worker) -> Iterator[Result]:
        position = self._replace(worker)
        self._deaths[position] += 1
        if self._deaths[position] < ATTEMPTS:
            self._queue.append(position)
        else:
            yield position, lost_worker(f"exit code {worker.process.exitcode}")

    def _replace(self, worker: _Worker) -> int:
        """End a worker, replace it with a fresh one and return the position it was working on."""
        worker.stop()
        self._busy.remove(worker)
        self._idle.append(self._worker())
        return worker.position

    def stop(self) -> None:
        for worker in [*self._busy, *self._idle]:
            worker.stop()
