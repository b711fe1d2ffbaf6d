"""Download one file over HTTP: resumed if that is safe, retried with back-off, whole or absent.

A partial file is continued if the caller has a checksum for the whole, or if the server still reports the same
version. (ETag or Last-Modified is kept in `<target>.version` and sent as If-Range: RFC 9110, 13.1.5.)
"""

import contextlib
import email.utils
import http.client
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from pipeline.errors import ItemError, StageError
from pipeline.sources.part import PartialDownload
from pipeline.workspace import stop_if_full

CHUNK = 1 << 20
SLOWEST_BYTES_PER_SECOND = 1024
_LONGEST_WAIT = 60.0
_SIGNED = ("x-amz-expires", "x-amz-signature", "expires", "signature", "se", "sig", "x-goog-expires")


@dataclass(frozen=True)
class DownloadLimits:
    """`retries` are attempts in a row that bring no new byte. A connection is slow if `timeout_seconds` pass below
    `SLOWEST_BYTES_PER_SECOND`. No file may be larger than `max_bytes`."""

    retries: int
    timeout_seconds: float
    max_bytes: int
    first_wait_seconds: float = 0.5


class _Again(Exception):
    """This attempt failed, but another may succeed. `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, detail: str, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.wait = reason, detail, wait


def download(url: str, target: Path, limits: DownloadLimits, checked: bool, expected: int | None = None) -> Path:
    """Fetch `url` to `target`.

    What an earlier attempt or run left in `<target>.partial` is continued by a Range request in two cases. Either
    the server reports the same version as then, or the caller will verify a checksum (`checked`). `expected` is the
    size in bytes, if known.

    Raises:
        ItemError: `unsafe_url`, `unsafe_redirect`, `redirect_loop`, `expired_link`, `forbidden`, `not_found`,
            `too_large`, `wrong_size`, `encoded`, or after all retries `http_error`, `rate_limited`, `connection`,
            `slow`, `truncated`.
        StageError: the disk is full.
    """
    check_address(url)
    part = PartialDownload(target, checked, expected)
    failures = reached = 0
    while True:
        part.distrust()
        try:
            _attempt(url, part, limits)
            return part.finish()
        except _Again as error:
            failures = 0 if part.size > reached else failures + 1
            reached = max(reached, part.size)
            if failures > limits.retries:
                raise ItemError(error.reason, f"{error.detail} ({failures} attempts)") from error
            time.sleep(min(_LONGEST_WAIT, max(error.wait, limits.first_wait_seconds * 2 ** max(0, failures - 1))))


def check_address(url: str, reason: str = "unsafe_url") -> None:
    """Refuse anything but a plain web address.

    Raises:
        ItemError: with `reason`: a scheme other than http and https, no host, or a password in the address (it would
            end up in manifests and logs).
    """
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ItemError(reason, f"expected http or https, found {url[:100]!r}")
    if parts.username is not None or parts.password is not None:
        raise ItemError(reason, f"the address of {parts.hostname} contains a user name or password")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects to plain web addresses only, and never from https to http."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> Any:
        there = urllib.parse.urljoin(req.full_url, headers.get("Location") or headers.get("URI") or "")
        with contextlib.ExitStack() as closing:
            closing.callback(fp.close)  # urllib leaves it open if the redirect is refused
            check_address(there, "unsafe_redirect")
            if req.type == "https" and not there.startswith("https:"):
                raise ItemError("unsafe_redirect", f"redirected from https to {there[:100]!r}")
            closing.pop_all()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


_OPENER = urllib.request.build_opener(_Redirects)


def _attempt(url: str, part: PartialDownload, limits: DownloadLimits) -> None:
    offset, version = part.size, part.version
    headers = {"Accept-Encoding": "identity", "User-Agent": "egovlm"}
    headers |= {"Range": f"bytes={offset}-"} if offset else {}
    headers |= {"If-Range": version} if version else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (scheme checked by the caller)
    try:
        with _OPENER.open(request, timeout=limits.timeout_seconds) as response:
            start, total = _place(response.status, response.headers, offset)
            _check_encoding(response.headers)
            _check_size(total, start, part, limits)
            if not start:
                part.discard()
                part.remember(response.headers)
            _receive(response, part.path, start, total, limits)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            _explain_status(error, url, part, offset)
    except TimeoutError as error:
        raise _Again("slow", f"less than {SLOWEST_BYTES_PER_SECOND} bytes/s for {limits.timeout_seconds} s") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        stop_if_full(error, part.path.parent)
        if isinstance(getattr(error, "reason", None), TimeoutError):
            raise _Again("slow", "no connection in time") from error
        raise _Again("connection", f"{type(error).__name__}: {error}") from error


def _place(status: int, headers: Message, offset: int) -> tuple[int, int | None]:
    """The offset of the response's first byte, and the whole file's size if known."""
    length = headers.get("Content-Length")
    if status == 206:
        unit, _, rest = (headers.get("Content-Range") or "").partition(" ")
        first, _, total = rest.partition("/")
        if unit != "bytes" or first.split("-")[0] != str(offset):
            raise _Again("http_error", f"asked for bytes from {offset}, got {headers.get('Content-Range')!r}")
        return offset, int(total) if total.isdigit() else None
    return 0, int(length) if length is not None and length.isdigit() else None


def _check_encoding(headers: Message) -> None:
    """Refuse bytes that a server compressed despite being asked not to: they are not the file, nor a Range of it."""
    encoding = (headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise ItemError(
            "encoded", f"the server sends the file as {encoding} although asked not to: fix the server's settings"
        )


def _check_size(total: int | None, start: int, part: PartialDownload, limits: DownloadLimits) -> None:
    if total is None:
        return
    if part.expected is not None and total != part.expected:
        raise ItemError("wrong_size", f"expected {part.expected} bytes, but the server offers {total}")
    if total > limits.max_bytes:
        raise ItemError("too_large", f"the server offers {total} bytes, but max_bytes is {limits.max_bytes}")
    free = shutil.disk_usage(part.path.parent).free
    if total - start > free:
        folder = part.path.parent.resolve()
        raise StageError(f"the disk of {folder} is full: {total - start} bytes are needed and {free} are free")


def _receive(response: Any, partial: Path, start: int, total: int | None, limits: DownloadLimits) -> None:
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


def _explain_status(error: urllib.error.HTTPError, url: str, part: PartialDownload, offset: int) -> None:
    code = error.code
    if code in (301, 302, 303, 307, 308):  # urllib follows ten of them, and no address more than four times
        raise ItemError("redirect_loop", f"HTTP {code}: redirected in a circle, or to nowhere") from error
    if code == 416:  # nothing after `offset`: the partial file is of another size than the server's
        if error.headers.get("Content-Range") == f"bytes */{offset}":
            return
        part.discard()
        raise _Again("http_error", f"no bytes from {offset} on") from error
    if code in (400, 401, 403):
        names = {name.lower() for name, _ in urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)}
        signed = code != 400 and bool(names & set(_SIGNED))
        if signed or b"xpired" in error.read(4096):  # S3 answers 400 ExpiredToken if the session's key is too old
            raise ItemError("expired_link", f"HTTP {code}: the link has expired; get a new manifest") from error
    if code in (401, 403):
        raise ItemError("forbidden", f"HTTP {code}: log in or accept the licence") from error
    if code in (404, 410):
        raise ItemError("not_found", f"HTTP {code}") from error
    if code in (429, 503):
        raise _Again("rate_limited", f"HTTP {code}", _seconds(error.headers.get("Retry-After"))) from error
    if code >= 500 or code == 408:
        raise _Again("http_error", f"HTTP {code}") from error
    raise ItemError("http_error", f"HTTP {code}") from error


def _seconds(value: str | None) -> float:
    """Retry-After: a number of seconds or a date."""
    if value is None or value.isdigit():
        return float(value or 0)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
