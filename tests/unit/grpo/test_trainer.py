"""The tripwire: what the trainer optimises is the plain model's own log-probability, with the video."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import StageError
from pipeline.grpo.checkpoints import Checkpoints
from pipeline.grpo.run import make_trainer, quiet
from pipeline.grpo.trainer import VideoGRPOTrainer
from pipeline.models.inputs import encode_prompts
from tests.small_run import small_run

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")


def make(folder: Path, **overrides: Any) -> VideoGRPOTrainer:
    run = small_run(folder, **overrides)
    with quiet():
        return make_trainer(run, Checkpoints(folder / "checkpoints", run.origin, 2))


def first_batch(trainer: VideoGRPOTrainer) -> dict[str, Any]:
    trainer.model.train()
    rows = next(iter(trainer.get_train_dataloader()))
    return trainer._prepare_inputs(rows)


def plain_log_probs(trainer: VideoGRPOTrainer, batch: dict[str, Any]) -> torch.Tensor:
    """Log-probabilities [R, T] of the batch's completions by one stock forward with pixels per row."""
    table = torch.zeros(batch["completion_ids"].shape)
    model = trainer.model.eval()
    for row, question_id in enumerate(batch["question_ids"]):
        sample = trainer.by_id[question_id]
        inputs = encode_prompts(trainer.policy, [sample.messages], {sample.clip_id: trainer.clips.load(sample.clip_id)})
        completion = batch["completion_ids"][row][batch["completion_mask"][row].bool()]
        kwargs = inputs.forward_kwargs()
        kwargs["input_ids"] = torch.cat([inputs.input_ids[0], completion])[None]
        kwargs["attention_mask"] = torch.ones_like(kwargs["input_ids"])
        kwargs["mm_token_type_ids"] = torch.cat([inputs.mm_token_type_ids[0], torch.zeros_like(completion)])[None]
        with torch.no_grad():
            logits = model(**kwargs).logits[0, -len(completion) - 1 : -1]
        logits = logits / trainer.temperature
        table[row, : len(completion)] = logits.log_softmax(-1).gather(-1, completion[:, None])[:, 0]
    return table


def trainer_log_probs(trainer: VideoGRPOTrainer, batch: dict[str, Any]) -> torch.Tensor:
    trainer._row_ids = batch["question_ids"]
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        found, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, batch["completion_ids"].shape[1]
        )
    return found * batch["completion_mask"]


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"share_prompt": False},
        {"cache_vision": False, "freeze_vision": False},
        {"temperature": 0.7, "gradient_checkpointing": True},
        {"lora": {"rank": 4, "alpha": 8.0, "targets": ["q_proj", "v_proj"]}},
    ],
    ids=["default", "separate", "trainable-tower", "checkpointing", "lora"],
)
def test_tripwire(tmp_path: Path, overrides: dict[str, Any]) -> None:
    trainer = make(tmp_path, **overrides)
    batch = first_batch(trainer)
    assert batch["completion_mask"].sum() > 64
    assert (trainer_log_probs(trainer, batch) - plain_log_probs(trainer, batch)).abs().max() < 3e-6


def test_the_blind_control_is_wrong_and_known_to_be(tmp_path: Path) -> None:
    trainer = make(tmp_path, blind_loss=True)
    batch = first_batch(trainer)
    assert (trainer_log_probs(trainer, batch) - plain_log_probs(trainer, batch)).abs().max() > 0.1


def test_prompt_ids_hold_the_video_tokens_of_the_plain_encoding(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    batch = first_batch(trainer)
    for row, question_id in enumerate(batch["question_ids"]):
        sample = trainer.by_id[question_id]
        inputs = encode_prompts(trainer.policy, [sample.messages], {sample.clip_id: trainer.clips.load(sample.clip_id)})
        assert batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist() == inputs.input_ids[0].tolist()


@pytest.mark.parametrize("micro_batches", [2, 4])
def test_gradient_accumulation_gives_the_same_gradient(tmp_path: Path, micro_batches: int) -> None:
    whole, split = (gradients(make(tmp_path / str(m), micro_batches=m), m) for m in (1, micro_batches))
    assert whole.norm() > 0.01
    assert (whole - split).norm() < 1e-5 * whole.norm()


def gradients(trainer: VideoGRPOTrainer, micro_batches: int) -> torch.Tensor:
    trainer.current_gradient_accumulation_steps = micro_batches
    trainer.model.train()
    rows = next(iter(trainer.get_train_dataloader()))
    trainer._prepare_inputs(rows)
    for part in range(micro_batches):
        batch = dict(trainer._buffered_inputs[part])
        batch["advantages"] = (batch["completion_ids"] * batch["completion_mask"]).sum(1) % 7 - 3.0
        trainer._compute_loss(trainer.model, batch).backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def test_a_loss_that_is_not_a_number_names_the_questions(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    batch = first_batch(trainer)
    batch["advantages"][0] = float("nan")
    trainer.current_gradient_accumulation_steps = 1
    with pytest.raises(StageError, match=r"the loss is nan at step 1, on questions q\d\d"):
        trainer._compute_loss(trainer.model, batch)


def test_dull_groups_are_replaced_and_counted(tmp_path: Path) -> None:
    trainer = make(tmp_path, resample_rounds=2, max_new_tokens=2)
    first_batch(trainer)
    assert len(trainer._groups) == 4
    assert trainer._metrics["train"]["resampled"][0] > 0


def test_order_of_frames_is_tried_where_it_is_rewarded(tmp_path: Path) -> None:
    rewards = {
        "format": 0.2,
        "accuracy": 1.0,
        "keyframe": 0.0,
        "length": 0.1,
        "temporal_order": 0.3,
        "temporal_iou": 0.1,
    }
    trainer = make(tmp_path, rewards=rewards)
    first_batch(trainer)
    assert set(trainer._shuffled_accuracy) == {g.sample.question_id for g in trainer._groups}
    assert trainer.reward_func_names == ["format", "accuracy", "length", "temporal_order", "temporal_iou"]
