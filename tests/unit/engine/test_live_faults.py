"""What can happen to a real engine (vLLM on CPU), each once. Skipped where `make engine` was not called."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.client import Client
from pipeline.engine.engine import CHAT, Engine
from pipeline.engine.server import free_port
from pipeline.errors import ModelError
from pipeline.models.generate import generate
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from tests.support.engine_policy import make_engine_policy, make_options, needs_engine
from tests.support.random_policy import ask, make_clip

pytestmark = [needs_engine, pytest.mark.slow, pytest.mark.timeout(900)]

CLIPS = {f"c{i}": make_clip(i, frames=2 + i % 3) for i in range(4)}
PROMPTS = [ask("what is taken ? " + "cup " * (i % 3), f"c{i % 4}") for i in range(12)]
GREEDY = Sampling(8, temperature=0.0)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return make_engine_policy(tmp_path_factory.mktemp("policy") / "0", 0)


@pytest.fixture(scope="module")
def engine(policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(make_options(tmp_path_factory.mktemp("engine"), answer_seconds=30)) as engine:
        engine.load(Path(policy.folder), "0")
        yield engine


def assert_same(engine: Engine, policy: Policy) -> None:
    theirs = engine.complete(policy, PROMPTS, CLIPS, GREEDY, 1, ["s"] * len(PROMPTS))
    ours = generate(policy, PROMPTS, CLIPS, GREEDY)
    assert [group[0].token_ids for group in theirs] == [group[0].token_ids for group in ours]


def test_kill_9_while_it_answers_costs_one_start_and_no_answer_twice(
    engine: Engine, policy: Policy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    starts, answered = engine.starts, []
    post = Client.post

    def post_and_kill(client: Client, path: str, body: Any = None) -> Any:
        answer = post(client, path, body)
        if path == CHAT:
            answered.append(str(body["messages"]))
            if len(answered) == 4:
                os.kill(engine.server.process.pid, signal.SIGKILL)
        return answer

    monkeypatch.setattr(Client, "post", post_and_kill)
    monkeypatch.setattr("pipeline.engine.client._AT_ONCE", 2)  # so that others are under way and others not yet sent
    assert_same(engine, policy)
    assert engine.starts == starts + 1
    assert len(answered) == len(PROMPTS)
    assert capsys.readouterr().err.count("engine: lost: it died") == 1


def test_a_hanging_engine_is_replaced(engine: Engine, policy: Policy, capsys: pytest.CaptureFixture[str]) -> None:
    starts = engine.starts
    os.kill(engine.server.process.pid, signal.SIGSTOP)
    assert_same(engine, policy)
    assert engine.starts == starts + 1
    assert f"engine: lost: it did not answer {CHAT} within 30 s" in capsys.readouterr().err


def test_weights_of_another_model_are_named_and_leave_no_trace(engine: Engine, policy: Policy, tmp_path: Path) -> None:
    starts = engine.starts
    make_engine_policy(tmp_path / "wide", 1, width=256)
    with pytest.raises(ModelError, match=r"does not take the weights of .*wide: "):
        engine.load(tmp_path / "wide", "1")
    engine.load(Path(policy.folder), "0")
    assert_same(engine, policy)
    assert engine.starts == starts + 1


def test_weights_that_another_put_there_are_noticed(engine: Engine, policy: Policy) -> None:
    engine._client.post("/update_weight_version", {"new_version": "41"})
    with pytest.raises(ModelError, match="the engine holds weights '41', '0' were loaded: not one answer counts"):
        assert_same(engine, policy)
    engine.load(Path(policy.folder), "0")
    assert_same(engine, policy)


class Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def taken_ports() -> Iterator[list[int]]:
    """One that another server answers on, one that nobody ever answers on."""
    with HTTPServer(("127.0.0.1", 0), Stranger) as stranger, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        thread = threading.Thread(target=stranger.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield [stranger.server_port, silent.getsockname()[1]]
        stranger.shutdown()
        thread.join()


def test_a_taken_port_is_left_for_another(
    policy: Policy,
    taken_ports: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    waiting = iter(taken_ports)
    monkeypatch.setattr("pipeline.engine.server.free_port", lambda: next(waiting, None) or free_port())
    with Engine(make_options(tmp_path)) as engine:
        engine.load(Path(policy.folder), "0")
        assert engine.starts == 3
        assert_same(engine, policy)
    said = capsys.readouterr().err
    assert f"engine: lost: port {taken_ports[0]} was taken by another server (it answers 404)" in said
    assert "engine: lost: its port was taken by another program meanwhile" in said


@pytest.mark.parametrize(
    ("model_type", "machine", "said"),
    [
        ("qwen9_vl", {}, "the engine did not start: .*qwen9_vl"),
        ("qwen2_5_vl", {"cpu_cache_gigabytes": 100_000}, "out of memory .*on a CPU cpu_cache_gigabytes"),
    ],
)
def test_what_another_start_would_not_mend_stops_at_once(
    model_type: str, machine: dict[str, float], said: str, tmp_path: Path
) -> None:
    make_engine_policy(tmp_path / "policy")
    config = json.loads((tmp_path / "policy/config.json").read_text())
    (tmp_path / "policy/config.json").write_text(json.dumps({**config, "model_type": model_type}))
    engine = Engine(make_options(tmp_path / "room", **machine))
    with pytest.raises(ModelError, match=said), engine:
        engine.load(tmp_path / "policy", "0")
    assert engine.starts == 1
