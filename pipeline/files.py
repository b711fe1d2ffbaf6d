"""Files that are whole or absent, and what they hold in one number."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
