"""Batches in which a lever finds nothing: a run goes on, and a step that cannot be computed is left out and counted."""

import gc
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import StageError
from pipeline.grpo.checkpoints import Checkpoints
from pipeline.grpo.run import TrainingRun, make_trainer, silence_libraries, train
from pipeline.grpo.trainer import VideoGRPOTrainer
from pipeline.models.generate import make_completion
from tests.support.given_texts import Write, half_right, right, with_rollout, wrong
from tests.support.small_run import small_run

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")

MASKED: dict[str, Any] = {"mask_truncated_completions": True}
FEW = {"max_steps": 2, "dev_every": 2, "save_steps": 1}


def one_question_truncated(_: Any, sample: Any, g: int) -> str:
    """Of the first question nothing ends."""
    return "red cup blue" if sample.question_id == "q00" else right(_, sample, g)


@pytest.mark.parametrize("share_prompt", [True, False], ids=["shared", "separate"])
@pytest.mark.parametrize(
    ("write", "overrides"),
    [
        (right, {}),
        (wrong, {"scale_rewards": "batch"}),
        (lambda *_: "", {**MASKED}),
        (lambda *_: "red", {"max_completion_length": 1}),
        (one_question_truncated, {**MASKED, "gradient_accumulation_steps": 4, "beta": 0.1}),
        (one_question_truncated, {**MASKED, "steps_per_generation": 2, "dev_every": 2, "save_steps": 2}),
    ],
    ids=["all-right", "all-wrong", "no-tokens", "one-token", "one-question-truncated", "one-update-truncated"],
)
def test_a_dull_batch_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write, overrides: dict[str, Any], share_prompt: bool
) -> None:
    with_rollout(monkeypatch, write)
    run = small_run(tmp_path, **{**FEW, "share_prompt": share_prompt, **overrides})
    if "beta" in overrides:
        run = with_base_folder(run, tmp_path)
    numbers = train(replace(run, train=run.train[:4]))  # question q00 is in every step
    assert numbers["steps"] == 2
    assert numbers["skipped_steps"] == 0
    assert all(torch.isfinite(w).all() for w in load_file(tmp_path / "policy/model.safetensors").values())


def with_base_folder(run: TrainingRun, folder: Path) -> TrainingRun:
    """The reference model is loaded from the policy's origin."""
    from pipeline.models.policy import load_policy

    run.policy.model.save_pretrained(folder / "base")
    run.policy.tokenizer.save_pretrained(folder / "base")
    return replace(run, policy=load_policy(folder / "base"))


def test_truncated_completions_leave_no_trace_in_the_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of four questions, of which one is all truncated, is that of the other three."""

    def gradient(name: str, questions: int, shared: bool) -> torch.Tensor:
        run = small_run(tmp_path / name, **MASKED, loss_type="dr_grpo", share_prompt=shared)
        with silence_libraries():
            trainer = make_trainer(run, Checkpoints(tmp_path / name, run.origin, 2))
        trainer.current_gradient_accumulation_steps = 1
        trainer.model.train()
        rows = [{"question_id": s.question_id} for s in run.train[4 - questions : 4] for _ in range(4)]
        batch = trainer._generate_and_score_completions(rows)
        batch["advantages"] = torch.arange(4.0).repeat(questions)
        (trainer._compute_loss(trainer.model, batch) * questions).backward()
        return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])

    with_rollout(monkeypatch, one_question_truncated)
    three = gradient("three", 3, True)
    assert three.norm() > 1e-3
    for shared in (True, False):
        four = gradient(f"four{shared}", 4, shared)
        assert (four - three).norm() < 1e-5 * three.norm()


def test_samples_without_key_times_train(tmp_path: Path) -> None:
    run = small_run(tmp_path, **FEW)
    bare = [replace(s, key_seconds=(), key_targets=()) for s in run.train]
    assert train(replace(run, train=bare))["steps"] == 2


def test_one_question_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run(tmp_path, **FEW)
    numbers = train(replace(run, train=run.train[:1]))
    assert (numbers["steps"], numbers["questions_per_step"]) == (2, 1)
    assert "each step takes 1" in capsys.readouterr().err


def test_a_step_with_nothing_to_learn_from_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All completions of step 2 are truncated; so they are at every restart, for rollouts repeat."""

    def write(trainer: VideoGRPOTrainer, sample: Any, g: int) -> str:
        return "red cup" if trainer.state.global_step == 1 else half_right(trainer, sample, g)

    with_rollout(monkeypatch, write)
    run = small_run(tmp_path, max_steps=4, dev_every=4, keep_checkpoints=4, weight_decay=0.1, **MASKED)
    numbers = train(run)
    assert (numbers["steps"], numbers["skipped_steps"]) == (4, 1)
    said = capsys.readouterr().err
    assert "train_grpo: step 2 is skipped: every completion hit max_completion_length" in said
    before, after = (load_file(checkpoint / "model.safetensors") for checkpoint in checkpoints_of(run)[:2])
    assert all(torch.equal(before[name], after[name]) for name in before)
    shown = (tmp_path / "live/plots/metrics/skipped.tsv").read_text()
    assert shown == "step\tskipped\n2\t1.0\n"


