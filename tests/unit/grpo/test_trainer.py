"""The tripwire: what the trainer optimises is the plain model's own log-probability, with the video."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.answers.prompts import format_options
from pipeline.answers.thinking import has_thinking, reopen_undecided, reorder
from pipeline.errors import ModelError
from pipeline.grpo.checkpoints import Checkpoints
from pipeline.grpo.run import explain_out_of_memory, make_trainer, silence_libraries
from pipeline.grpo.samples import Sample, reordered
from pipeline.grpo.trainer import VideoGRPOTrainer
from pipeline.models.inputs import encode_prompts
from pipeline.models.likelihood import continuation_log_probabilities
from pipeline.models.policy import load_policy
from tests.support.random_policy import ask
from tests.support.small_run import small_run, small_samples

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")


def make(folder: Path, **overrides: Any) -> VideoGRPOTrainer:
    run = small_run(folder, **overrides)
    if overrides.get("beta"):  # the reference model is loaded from where the policy came from
        run.policy.model.save_pretrained(folder / "base")
        run.policy.tokenizer.save_pretrained(folder / "base")
        run = replace(run, policy=load_policy(folder / "base"))
    with silence_libraries():
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
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=trainer.args.bf16):
            logits = model(**kwargs).logits[0, -len(completion) - 1 : -1]
        logits = logits.float() / trainer.temperature
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
        {"dtype": "bfloat16"},
    ],
    ids=["default", "separate", "trainable-tower", "checkpointing", "lora", "bfloat16"],
)
def test_tripwire(tmp_path: Path, overrides: dict[str, Any]) -> None:
    trainer = make(tmp_path, **overrides)
    batch = first_batch(trainer)
    assert batch["completion_mask"].sum() > 64
    # Under autocast the fused head multiplies in float32 what a plain forward multiplies in bfloat16.
    tolerance = 0.05 if trainer.args.bf16 else 3e-6
    assert (trainer_log_probs(trainer, batch) - plain_log_probs(trainer, batch)).abs().max() < tolerance


LORA = {"rank": 4, "alpha": 8.0, "targets": ["q_proj", "v_proj"]}


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"beta": 0.1},
        {"beta": 0.1, "lora": LORA, "gradient_checkpointing": True},
        {"num_iterations": 2, "save_steps": 2, "dev_every": 4, "loss_type": "grpo"},
        {"steps_per_generation": 2, "save_steps": 2, "dev_every": 4, "beta": 0.1},
        {"cache_vision": False, "freeze_vision": False, "gradient_checkpointing": True},
    ],
    ids=["default", "kl", "kl-lora-checkpointing", "two-iterations", "two-updates-kl", "trainable-tower"],
)
def test_loss_and_gradient_do_not_depend_on_sharing(tmp_path: Path, overrides: dict[str, Any]) -> None:
    made = [make(tmp_path / str(share), share_prompt=share, **overrides) for share in (False, True)]
    (loss, gradient), (shared_loss, shared_gradient) = map(loss_and_gradient, made)
    assert gradient.norm() > 0.01
    assert abs(loss - shared_loss) < 1e-5 * max(1.0, abs(loss))
    assert (gradient - shared_gradient).norm() < 1e-5 * gradient.norm()


def loss_and_gradient(trainer: VideoGRPOTrainer) -> tuple[float, torch.Tensor]:
    """Of the first batch, after the policy has moved away from what made it (so that ratio and KL are not 1 and 0)."""
    trainer.current_gradient_accumulation_steps = 1
    batch = first_batch(trainer)
    assert ("old_per_token_logps" in batch) == (trainer.num_iterations > 1 or trainer.args.steps_per_generation > 1)
    assert ("ref_per_token_logps" in batch) == (trainer.beta > 0)
    if trainer.beta > 0:
        wanted = plain_log_probs(trainer, batch)
        assert (batch["ref_per_token_logps"] * batch["completion_mask"] - wanted).abs().max() < 3e-6
        trainer.model.train()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    batch["advantages"] = (batch["completion_ids"] * batch["completion_mask"]).sum(1) % 7 - 3.0
    loss = trainer._compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def test_out_of_memory_names_the_settings_that_help() -> None:
    for error, place in (
        (torch.OutOfMemoryError("CUDA out of memory"), "the GPU is"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
            "this machine is",
        ),
    ):
        wanted = f"{place} out of memory. In this order: train_grpo.gradient_accumulation_steps up"
        with pytest.raises(ModelError, match=wanted), explain_out_of_memory():
            raise error
    with pytest.raises(RuntimeError, match="another bug"), explain_out_of_memory():
        raise RuntimeError("another bug")


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


@pytest.mark.parametrize("passes", [2, 4])
def test_gradient_accumulation_gives_the_same_gradient(tmp_path: Path, passes: int) -> None:
    whole, split = (gradients(make(tmp_path / str(m), gradient_accumulation_steps=m), m) for m in (1, passes))
    assert whole.norm() > 0.01
    assert (whole - split).norm() < 1e-5 * whole.norm()


def gradients(trainer: VideoGRPOTrainer, gradient_accumulation_steps: int) -> torch.Tensor:
    trainer.current_gradient_accumulation_steps = gradient_accumulation_steps
    trainer.model.train()
    rows = next(iter(trainer.get_train_dataloader()))
    trainer._prepare_inputs(rows)
    for part in range(gradient_accumulation_steps):
        batch = dict(trainer._buffered_inputs[part])
        batch["advantages"] = (batch["completion_ids"] * batch["completion_mask"]).sum(1) % 7 - 3.0
        trainer._compute_loss(trainer.model, batch).backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def test_dull_groups_are_replaced_and_counted(tmp_path: Path) -> None:
    trainer = make(tmp_path, resample_rounds=2, max_completion_length=2)
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


def test_shuffled_frames_are_tried_for_the_contrast_too(tmp_path: Path) -> None:
    trainer = make(tmp_path, rewards={"accuracy": 1.0, "temporal_contrast": 0.3}, scale_rewards="batch")
    first_batch(trainer)
    assert set(trainer._shuffled_accuracy) == {g.sample.question_id for g in trainer._groups}
    assert all(r.shuffled_accuracy is not None for r in trainer.rollouts)


def test_completions_are_asked_again_where_agreement_is_rewarded(tmp_path: Path) -> None:
    """Chosen behind each thinking under the reordered prompt, as one prompt at a time finds it."""
    run = small_run(tmp_path, rewards={"accuracy": 1.0, "consistency": 0.5})
    run = replace(run, train=[with_options(sample) for sample in run.train])
    with silence_libraries():
        trainer = make_trainer(run, Checkpoints(tmp_path / "checkpoints", run.origin, 2))
    first_batch(trainer)
    expected = []
    for group in trainer._groups:
        asked = reordered(group.sample, reorder(5, f"{trainer.run_seed}/0/{group.sample.question_id}"))
        assert asked.options[asked.answer] == group.sample.options[group.sample.answer]
        clips = {asked.clip_id: trainer.clips.load(asked.clip_id)}
        for completion in group.completions:
            kept = reopen_undecided(completion.text)
            texts = [kept.continuation.replace("{letter}", letter) for letter in "ABCDE"]
            (scores,) = continuation_log_probabilities(
                trainer.policy, [asked.messages], clips, [texts], None, [kept.text]
            )
            expected.append(has_thinking(completion.text) and scores.index(max(scores)) == asked.answer)
    assert [r.reasked_right for r in trainer.rollouts] == expected
    assert True in expected and False in expected
    assert trainer.reward_func_names == ["accuracy", "consistency"]


def with_options(sample: Sample) -> Sample:
    """The sample with its options in the prompt, as prompts.reasoning lists them."""
    return replace(sample, messages=ask(f"what ? {format_options(sample.options)} think", sample.clip_id))


def test_options_that_the_prompt_does_not_list_cannot_be_reordered() -> None:
    sample = small_samples(1)[0]
    with pytest.raises(ValueError, match="q00: the prompt does not list its options"):
        reordered(sample, (1, 2, 3, 4, 0))
    moved = reordered(with_options(sample), (1, 2, 3, 4, 0))
    assert (moved.options, moved.answer) == (("red", "blue", "first", "taken", "cup"), 4)
    assert "A. red\nB. blue\nC. first\nD. taken\nE. cup" in moved.messages[0]["content"][-1]["text"]
