"""One run at a time per project, enforced by the operating system.

A file lock dies with its process, so its holder is alive or there is none. (Prefect's deployment concurrency limits
kept their slots after a `kill -9`, and late runs escaped them.) A note beside the lock says who holds it and when
its stage last printed a line.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import psutil

from flows.dvc.errors import ProjectBusy
from flows.dvc.project import Project
from flows.processes.guard import GRACE_SECONDS
from pipeline.files import locked, write_json


@dataclass(frozen=True)
class LockHolder:
    """Who holds a project: `run` is a Prefect flow run id or a word for a run without Prefect."""

    run: str
    pid: int
    host: str
    since: float  # Unix time


def read_holder(project: Project) -> LockHolder | None:
    """Who holds the project, or held it last and died without releasing it."""
    try:
        return LockHolder(**json.loads((project.private / "holder.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def silent_seconds(project: Project) -> float:
    """Seconds since the holder's stage last printed a line."""
    try:
        return time.time() - (project.private / "alive").stat().st_mtime
    except OSError:
        return 0.0


def heartbeat(project: Project) -> None:
    """Record that the running stage printed a line."""
    (project.private / "alive").touch()


@contextmanager
def project_lock(
    project: Project, run: str, wait_seconds: float = 0.0, on_wait: Callable[[LockHolder | None], None] | None = None
) -> Iterator[LockHolder | None]:
    """Hold the project for the block. Yields the previous holder if it died without releasing the project, else None.

    Raises:
        ProjectBusy: another run still holds it after `wait_seconds`.
    """
    project.private.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            waiting = (lambda: on_wait(read_holder(project))) if on_wait and wait_seconds else None
            held.enter_context(locked(project.private / "lock", wait_seconds, waiting))
        except TimeoutError as error:
            raise ProjectBusy(_busy(project)) from error
        dead = read_holder(project)
        note = project.private / "holder.json"
        write_json(note, asdict(LockHolder(run, os.getpid(), socket.gethostname(), time.time())))
        heartbeat(project)
        try:
            yield dead
        finally:
            note.unlink(missing_ok=True)


def _busy(project: Project) -> str:
    holder = read_holder(project)
    if holder is None:
        return f"another run holds {project.root}"
    minutes = (time.time() - holder.since) / 60
    return (
        f"run {holder.run} (process {holder.pid} on {holder.host}) has held {project.root} for {minutes:.0f} min; "
        f"last output {silent_seconds(project):.0f} s ago"
    )


def end_holder(project: Project) -> LockHolder | None:
    """End the process that holds the project (its guard ends the stage). Returns who it was, None if there is none
    here."""
    holder = read_holder(project)
    if holder is None or holder.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(holder.pid)
        if process.create_time() > holder.since + 1:  # the process id has been reused since
            return None
        process.terminate()
        _, alive = psutil.wait_procs([process], timeout=2 * GRACE_SECONDS)
        for stubborn in alive:
            stubborn.kill()
    except psutil.NoSuchProcess:
        pass
    return holder
