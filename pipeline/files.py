"""Files that are whole or absent, digests of their contents, and file locks."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a new `path`: a temporary file beside it, moved into place if the block succeeds.

    An exception in the block, or a kill, leaves the old file unchanged. The partial file is deleted, after a kill by
    the next attempt. The folder is created if it is missing.

    >>> with replacing(Path("/tmp/egovlm-doctest.txt")) as partial:
    ...     _ = partial.write_text("whole")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill. It replaces `folder` if the block succeeds; otherwise `folder` is unchanged."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically; half a character (a lone surrogate) becomes `?`."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, wait_seconds: float, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the lock file `path` during the block; `on_wait` is called once if another process holds it.

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
