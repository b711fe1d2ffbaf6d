"""One row for a whole batch of groups: every prompt once, followed by its completions.

    prompt 1 | last token + c1 | last token + c2 | ... | prompt 2 | last token + c1 | ...

Each completion sees its own prompt and itself, nothing else, and its positions restart at the prompt's end. The
prompt's last token is repeated before each completion, because it predicts the first token of each. So every
position has at most one label. The result equals that of separate rows, but the prompt is computed once instead of G
times.

The idea is that of TRL 1.16's `experimental/async_grpo/packing.py::tree_attention`, which needs FlashAttention 3;
here attention is split by segment over `scaled_dot_product_attention`, so that it runs everywhere, with a backward
pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from pipeline.models.batch import ModelInputs
from pipeline.models.generate import rope_positions, video_kwargs
from pipeline.models.policy import Policy

ATTENTION = "shared_prompt"
IGNORE = -100


@dataclass(frozen=True)
class Segment:
    """One prompt and its completions in the row: `prompt` is [start, end), `completions` are [start, end) each."""

    prompt: tuple[int, int]
    completions: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class SharedRow:
    """The row: `input_ids`, `labels` int64 [1, L] (the token each position predicts, or -100), `positions` int64
    [3, 1, L], and the positions of prompts and completions in it."""

    input_ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    segments: tuple[Segment, ...]


def pack(policy: Policy, inputs: ModelInputs, completions: Sequence[Sequence[torch.Tensor]]) -> SharedRow:
    """Lay B prompts and, for each, its completions (token ids int64 [length], at least one token) out in one row."""
    positions, shift = rope_positions(policy, inputs)
    ids: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    places: list[torch.Tensor] = []
    segments: list[Segment] = []
    start = 0
    for b, group in enumerate(completions):
        real = inputs.attention_mask[b].bool()
        prompt = inputs.input_ids[b, real]
        ids.append(prompt[:-1])
        labels.append(torch.full_like(prompt[:-1], IGNORE))
        places.append(positions[:, b, real][:, :-1])
        end = start + len(prompt) - 1
        spans: list[tuple[int, int]] = []
        for completion in group:
            first = len(prompt) - 1 + int(shift[b])
            steps = torch.arange(first, first + len(completion), device=prompt.device)
            ids += [prompt[-1:], completion[:-1]]
            labels.append(completion)
            places.append(steps.expand(3, -1))
            begin = spans[-1][1] if spans else end
            spans.append((begin, begin + len(completion)))
        segments.append(Segment((start, end), tuple(spans)))
        start = spans[-1][1] if spans else end
    return SharedRow(torch.cat(ids)[None], torch.cat(labels)[None], torch.cat(places, 1)[:, None], tuple(segments))


def shared_forward_kwargs(
    policy: Policy, row: SharedRow, inputs: ModelInputs, features: Sequence[torch.Tensor] | None
) -> dict[str, Any]:
    """What the model's forward takes for a row (the model must have been given `enable_shared_prompt`)."""
    return {
        "input_ids": row.input_ids,
        "attention_mask": policy.family.no_mask,  # the segments are the mask
        "position_ids": row.positions,
        "segments": row.segments,
        **video_kwargs(policy, inputs, features),
    }


def enable_shared_prompt(policy: Policy) -> None:
    """Let the policy's language model attend by segment if a forward pass is given `segments`; other passes are
    unchanged.

    It stays switched on, because gradient checkpointing runs the forward again during the backward.
    """
    AttentionInterface.register(ATTENTION, segment_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    policy.base.config.get_text_config()._attn_implementation = ATTENTION
    policy.language_model.config._attn_implementation = ATTENTION


def segment_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    segments: Sequence[Segment] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention interface of transformers: query [1, H, L, D], key and value [1, Hkv, L, D] to output [1, L, H, D]."""
    if segments is None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return output
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    settings = {"scale": kwargs.get("scaling"), "dropout_p": kwargs.get("dropout", 0.0)}
    pieces = [piece for segment in segments for piece in _attend(query, key, value, segment, settings)]
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segment: Segment, settings: dict[str, Any]
) -> list[torch.Tensor]:
    """Outputs [1, H, length, D] of a prompt and of each of its completions, in order."""
    start, end = segment.prompt
    prompt_key, prompt_value = key[:, :, start:end], value[:, :, start:end]
    attention = functional.scaled_dot_product_attention
    pieces = [attention(query[:, :, start:end], prompt_key, prompt_value, is_causal=True, **settings)]
    for begin, stop in segment.completions:
        keys = torch.cat([prompt_key, key[:, :, begin:stop]], dim=2)
        values = torch.cat([prompt_value, value[:, :, begin:stop]], dim=2)
        mask = _causal(stop - begin, keys.shape[2], query.device)
        pieces.append(attention(query[:, :, begin:stop], keys, values, attn_mask=mask, **settings))
    return pieces


def _causal(queries: int, keys: int, device: torch.device) -> Any:
    """Causal mask whose last query sees all keys; on CUDA in the form that keeps FlashAttention."""
    if device.type == "cuda":
        from torch.nn.attention.bias import causal_lower_right

        return causal_lower_right(queries, keys)
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
