"""One item in a worker: its limits, and its outcome as a value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.errors import EgovlmError, ItemError, unexpected
from pipeline.params import Machine
from pipeline.workspace import is_of_the_disk

ATTEMPTS = 2
GRACE = 1.5  # a worker gives up at the limit; one that cannot (stuck inside a codec) is killed at 1.5 times the limit

Function = Callable[[Any], Any]
Result = tuple[int, Any]


@dataclass(frozen=True)
class Workers:
    """Where to run, and with how many workers. `executor` is `processes` or `ray`; there are limits on wall-clock
    seconds per item and on a worker's memory (on Ray, the cluster enforces that one)."""

    executor: Literal["processes", "ray"]
    number: int
    seconds_limit: float
    megabytes_limit: int


def workers_of(machine: Machine) -> Workers:
    """The workers that params.yaml gives a stage whose items are clips."""
    return Workers(machine.executor, machine.workers, machine.clip_seconds_limit, machine.worker_megabytes_limit)


def call(function: Function, task: Any) -> Any:
    """`function(task)`, or a bad item's error as a value. An unexpected error is a value too.

    Raises:
        EgovlmError: other than ItemError; the work as a whole cannot continue.
        Exception: the disk is full or read-only.
    """
    try:
        return function(task)
    except ItemError as error:
        return error
    except MemoryError as error:
        return ItemError("memory_limit", f"it needs more memory than a worker may use {error}".strip())
    except EgovlmError:
        raise
    except Exception as error:
        if is_of_the_disk(error):
            raise  # every further item would fail through no fault of its own
        return unexpected(error)


def lost_worker(detail: str) -> ItemError:
    """The outcome of an item whose workers died."""
    return ItemError("worker_lost", f"{ATTEMPTS} workers died on it ({detail}): a codec crashed, or memory ran out")
