"""Files that are whole or absent, what they hold in one number, and who may write them."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a new `path`: beside it, moved into its place when the block ends well.

    An exception in the block, or a kill, leaves the old file as it was. The folder is made if it is missing.

    >>> with replacing(Path("/tmp/egovlm-doctest.txt")) as partial:
    ...     _ = partial.write_text("whole")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    yield partial
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, wait_seconds: float, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the lock file `path` for the block; `on_wait` is called once if somebody else holds it.

    The lock is the operating system's and ends with its process: after a kill there is nothing to clean up.

    Raises:
        TimeoutError: it is still held after `wait_seconds`.
    """
    lock = FileLock(path, fallback_to_soft=False)  # a soft lock would outlive a killed process
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait:
            on_wait()
        lock.acquire(timeout=wait_seconds)
    try:
        yield
    finally:
        lock.release()
