"""Weights for an engine: an adapter merged by arithmetic, the trained ones untouched."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from pipeline.engine.weights import merged_state, write_weights
from pipeline.models.policy import load_policy
from tests.support.random_policy import make_random_policy


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_an_adapter_is_merged_in_the_copy_only(tmp_path: Path) -> None:
    policy = make_random_policy()
    plain = {name: value.clone() for name, value in policy.model.state_dict().items()}
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    adapted = replace(policy, model=get_peft_model(policy.model, config))
    before = {name: value.clone() for name, value in adapted.model.state_dict().items()}
    write_weights(adapted, tmp_path / "weights", torch.float32)
    assert all(torch.equal(value, before[name]) for name, value in adapted.model.state_dict().items())
    written = load_policy(tmp_path / "weights").model.state_dict()
    merged = adapted.model.merge_and_unload().state_dict()
    assert set(written) == set(merged) == set(plain)
    assert all(torch.allclose(written[name], merged[name], atol=1e-6) for name in merged)
    changed = {name for name in plain if not torch.equal(plain[name], written[name])}
    assert {name.rsplit(".", 2)[1] for name in changed} == {"q_proj", "down_proj"}


def test_without_an_adapter_the_state_is_the_models() -> None:
    policy = make_random_policy()
    state = policy.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in merged_state(policy).items())
