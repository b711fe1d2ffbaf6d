"""The overlay of `make rehearse` changes sizes alone; `make gpu` multiplies by the profile's numbers."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.acceptance import cost
from benchmarks.rehearsal.overlay import forbidden, leaves
from benchmarks.rehearsal.stand_in import STAND_INS
from pipeline.profiles import merge_overlay, read_profile


def test_the_overlay_changes_sizes_alone(repository: Path) -> None:
    overlay = read_profile(repository, "rehearsal")
    assert len(list(leaves(overlay))) > 10
    assert forbidden(overlay) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"train_grpo": {"learning_rate": 1e-3}}, "train_grpo.learning_rate: 0.001"),
        ({"train_grpo": {"dtype": "float32"}}, "train_grpo.dtype: 'float32'"),
        ({"train_grpo": {"mask_truncated_completions": False}}, "train_grpo.mask_truncated_completions: False"),
        ({"evaluate_egoschema": {"runs": ["direct/video"]}}, "evaluate_egoschema.runs: ['direct/video']"),
        ({"machine": {"device": "cuda"}}, "machine.device: 'cuda'"),
        ({"train_grpo": {"max_steps": True}}, "train_grpo.max_steps: True"),
    ],
)
def test_any_other_change_is_found(repository: Path, wrong: dict[str, Any], said: str) -> None:
    overlay = read_profile(repository, "rehearsal")
    for section, values in wrong.items():
        overlay[section] |= values
    assert forbidden(overlay) == [said]


def test_every_value_of_the_full_profile_but_the_sizes_is_rehearsed(repository: Path) -> None:
    text, full = (repository / "params.yaml").read_text(), read_profile(repository, "full")
    rehearsed = merge_overlay(text, full, read_profile(repository, "rehearsal"))
    before, after = (dict(leaves(yaml.safe_load(merged))) for merged in (merge_overlay(text, full), rehearsed))
    changed = {key for key in before if before[key] != after[key]}
    assert changed
    assert changed <= dict(leaves(read_profile(repository, "rehearsal"))).keys()


@pytest.mark.parametrize("family", list(STAND_INS))
def test_the_stand_in_has_the_name_and_commit_that_the_profile_pins(family: str, repository: Path) -> None:
    stand_in = STAND_INS[family]
    hub = read_profile(repository, stand_in.profile or "full")["prepare_model"]["hub"]
    assert (hub["model"], hub["revision"]) == (stand_in.name, stand_in.commit)


def test_the_cost_of_a_whole_run_by_hand(repository: Path) -> None:
    """10 s before the first token, 2 s for writing 256 tokens 8 times, 4 s of loss: multiplied as the profile says."""
    train = read_profile(repository, "full")["train_grpo"]
    assert tuple(train[key] for key in ("max_steps", "prompts_per_step", "num_generations")) == (
        cost.STEPS,
        cost.PROMPTS,
        cost.GROUP,
    )
    assert (train["max_completion_length"], train["difficulty"]["samples"]) == (cost.TOKENS, cost.SAMPLES)
    seconds = {"decode": 1.0, "encode": 4.0, "prefill": 5.0, "generate": 2.0, "loss": 4.0}
    found = cost.whole_run({"seconds": seconds, "peak_gib": 30.0}, tokens=256, group=8)
    assert found["training"] == pytest.approx(8000 * (10 + 4 + 4) / 3600, abs=0.01)
    assert found["difficulty filter"] == pytest.approx(10_530 * (10 + 4 / 2) / 3600, abs=0.01)
    assert found["evaluation"] == pytest.approx(1500 * (10 + 4 / 8) / 3600, abs=0.01)
    assert found["dollars at 3 an hour"] == pytest.approx(3 * found["all"], abs=0.03)
