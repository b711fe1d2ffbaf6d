"""The folder that a stage works in: one run of a stage at a time, and clear errors if the disk refuses a write."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.errors import StageError
from pipeline.files import locked
from pipeline.layout import DATA, LOCKS

WAIT_SECONDS = 15.0  # a run that was asked to end is gone by then
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_NEARLY_FULL_BYTES = 4 << 20
_SAID_FULL = re.compile(r"No space left on device|os error 28|Disk quota exceeded|disk is full", re.IGNORECASE)
_SAID_REFUSED = re.compile(r"Read-only file system|Permission denied|os error (30|13)")


@contextmanager
def sole_run(root: Path, stage: str) -> Iterator[None]:
    """Hold the lock of `stage` in `root` during the block: two processes of one stage would write the same files.

    Raises:
        StageError: another process still runs the stage after `WAIT_SECONDS`, or data/ is not writable.
    """
    path = root / LOCKS / stage
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(path, WAIT_SECONDS))
            path.write_text(str(os.getpid()), encoding="utf-8")
        except TimeoutError as error:
            holder = path.read_text(encoding="utf-8").strip() or "unknown"
            raise StageError(
                f"another run of {stage} (process {holder}) is active in {path.parents[2].resolve()}: wait for it "
                "or end it, then run this again"
            ) from error
        except OSError as error:
            refusal = disk_refusal(error, root / DATA)
            raise StageError(refusal or f"{path} cannot be opened: {error.strerror}") from error
        yield


def disk_refusal(error: BaseException, data: Path) -> str | None:
    """What to say if `error` or its cause is a full or read-only disk; None for anything else.

    Libraries (safetensors, PyTorch, Arrow) wrap the system's error in their own, so their texts are read too.
    """
    for cause in _causes(error):
        number = getattr(cause, "errno", None)
        said = str(cause)
        if number in _FULL or _SAID_FULL.search(said):
            return _full(data)
        if number in _REFUSED or _SAID_REFUSED.search(said):
            where = getattr(cause, "filename", None) or said
            return f"cannot write: {where} ({os.strerror(number) if number else 'refused'}): make data/ writable"
    with_room = not data.is_dir() or shutil.disk_usage(data).free > _NEARLY_FULL_BYTES
    return None if with_room else _full(data)


def is_of_the_disk(error: BaseException) -> bool:
    """Whether `error` or its cause is a full or read-only disk, and not the current item's fault."""
    return any(
        getattr(cause, "errno", None) in _FULL | {errno.EROFS} or _SAID_FULL.search(str(cause))
        for cause in _causes(error)
    )


def stop_if_full(error: BaseException, folder: Path) -> None:
    """If `error` is a full disk, stop the stage: every further item would fail through no fault of its own.

    Raises:
        StageError: the disk is full.
    """
    if any(getattr(cause, "errno", None) in _FULL for cause in _causes(error)):
        raise StageError(_full(folder)) from error


def _full(data: Path) -> str:
    free = shutil.disk_usage(data).free if data.is_dir() else 0
    return (
        f"the disk of {data.resolve()} is full ({free / 2**20:.1f} MiB free): free some space, then run this again; "
        "finished work is kept"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
