"""What only a GPU can show: the FlashAttention path of the shared row, bfloat16, and the benchmark's targets.

Skipped if there is no CUDA device. If one is promised - EGOVLM_REQUIRE_GPU=1, or an NVIDIA driver that torch
cannot use - a missing device is a failure.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trl.trainer.utils import add_fused_lm_head

from pipeline.grpo.logprobs import Groups, separate_log_probs, shared_log_probs
from pipeline.grpo.shared_prompt import enable_shared_prompt
from pipeline.models.inputs import encode_prompts
from tests.support.random_policy import ask, make_clip, make_random_policy

pytestmark = pytest.mark.gpu
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/grpo.py"


@pytest.fixture(autouse=True)
def _cuda() -> None:
    if not torch.cuda.is_available():
        promised = os.environ.get("EGOVLM_REQUIRE_GPU") == "1" or Path("/dev/nvidiactl").exists()
        if promised:
            pytest.fail("a GPU is promised (EGOVLM_REQUIRE_GPU=1 or /dev/nvidiactl), but torch sees no CUDA device")
        pytest.skip("no CUDA device")


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.15)])
def test_shared_row_equals_separate_rows(dtype: torch.dtype, tolerance: float) -> None:
    policy = make_random_policy()
    policy.model.to("cuda", dtype)
    enable_shared_prompt(policy)
    add_fused_lm_head(policy.model, outputs=("log_probs", "entropy"))
    clips = {"a": make_clip(1), "b": make_clip(2, frames=6, spacing=11.25)}
    inputs = encode_prompts(policy, [ask("what is taken ?", "a"), ask("red ?", "b")], clips).to("cuda")
    texts = [torch.randint(7, 40, (n,), device="cuda") for n in (3, 9, 4, 6)]
    groups = Groups(inputs, None, [[0, 2], [1, 3]], texts)
    with torch.no_grad():
        left, _ = shared_log_probs(policy.model, policy, groups, 9)
        right, _ = separate_log_probs(policy.model, policy, groups, 9)
    assert (left.float() - right.float()).abs().max() < tolerance


def test_targets_at_the_3b_shape() -> None:
    results = {}
    for variant in ("stock", "shared"):
        command = [
            sys.executable,
            BENCHMARK,
            "--device",
            "cuda",
            "--size",
            "3b",
            "--checkpointing",
            "--variant",
            variant,
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results[variant] = json.loads(done.stdout.splitlines()[-1])
    stock, shared = results["stock"], results["shared"]
    assert stock["seconds"]["loss"] / shared["seconds"]["loss"] >= 4
    assert sum(stock["seconds"].values()) / sum(shared["seconds"].values()) >= 2.5
    assert shared["peak_gib"] <= stock["peak_gib"] / 2
