"""One file over HTTP: resumed where a checksum makes that safe, retried with back-off, whole or absent."""

import http.client
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from pipeline.errors import ItemError

CHUNK = 1 << 20
SLOWEST_BYTES_PER_SECOND = 1024
_LONGEST_WAIT = 60.0
_SIGNED = ("x-amz-expires", "x-amz-signature", "expires", "signature", "se", "sig", "x-goog-expires")


@dataclass(frozen=True)
class Limits:
    """`retries` are attempts in a row that bring no new byte; a connection is slow when `timeout_seconds` pass without
    at least `SLOWEST_BYTES_PER_SECOND`; no file may be larger than `max_bytes`."""

    retries: int
    timeout_seconds: float
    max_bytes: int
    first_wait_seconds: float = 0.5


class _Again(Exception):
    """This attempt failed; another may not. `wait` is what the server asks for, seconds."""

    def __init__(self, reason: str, detail: str, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.wait = reason, detail, wait


def download(url: str, target: Path, limits: Limits, resume: bool) -> Path:
    """Fetch `url` to `target`.

    With `resume`, what an earlier attempt or run left in `<target>.partial` is continued by a Range request; the caller
    must then check the result against a checksum, for only that tells one version of a file from another.

    Raises:
        ItemError: `unsafe_url`, `expired_link`, `forbidden`, `not_found`, `too_large`, `no_space`, or after all retries
            `http_error`, `rate_limited`, `connection`, `slow`, `truncated`.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ItemError("unsafe_url", f"expected http or https, found {url[:100]!r}")
    partial = target.with_name(target.name + ".partial")
    if not resume:
        partial.unlink(missing_ok=True)
    failures = 0
    while True:
        before = _size(partial)
        try:
            _attempt(url, partial, limits)
            return partial.replace(target)
        except _Again as error:
            failures = 0 if _size(partial) > before else failures + 1
            if failures > limits.retries:
                raise ItemError(error.reason, f"{error.detail} ({failures} attempts)") from error
            time.sleep(min(_LONGEST_WAIT, max(error.wait, limits.first_wait_seconds * 2 ** max(0, failures - 1))))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _attempt(url: str, partial: Path, limits: Limits) -> None:
    offset = _size(partial)
    headers = {"Accept-Encoding": "identity", "User-Agent": "egovlm"} | (
        {"Range": f"bytes={offset}-"} if offset else {}
    )
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (scheme checked by the caller)
    try:
        with urllib.request.urlopen(request, timeout=limits.timeout_seconds) as response:  # noqa: S310
            start, total = _place(response.status, response.headers, offset)
            _check_size(total, start, partial, limits)
            _receive(response, partial, start, total, limits)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            _explain_status(error, url, partial, offset)
    except TimeoutError as error:
        raise _Again("slow", f"less than {SLOWEST_BYTES_PER_SECOND} bytes/s for {limits.timeout_seconds} s") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        if isinstance(getattr(error, "reason", None), TimeoutError):
            raise _Again("slow", "no connection in time") from error
        raise _Again("connection", f"{type(error).__name__}: {error}") from error


def _place(status: int, headers: Message, offset: int) -> tuple[int, int | None]:
    """Where the answer's first byte belongs, and the whole file's size where it is known."""
    length = headers.get("Content-Length")
    if status == 206:
        unit, _, rest = (headers.get("Content-Range") or "").partition(" ")
        first, _, total = rest.partition("/")
        if unit != "bytes" or first.split("-")[0] != str(offset):
            raise _Again("http_error", f"asked for bytes from {offset}, got {headers.get('Content-Range')!r}")
        return offset, int(total) if total.isdigit() else None
    return 0, int(length) if length is not None and length.isdigit() else None


def _check_size(total: int | None, start: int, partial: Path, limits: Limits) -> None:
    if total is None:
        return
    if total > limits.max_bytes:
        raise ItemError("too_large", f"the server offers {total} bytes, max_bytes is {limits.max_bytes}")
    free = shutil.disk_usage(partial.parent).free
    if total - start > free:
        raise ItemError("no_space", f"{total - start} bytes are missing and {free} are free")


def _receive(response: Any, partial: Path, start: int, total: int | None, limits: Limits) -> None:
    mark, marked = time.monotonic(), start
    received = start
    with partial.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        while piece := response.read1(CHUNK):
            received += len(piece)
            if received > limits.max_bytes:
                file.truncate(0)
                raise ItemError("too_large", f"more than max_bytes = {limits.max_bytes}")
            file.write(piece)
            now = time.monotonic()
            if now - mark > limits.timeout_seconds:
                if received - marked < SLOWEST_BYTES_PER_SECOND * (now - mark):
                    raise TimeoutError
                mark, marked = now, received
    if total is not None and received != total:
        raise _Again("truncated", f"{received} of {total} bytes")


def _explain_status(error: urllib.error.HTTPError, url: str, partial: Path, offset: int) -> None:
    code = error.code
    if code == 416:  # nothing after `offset`: the partial file is of another size than the server's
        if error.headers.get("Content-Range") == f"bytes */{offset}":
            return
        partial.unlink(missing_ok=True)
        raise _Again("http_error", f"no bytes from {offset} on") from error
    if code in (401, 403):
        names = {name.lower() for name, _ in urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)}
        if names & set(_SIGNED) or b"xpired" in error.read(4096):
            raise ItemError(
                "expired_link", f"HTTP {code}: the link was valid for a time; get a new manifest"
            ) from error
        raise ItemError("forbidden", f"HTTP {code}: log in or accept the licence") from error
    if code in (404, 410):
        raise ItemError("not_found", f"HTTP {code}") from error
    if code in (429, 503):
        raise _Again("rate_limited", f"HTTP {code}", _seconds(error.headers.get("Retry-After"))) from error
    if code >= 500 or code == 408:
        raise _Again("http_error", f"HTTP {code}") from error
    raise ItemError("http_error", f"HTTP {code}") from error


def _seconds(value: str | None) -> float:
    return float(value) if value is not None and value.isdigit() else 0.0
