"""Every value that the full profile sets for training, on a small model: only sizes and the place are others."""

from pathlib import Path

import pytest
import torch
import yaml

from pipeline.grpo.difficulty import Asker, filter_by_difficulty
from pipeline.grpo.run import train
from pipeline.models.policy import load_policy
from pipeline.reports import StageReport
from tests.support.small_run import small_run, small_samples

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")

SMALLER = {"max_steps": 3, "warmup_steps": 1, "max_completion_length": 8, "dev_every": 3, "dev_questions": 6}
HERE = {"device": "cpu", "save_steps": 3, "feature_cache_megabytes": 10}


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_the_full_profiles_training_runs(repository: Path, tmp_path: Path, lora: bool) -> None:
    profile = yaml.safe_load((repository / "profiles/full.yaml").read_text())
    values = {**profile["train_grpo"], **profile["machine"]}
    assert values["dtype"] == "bfloat16"
    assert values["gradient_checkpointing"] and values["mask_truncated_completions"]
    values |= {**SMALLER, **HERE}
    values["reward_settings"] = small_run(tmp_path).params.train_grpo.reward_settings
    values["difficulty"] = {**values["difficulty"], "min_accuracy": 0.0, "max_accuracy": 1.0}
    adapter = {"rank": 4, "alpha": 8.0, "targets": ["q_proj", "v_proj"]}
    run = small_run(tmp_path, **values, **({"lora": adapter} if lora else {}))
    params = run.params
    asker = Asker(params.seed, "", params.train_grpo, run.policy, run.clips, run.cache, run.hashes)
    kept = filter_by_difficulty(asker, small_samples(30), tmp_path / "d", StageReport("train_grpo"))
    assert len(kept) == 24  # three steps of eight
    numbers = train(run)
    assert numbers["steps"] == 3
    assert (tmp_path / "vision").is_dir()
    weights = load_policy(run.output).model.state_dict()
    assert all(torch.isfinite(w).all() for w in weights.values())
