"""A partially downloaded file."""

from email.message import Message
from pathlib import Path


class PartialDownload:
    """The bytes of a file that have arrived so far, and the version of the file they belong to."""

    def __init__(self, target: Path, checked: bool, expected: int | None) -> None:
        self.target, self.checked, self.expected = target, checked, expected
        self.path = target.with_name(target.name + ".partial")
        self._version = target.with_name(target.name + ".version")

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> str:
        """The server's name of the version; empty if it gave none or nothing has arrived."""
        return self._version.read_text(encoding="latin-1") if self._version.is_file() and self.size else ""

    def remember(self, headers: Message) -> None:
        """Take the version from a response's headers; a weak ETag ("about the same") does not count."""
        etag = headers.get("ETag") or ""
        version = etag if etag.startswith('"') else headers.get("Last-Modified") or ""
        self._version.write_text(version, encoding="latin-1") if version else self._version.unlink(missing_ok=True)

    def distrust(self) -> None:
        """Start again if it is impossible to tell whether the rest is of the same version."""
        if not (self.checked or self.version):
            self.discard()

    def discard(self) -> None:
        """Forget what has arrived."""
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def finish(self) -> Path:
        """The whole file under its own name."""
        self._version.unlink(missing_ok=True)
        return self.path.replace(self.target)
