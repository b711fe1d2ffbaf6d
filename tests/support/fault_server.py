"""A web server on the loopback interface that serves a folder, with faults on demand."""

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class FaultServer(ThreadingHTTPServer):
    """Files of `folder` by name. `plan[path]` is a list of faults, one taken per request; without one the file is
    served. With `versions` it sends an ETag and minds If-Range.

    Faults: an integer (that HTTP status), `reset` and `truncated` (the connection ends half way), `slow` (a few
    bytes, then nothing). `no_range` ignores the Range header, `wrong` sends other bytes, `huge` claims 10 GB,
    `gzip` compresses unasked. There are also `redirect`, `to:ADDRESS` (redirect there), `later` (429 until a
    date) and `expired_key` (S3's 400).
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.plan: dict[str, list[Any]] = {}
        self.requests: Counter[str] = Counter()
        self.ranges: list[str | None] = []
        self.sent_bytes = 0
        self.versions = False
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultServer

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        name = self.path.split("?")[0].lstrip("/")
        with self.server.lock:
            self.server.requests[name] += 1
            self.server.ranges.append(self.headers.get("Range"))
            faults = self.server.plan.get(name, [])
            fault = faults.pop(0) if faults else None
        if isinstance(fault, int):
            return self._status(fault)
        if fault == "redirect":
            return self._status(302, Location=f"{self.server.url}/{name}?moved=1")
        if fault == "later":
            return self._status(429, **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
        if fault == "expired_key":
            return self._status(400, b"<Code>ExpiredToken</Code>")
        if isinstance(fault, str) and fault.startswith("to:"):
            return self._status(302, Location=fault[3:])
        path = self.server.folder / name
        if not path.is_file():
            return self._status(404)
        return self._file(path, fault)

    def _status(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for key, value in (({"Retry-After": "0"} if code == 429 else {}) | headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: Path, fault: str | None) -> None:
        data = path.read_bytes()
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        asked = self.headers.get("If-Range")
        start = self._start("no_range" if self.server.versions and asked not in (None, etag) else fault)
        if start >= len(data):
            return self._status(416, **{"Content-Range": f"bytes */{len(data)}"})
        body = data[start:]
        self.send_response(206 if start else 200)
        if self.server.versions:
            self.send_header("ETag", etag)
        if fault == "gzip":
            self.send_header("Content-Encoding", "gzip")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(10 << 30) if fault == "huge" else str(len(body)))
        self.end_headers()
        return self._body(body, fault)

    def _start(self, fault: str | None) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        return int(match.group(1)) if match and fault != "no_range" else 0

    def _body(self, body: bytes, fault: str | None) -> None:
        if fault == "wrong":
            body = bytes(len(body))
        cut = len(body) // 2 if fault in ("reset", "truncated", "huge") else 100 if fault == "slow" else len(body)
        with self.server.lock:  # before they are sent: whoever has received them may look at once
            self.server.sent_bytes += cut
        try:
            self.wfile.write(body[:cut])
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            return
        if fault == "slow":
            time.sleep(1.5)
        if cut < len(body):
            self.close_connection = True


@contextmanager
def serving(folder: Path) -> Iterator[FaultServer]:
    """A running server, closed at the end."""
    server = FaultServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