def checkpoints_of(run: TrainingRun) -> list[Path]:
    return sorted(run.checkpoints.glob("checkpoint-*"))


@contextmanager
def explode(monkeypatch: pytest.MonkeyPatch, steps: set[int], value: str) -> Iterator[None]:
    """Loss or gradient is no number at some steps of a real run, whenever they are tried."""
    real = VideoGRPOTrainer._compute_loss

    def burst(self: Any, model: Any, inputs: Any) -> Any:
        if self.state.global_step + 1 in steps and value == "loss":
            inputs = {**inputs, "advantages": inputs["advantages"] * float("nan")}
        loss = real(self, model, inputs)
        zero = next(p for p in model.parameters() if p.requires_grad).flatten()[0] * 0
        burst_here = self.state.global_step + 1 in steps and value == "gradient"
        return loss + (zero.abs().sqrt() if burst_here else 0.0)  # the root's slope at 0 is infinite

    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # raised through, dvclive leaves a git repository behind
        patch.setattr(VideoGRPOTrainer, "_compute_loss", burst)
        yield
        gc.collect()


@pytest.mark.parametrize("value", ["loss", "gradient"])
def test_a_step_that_is_no_number_is_left_out_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    with_rollout(monkeypatch, half_right)
    run = small_run(tmp_path, max_steps=4, dev_every=4, keep_checkpoints=4, warmup_steps=0)
    with explode(monkeypatch, {2}, value):
        numbers = train(run)
    assert (numbers["steps"], numbers["skipped_steps"]) == (4, 1)
    assert "step 2 is skipped" in (said := capsys.readouterr().err)
    assert ("the loss is nan" if value == "loss" else "is not finite") in said
    weights = [load_file(checkpoint / "model.safetensors") for checkpoint in checkpoints_of(run)]
    same = [all(torch.equal(a[name], b[name]) for name in a) for a, b in pairwise(weights)]
    assert same == [True, False, False]


def test_too_many_such_steps_end_the_run_and_leave_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        explode(monkeypatch, {3, 5}, "gradient"),
        pytest.raises(StageError, match=r"max_skipped_fraction=0\.05 allows"),
    ):
        train(small_run(tmp_path))
    assert [p.name for p in Checkpoints(tmp_path / "checkpoints", {}, 2).all()][-1] == "checkpoint-000004"
    numbers = train(small_run(tmp_path))
    assert (numbers["steps"], numbers["skipped_steps"]) == (6, 1)  # what was left out before counts on


def test_weights_that_are_no_numbers_end_the_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = VideoGRPOTrainer._compute_loss

    def spoil(self: Any, model: Any, inputs: Any) -> Any:
        if self.state.global_step == 1:
            next(p for p in model.parameters() if p.requires_grad).data[0] = float("nan")
        return real(self, model, inputs)

    monkeypatch.setattr(VideoGRPOTrainer, "_compute_loss", spoil)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(StageError, match=r"step 2 is skipped: .* the weight .* is no longer finite"):
            train(small_run(tmp_path, max_skipped_fraction=1.0))
        gc.collect()


def test_a_sampled_pad_token_ends_a_completion(tmp_path: Path) -> None:
    """As it does for TRL's losses: both have to agree on what was truncated."""
    policy = small_run(tmp_path).policy
    assert policy.pad_token_id in policy.eos_token_ids
    assert make_completion(policy, [9, policy.pad_token_id]).finished


def test_what_was_left_out_is_in_the_checkpoints_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_run(tmp_path, max_steps=2, dev_every=2)
    with explode(monkeypatch, {1}, "gradient"):
        train(run)
    log = json.loads((checkpoints_of(run)[-1] / "trainer_state.json").read_text())["log_history"]
    assert [row for row in log if "skipped" in row] == [{"skipped": 1.0, "step": 1}]
