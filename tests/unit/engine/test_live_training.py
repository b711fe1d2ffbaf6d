"""A training run whose completions come from a real engine. Skipped where `make engine` was not called."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.engine import Engine
from pipeline.grpo.clips import feature_cache
from pipeline.grpo.run import train
from tests.support.engine_policy import make_engine_policy, needs_engine
from tests.support.small_run import small_run

pytestmark = [needs_engine, pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_run_whose_engine_is_killed_between_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = make_engine_policy(tmp_path / "base")
    run = small_run(tmp_path, rollout="vllm", max_steps=3, dev_every=3)
    cache = feature_cache(policy, run.params.train_grpo, run.params.machine, tmp_path / "vision")
    asked: list[str] = []
    ask = Engine._ask

    def ask_of_the_killed(engine: Engine, bodies: Any) -> Any:
        asked.append(engine.version)
        if asked.count("1") == 2 and asked[-1] == "1":  # behind the check of equality: the rollout itself
            assert engine.server is not None
            os.kill(engine.server.process.pid, signal.SIGKILL)
        return ask(engine, bodies)

    monkeypatch.setattr(Engine, "_ask", ask_of_the_killed)
    numbers = train(replace(run, policy=policy, cache=cache))
    assert (numbers["steps"], numbers["skipped_steps"]) == (3, 0)
    assert asked == ["0", "0", "1", "1", "2", "2"]  # each step's weights: held to the policy's, then asked
    assert capsys.readouterr().err.count("engine: lost") == 1
    live = json.loads((tmp_path / "live/metrics.json").read_text())
    assert (
        0.8 < live["importance_ratio_mean"] <= 1.01
    )  # the engine never draws vision tokens, the policy gives them some
    assert 0 < live["importance_ratio_std"] < 0.2
