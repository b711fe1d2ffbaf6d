"""Functions for worker processes of the tests: good, bad, crashing, hanging and buggy."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from pipeline.errors import ItemError, StageError


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Do what `task["do"]` says; a successful result holds `value`."""
    do = task.get("do")
    if "log" in task:
        with Path(task["log"]).open("a") as log:
            log.write(f"{task['value']}\n")
    if do == "bad":
        raise ItemError("truncated", "by order")
    if do == "crash" or (do == "crash once" and _first_time(task)):
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "hang":
        time.sleep(3600)
    if do == "bug":
        raise ZeroDivisionError("a bug")
    if do == "stop":
        raise StageError("the disk is full")
    return {"value": task["value"]}


def _first_time(task: dict[str, Any]) -> bool:
    marker = Path(task["marker"])
    if marker.exists():
        return False
    marker.touch()
    return True
