"""A hub on the loopback interface that the ordinary `huggingface_hub` talks to: one model, one commit.

It knows what a download asks for: the model's description, its tree, and files by revision, with ETags, sizes and
Range; large files are found by a redirect, as on the real hub. Another revision is a 404 with the hub's code.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGE = (".safetensors", "tokenizer.json")


class Model:
    """The files of a folder as a hub's repository `name` at `commit`."""

    def __init__(self, folder: Path, name: str, commit: str) -> None:
        self.name, self.commit = name, commit
        self.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}

    def etag(self, file: str) -> str:
        """Sha256 of a large file, git's own digest of a small one."""
        content = self.files[file]
        if file.endswith(LARGE):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324

    def description(self) -> dict[str, Any]:
        """What `/api/models/<name>` answers."""
        siblings = [{"rfilename": file} for file in self.files]
        fixed = {"private": False, "gated": False, "disabled": False, "tags": [], "downloads": 0, "likes": 0}
        return {"id": self.name, "modelId": self.name, "sha": self.commit, "siblings": siblings, **fixed}

    def tree(self) -> list[dict[str, Any]]:
        """What `/api/models/<name>/tree/<revision>` answers."""
        found = []
        for file, content in self.files.items():
            entry: dict[str, Any] = {"type": "file", "path": file, "size": len(content), "oid": self.etag(file)}
            if file.endswith(LARGE):
                entry["lfs"] = {"oid": self.etag(file), "size": len(content), "pointerSize": 134}
            found.append(entry)
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model
    asked: list[str]

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: `asked` is the log."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(f"{self.command} {path}")
        name = re.escape(self.model.name)
        if found := re.fullmatch(rf"/api/models/{name}(?:/(revision|tree)/([^/]+))?(?:/.*)?", path):
            return self._describe(found[1], found[2])
        if found := re.fullmatch(rf"/{name}/resolve/([^/]+)/(.+)", path):
            return self._resolve(found[1], found[2])
        if (found := re.fullmatch(r"/large/(.+)", path)) and found[1] in self.model.files:
            return self._send_file(found[1])
        return self._refuse("EntryNotFound")

    def _describe(self, what: str | None, revision: str | None) -> None:
        if revision not in (None, "main", self.model.commit):
            return self._refuse("RevisionNotFound")
        body = json.dumps(self.model.tree() if what == "tree" else self.model.description()).encode()
        return self._send(200, {"Content-Type": "application/json"}, body)

    def _resolve(self, revision: str, file: str) -> None:
        if revision not in ("main", self.model.commit):
            return self._refuse("RevisionNotFound")
        if file not in self.model.files:
            return self._refuse("EntryNotFound")
        if not file.endswith(LARGE):
            return self._send_file(file)
        size, etag = len(self.model.files[file]), self.model.etag(file)
        linked = {"X-Repo-Commit": self.model.commit, "X-Linked-Size": str(size), "X-Linked-ETag": f'"{etag}"'}
        host, port = self.server.server_address[:2]
        return self._send(302, {**linked, "Location": f"http://{host!s}:{port}/large/{file}"}, b"")

    def _send_file(self, file: str) -> None:
        content, headers = self.model.files[file], {"Accept-Ranges": "bytes", "ETag": f'"{self.model.etag(file)}"'}
        headers["X-Repo-Commit"] = self.model.commit
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None:
            return self._send(200, headers, content)
        start, end = int(asked[1]), int(asked[2] or len(content) - 1) + 1
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        return self._send(206, headers, content[start:end])

    def _refuse(self, code: str) -> None:
        self._send(404, {"X-Error-Code": code}, b"")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def serving(model: Model) -> Iterator[tuple[str, list[str]]]:
    """Serve a model for a while; the address for HF_ENDPOINT, and the requests as they come."""
    asked: list[str] = []
    handler = type("Handler", (_Handler,), {"model": model, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
