"""FSDP2 over two CPU processes: completions of different lengths, then a loss with its gradient. Prints what differs
from an unsharded model.

    torchrun --nproc_per_node 2 sharded_rollout.py
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from trl.trainer.utils import add_fused_lm_head

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pipeline.grpo.logprobs import Groups, shared_log_probs
from pipeline.grpo.sharding import whole_weights
from pipeline.grpo.shared_prompt import enable_shared_prompt
from pipeline.models.generate import rollout
from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.models.vision import encode_clip
from tests.support.random_policy import ask, make_clip, make_random_policy

CLIP = make_clip(1)


def make(sharded: bool) -> Policy:
    """The random policy with a frozen tower; decoder layers and the rest sharded as accelerate's FSDP2 does it."""
    policy = make_random_policy()
    policy.model.model.visual.requires_grad_(False)
    enable_shared_prompt(policy)
    add_fused_lm_head(policy.model, outputs=("log_probs", "entropy"))
    if sharded:
        for layer in policy.model.model.language_model.layers:
            fully_shard(layer, reshard_after_forward=True)
        fully_shard(policy.model, reshard_after_forward=True)
    return replace(policy, model=policy.model)


def step(policy: Policy, rank: int) -> tuple[list[list[int]], torch.Tensor, dict[str, torch.Tensor]]:
    """Completions (rank 1 writes four times as many tokens), their log-probabilities, gradients."""
    inputs = encode_prompts(policy, [ask("what is taken ?", "a")], {"a": CLIP}, with_pixels=False)
    with whole_weights(policy.model):
        features = [encode_clip(policy, CLIP)]
        rows = rollout(policy, inputs, features, Sampling(6 + 18 * rank), 3, [f"r{rank}"])[0]
    groups = Groups(inputs, features, [[0, 1, 2]], [torch.tensor(row) for row in rows])
    log_probs, _ = shared_log_probs(policy.model.train(), policy, groups, 24)
    log_probs.sum().backward()
    gradients = {n: p.grad for n, p in policy.model.named_parameters() if p.grad is not None}
    return rows, log_probs.detach(), gradients


def main() -> None:
    """Compare the mean gradient of two unsharded models with that of the sharded one."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    rows, log_probs, sharded = step(make(True), rank)
    wanted_rows, wanted, gradients = step(make(False), rank)
    worst = 0.0
    for name, gradient in gradients.items():
        dist.all_reduce(gradient, dist.ReduceOp.AVG if dist.get_backend() == "nccl" else dist.ReduceOp.SUM)
        worst = max(worst, float((sharded[name].full_tensor() - gradient / 2).norm() / (gradient.norm() / 2 + 1e-12)))
    told = {"rank": rank, "same_tokens": rows == wanted_rows, "log_probs": float((log_probs - wanted).abs().max())}
    print(json.dumps({**told, "gradients": worst, "lengths": list(map(len, rows))}), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
