"""Sample tokens: every completion has its own stream of random numbers, so that samples depend on neither the batch
nor the order of prompts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn. `temperature` 0 is greedy; `top_p` 1 and `top_k` 0 switch their filter off."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0


def pick_tokens(
    logits: torch.Tensor, sampling: Sampling, uniforms: torch.Tensor, suppressed: Sequence[int]
) -> torch.Tensor:
    """Next tokens int64 [R] from logits [R, V] and one uniform number in [0, 1) per row, by inversion.

    `suppressed` tokens are never drawn: a sampled video placeholder would break the next forward.
    """
    scores = logits.to(torch.float64, copy=True)
    scores[:, list(suppressed)] = -torch.inf
    if sampling.temperature == 0:
        return scores.argmax(-1)
    probabilities = _filter(torch.softmax(scores / sampling.temperature, -1), sampling)
    cumulative = probabilities.cumsum(-1)
    picked = torch.searchsorted(cumulative, (uniforms[:, None] * cumulative[:, -1:]), right=True)[:, 0]
    return torch.minimum(picked, probabilities.gt(0).long().cumsum(-1).argmax(-1))


def _filter(probabilities: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Zero the probabilities that top-k and top-p (nucleus) exclude."""
    if sampling.top_k > 0:
        floor = probabilities.topk(min(sampling.top_k, probabilities.shape[-1]), -1).values[:, -1:]
        probabilities = probabilities.masked_fill(probabilities < floor, 0.0)
    if sampling.top_p < 1:
        ordered, order = (probabilities / probabilities.sum(-1, keepdim=True)).sort(-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= sampling.top_p
        probabilities = probabilities.masked_fill(outside.scatter(-1, order, outside), 0.0)
    return probabilities


def draw_uniforms(seeds: Sequence[str] | None, rows: int, group: int, sampling: Sampling, shared: bool) -> torch.Tensor:
    """Uniform numbers float64 [prompts * group, max_new_tokens]: one stream per prompt, from its seed string."""
    prompts = rows if shared else rows // group
    if sampling.temperature == 0:
        return torch.zeros(prompts * group, sampling.max_new_tokens, dtype=torch.float64)
    if seeds is None or len(seeds) != prompts:
        raise ValueError(f"sampling needs one seed per prompt: {prompts} prompts, seeds {seeds}")
    return torch.cat([_stream(seed, group, sampling.max_new_tokens) for seed in seeds])


def _stream(seed: str, group: int, length: int) -> torch.Tensor:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") >> 1
    return torch.rand(group, length, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
