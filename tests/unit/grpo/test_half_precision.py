"""Weights in bfloat16: updates far below their resolution are kept on average; what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import ParamsError
from pipeline.grpo.checkpoints import Checkpoints
from pipeline.grpo.half_adamw import HalfAdamW, round_by_chance
from pipeline.grpo.run import make_trainer, silence_libraries, train
from pipeline.models.device import weights_dtype
from pipeline.models.policy import load_policy
from tests.support.given_texts import half_right, with_rollout
from tests.support.random_policy import make_random_policy
from tests.support.small_run import small_run

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")

HALF = {"dtype": "bfloat16", "weights": "bfloat16"}


def test_rounding_keeps_the_mean_and_leaves_what_bfloat16_knows() -> None:
    chance = torch.Generator().manual_seed(0)
    known = torch.tensor([1.0, -0.02, 3e-30, 0.0]).bfloat16().float()
    assert round_by_chance(known, chance).float().tolist() == known.tolist()
    value = torch.full((200_000,), -(1.0 + 2**-7 * 0.3))  # three tenths of the way from -1 to its neighbour
    rounded = round_by_chance(value, chance).float()
    assert set(rounded.unique().tolist()) == {-1.0, -1.0078125}
    assert rounded.mean().item() == pytest.approx(value[0].item(), abs=2e-5)


def test_updates_below_the_resolution_of_a_weight_are_kept_on_average() -> None:
    """A weight of 0.02 in bfloat16 is known to 1e-4; GRPO moves it by 1e-6 a step."""
    start = 0.02 + 0.01 * torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.Parameter(start.to(torch.bfloat16).float())
    half, lost = (torch.nn.Parameter(start.to(torch.bfloat16)) for _ in range(2))
    before = half.detach().float().clone()
    optimisers = [torch.optim.AdamW([whole], lr=1e-6, weight_decay=0.1), HalfAdamW([half], lr=1e-6, weight_decay=0.1)]
    optimisers.append(torch.optim.AdamW([lost], lr=1e-6, weight_decay=0.1))
    for step in range(300):
        gradient = 1e-3 * (1.5 + torch.randn(len(start), generator=torch.Generator().manual_seed(step)))
        for parameter, optimiser in zip((whole, half, lost), optimisers, strict=True):
            parameter.grad = gradient.to(parameter.dtype)
            optimiser.step()
    moved = (whole.detach() - before).mean()
    assert moved < -1.5e-4
    assert (half.detach().float() - before).mean() == pytest.approx(moved.item(), rel=0.03)
    assert (lost.detach().float() - before).mean().abs() < 0.1 * moved.abs()


def in_half(folder: Path, **overrides: Any) -> Any:
    run = small_run(folder, **HALF, **overrides)
    return replace(run, policy=make_random_policy(dtype=weights_dtype(run.params.train_grpo)), cache=None)


def test_weights_gradients_and_moments_are_in_half_and_a_run_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_rollout(monkeypatch, half_right)
    whole = train(in_half(tmp_path / "whole", cache_vision=False, learning_rate=1e-3))
    stopped = in_half(tmp_path / "two", cache_vision=False, learning_rate=1e-3, max_seconds=1e-3)
    assert train(stopped)["steps"] == 1
    state = torch.load(stopped.checkpoints / "checkpoint-000001/optimizer.pt", weights_only=True)["state"]
    assert {t.dtype for moments in state.values() for n, t in moments.items() if n != "step"} == {torch.bfloat16}
    resumed = train(in_half(tmp_path / "two", cache_vision=False, learning_rate=1e-3))
    assert resumed == whole
    policies = [load_policy(tmp_path / name / "policy").model.state_dict() for name in ("whole", "two")]
    assert all(torch.equal(policies[0][name], policies[1][name]) for name in policies[0])
    base = make_random_policy(dtype=torch.bfloat16).model.state_dict()
    assert any(not torch.equal(base[name].float(), policies[0][name].float()) for name in base)


@pytest.mark.parametrize("targets", [["lm_head"], ["q_proj", "embed_tokens"], ["qproj"], []])
def test_a_target_that_can_have_no_adapter_is_refused_with_those_that_can(tmp_path: Path, targets: list[str]) -> None:
    run = small_run(tmp_path, lora={"rank": 4, "alpha": 8.0, "targets": targets})
    wanted = r"train_grpo\.lora\.targets: .* cannot have an adapter; choose among down_proj, gate_proj, k_proj, o_proj"
    with silence_libraries(), pytest.raises(ParamsError, match=wanted):
        make_trainer(run, Checkpoints(tmp_path, run.origin, 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup_steps": 7}, r"warmup_steps \(7\) is more than max_steps \(6\)"),
        ({"epsilon": 2.0}, "less than 1"),
        ({"epsilon_high": 2.0}, r"epsilon_high \(2\.0\) must be below 1 with loss_type dapo"),
        ({"weights": "bfloat16"}, "weights: bfloat16 needs dtype: bfloat16 and no lora"),
    ],
)
def test_settings_that_cannot_take_effect_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_run(tmp_path, **changes)
    assert small_run(tmp_path, loss_type="cispo", epsilon_high=5.0)
