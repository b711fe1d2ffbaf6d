"""Budgets, early stop, the best step and live metrics."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file

from pipeline.grpo.callbacks import DevAccuracy, LiveMetrics, TimeBudget
from pipeline.grpo.checkpoints import Checkpoints, best_step, dev_scores
from pipeline.grpo.run import train
from tests.support.small_run import small_params, small_run, small_samples

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")


def state(step: int = 0, log: Any = ()) -> SimpleNamespace:
    return SimpleNamespace(global_step=step, log_history=list(log), is_world_process_zero=True, max_steps=10)


def control() -> SimpleNamespace:
    return SimpleNamespace(should_save=False, should_training_stop=False, should_log=False)


@pytest.mark.parametrize(
    ("scores", "step"),
    [({}, None), ({0: 0.9}, None), ({0: 0.9, 5: 0.1}, 5), ({5: 0.4, 10: 0.4, 15: 0.3}, 10), ({5: 0.4, 10: 0.5}, 10)],
)
def test_best_step(scores: dict[int, float], step: int | None) -> None:
    assert best_step(scores) == step


def test_dev_scores_come_from_the_log() -> None:
    assert dev_scores([{"loss": 1, "step": 1}, {"dev_accuracy": 0.5, "step": 2}]) == {2: 0.5}


def test_patience_counts_measurements_without_a_new_best(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small_params(patience=2, dev_every=1, max_steps=9).train_grpo
    scores = iter([0.2, 0.5, 0.4, 0.5])
    callback = DevAccuracy(SimpleNamespace(settings=settings), small_samples(2))
    now = state()
    monkeypatch.setattr(
        callback, "_measure", lambda: now.log_history.append({"dev_accuracy": next(scores), "step": now.global_step})
    )
    stops = []
    for step in (1, 2, 3, 4):
        now.global_step = step
        flow = control()
        callback.on_step_end(None, now, flow)
        assert flow.should_save
        stops.append(flow.should_training_stop)
    assert stops == [False, False, False, True]  # the tie at step 4 is no new best


def test_time_budget_saves_and_stops() -> None:
    late, early = TimeBudget(-1.0), TimeBudget(1000.0)
    for callback, expected in ((late, True), (early, False)):
        flow = control()
        callback.on_step_end(None, state(), flow)
        assert (flow.should_save, flow.should_training_stop) == (expected, expected)


def test_a_run_out_of_time_leaves_a_policy(tmp_path: Path) -> None:
    numbers = train(small_run(tmp_path, max_seconds=1e-3))
    assert numbers["steps"] == 1
    assert (tmp_path / "policy/model.safetensors").is_file()


def test_the_policy_is_the_best_step_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = iter([0, 5, 1, 0])  # at steps 0, 2, 4 and 6
    monkeypatch.setattr("pipeline.grpo.callbacks.count_correct", lambda *_: next(right))
    numbers = train(small_run(tmp_path, dev_every=2, keep_checkpoints=1, learning_rate=0.05))
    assert numbers["chosen_step"] == 2
    kept = sorted(p.name for p in (tmp_path / "checkpoints").glob("checkpoint-*"))
    assert kept == ["checkpoint-000002", "checkpoint-000006"]
    states = [p.name for p in (tmp_path / "checkpoints").glob("*/optimizer.pt")]
    assert states == ["optimizer.pt"]  # nobody goes on from the best one: two thirds of its size
    policy = load_file(tmp_path / "policy/model.safetensors")
    best = load_file(tmp_path / "checkpoints/checkpoint-000002/model.safetensors")
    assert all((policy[name] == best[name]).all() for name in best)


def test_the_best_checkpoint_may_be_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = Checkpoints(tmp_path, {}, 2)
    for step in (2, 4):
        (tmp_path / f"writing/checkpoint-{step}").mkdir(parents=True)
        (tmp_path / f"writing/checkpoint-{step}/model.safetensors").write_bytes(b"w")
        checkpoints.commit(tmp_path / "writing", step, {2: 0.5, 4: 0.4})
    scores = {0: 0.9, 2: 0.5, 3: 0.45, 4: 0.4}
    assert checkpoints.best(scores) == 2
    (checkpoints.path(2) / "model.safetensors").write_bytes(b"x")
    assert checkpoints.best(scores) == 4
    assert "step 2 is the best, but its checkpoint cannot be used: model.safetensors" in capsys.readouterr().err
    assert checkpoints.best({}) is None


def test_a_run_does_not_go_on_from_a_checkpoint_without_its_optimizer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path, {}, 1)
    for step in (2, 4):
        (tmp_path / f"writing/checkpoint-{step}").mkdir(parents=True)
        for name in ("model.safetensors", "optimizer.pt"):
            (tmp_path / f"writing/checkpoint-{step}/{name}").write_bytes(b"w")
        checkpoints.commit(tmp_path / "writing", step, {2: 0.5, 4: 0.4})
    assert checkpoints.start() == checkpoints.path(4)
    (checkpoints.path(4) / "optimizer.pt").write_bytes(b"x")
    assert checkpoints.start() is None
    assert "checkpoint-000002 is skipped: only its weights were kept" in capsys.readouterr().err
    assert checkpoints.best({2: 0.5, 4: 0.4}) == 2


def test_live_metrics_are_replayed_and_hold_no_times(tmp_path: Path) -> None:
    rows = [{"step": 1, "reward": 0.25, "step_time": 9.0}, {"step": 2, "reward": 0.5}]
    live = LiveMetrics(tmp_path / "live")
    live.on_train_begin(None, state(2, rows), None)
    live.on_log(None, state(3), None, {"reward": 1.0, "loss": -0.0, "grad_norm": float("nan")})
    live.on_train_end(None, state(3), None)
    assert (tmp_path / "live/plots/metrics/reward.tsv").read_text() == "step\treward\n1\t0.25\n2\t0.5\n3\t1.0\n"
    assert json.loads((tmp_path / "live/metrics.json").read_text()) == {"reward": 1.0, "loss": 0.0, "step": 3}
    assert sorted(p.name for p in (tmp_path / "live/plots/metrics").iterdir()) == ["loss.tsv", "reward.tsv"]
