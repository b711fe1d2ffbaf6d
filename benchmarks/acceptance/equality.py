"""Log-probabilities and gradients of the shared row beside those of separate rows: float32, bfloat16, FlashAttention.

Prints the largest differences as JSON and fails on one above its tolerance; FlashAttention only where it is installed.
"""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

TOLERANCE = {"float32": (1e-4, 1e-3), "bfloat16": (0.15, 0.1)}
"""Of a log-probability, and of a gradient as a share of the largest one."""


def differences(device: str, dtype: str, attention: str) -> dict[str, float]:
    """Largest difference of a log-probability, and of a gradient relative to the largest, between both ways."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from pipeline.grpo.logprobs import Groups, separate_log_probs, shared_log_probs
    from pipeline.grpo.shared_prompt import enable_shared_prompt
    from pipeline.models.inputs import encode_prompts
    from tests.support.random_policy import ask, make_clip, make_random_policy

    policy = make_random_policy()
    policy.model.to(device, getattr(torch, dtype))
    policy.model.set_attn_implementation(attention)
    enable_shared_prompt(policy)
    add_fused_lm_head(policy.model, outputs=("log_probs", "entropy"))
    clips = {"a": make_clip(1), "b": make_clip(2, frames=6, spacing=11.25)}
    inputs = encode_prompts(policy, [ask("what is taken ?", "a"), ask("red ?", "b")], clips).to(device)
    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(7, 40, (n,), generator=generator).to(device) for n in (3, 9, 4, 6)]
    groups, found = Groups(inputs, None, [[0, 2], [1, 3]], texts), []
    for compute in (shared_log_probs, separate_log_probs):
        policy.model.zero_grad(set_to_none=True)
        log_probs, _ = compute(policy.model, policy, groups, 9)
        (log_probs.float() * torch.linspace(-1, 1, len(log_probs), device=device)[:, None]).sum().backward()
        grads = {n: p.grad.float() for n, p in policy.model.named_parameters() if p.grad is not None}
        found.append((log_probs.detach().float(), grads))
    (left, left_grads), (right, right_grads) = found
    largest = max(float(grad.abs().max()) for grad in right_grads.values())
    apart = max(float((left_grads[n] - right_grads[n]).abs().max()) for n in right_grads)
    return {"log_probability": float((left - right).abs().max()), "gradient": apart / largest}


def main() -> int:
    """Command line: `--device cuda`; 1 if a difference is above its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    device = parser.parse_args().device
    from pipeline.environment import apply_defaults

    apply_defaults()
    ways = [("float32", "sdpa"), ("bfloat16", "sdpa")]
    if device == "cuda" and find_spec("flash_attn") is not None:
        ways.append(("bfloat16", "flash_attention_2"))
    table: dict[str, Any] = {f"{dtype} {way}": differences(device, dtype, way) for dtype, way in ways}
    print(json.dumps(table))
    wrong = [
        name
        for name, row in table.items()
        if row["log_probability"] > TOLERANCE[name.split()[0]][0] or row["gradient"] > TOLERANCE[name.split()[0]][1]
    ]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
