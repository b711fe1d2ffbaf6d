"""How likely a policy finds given continuations of a prompt: the prompt is prefilled once, all its continuations go
through the model in one further batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pipeline.models.batch import ModelInputs
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.generate import _evaluating, _prefill, flatten_clips
from pipeline.models.inputs import clip_ids_of, encode_prompts, pad_left, render_prompt
from pipeline.models.policy import Policy
from pipeline.models.vision import FeatureCache


def continuation_log_probabilities(
    policy: Policy,
    prompts: Sequence[Sequence[Mapping[str, Any]] | str],
    clips: Mapping[str, ClipFrames] | Sequence[Sequence[ClipFrames]],
    continuations: Sequence[Sequence[str]],
    cache: FeatureCache | None = None,
    begun: Sequence[str] | None = None,
) -> list[list[float]]:
    """Natural log of the probability of each continuation's tokens, summed, for each prompt.

    `continuations` holds one or more texts per prompt (their number may differ), each tokenized by itself, as a
    completion would be. `begun` holds what the model has written already, per prompt. All prompts go through the model
    at once: batch them at the call.

    Raises:
        ValueError: a continuation has no tokens.
    """
    ids = [[_tokens(policy, text) for text in texts] for texts in continuations]
    if begun is not None and isinstance(clips, Mapping):
        clips = [[clips[name] for name in clip_ids_of(prompt)] for prompt in prompts]
    if begun is not None:
        prompts = [render_prompt(policy, prompt) + text for prompt, text in zip(prompts, begun, strict=True)]
    inputs = encode_prompts(policy, prompts, clips, with_pixels=cache is None).to(policy.device)
    features = None if cache is None else [cache.get(clip) for clip in flatten_clips(inputs, clips)]
    with torch.no_grad(), _evaluating(policy.model):
        return _score(policy, _prefill(policy, inputs, features), ids)


def scores_behind(
    policy: Policy,
    inputs: ModelInputs,
    features: Sequence[torch.Tensor] | None,
    begun: Sequence[Sequence[str]],
    continuations: Sequence[Sequence[Sequence[str]]],
) -> list[list[list[float]]]:
    """Log probabilities of the continuations of several beginnings of one prompt, which is computed once.

    `begun[b]` are the beginnings of prompt b of `inputs`; `continuations[b][g]` the texts scored behind its g-th one.
    """
    owners = torch.tensor([b for b, group in enumerate(begun) for _ in group], device=policy.device)
    ids = [[_tokens(policy, text) for text in texts] for group in continuations for texts in group]
    with torch.no_grad(), _evaluating(policy.model):
        state = _prefill(policy, inputs.to(policy.device), features)
        state.keep(owners)
        _write(policy, state, [text for group in begun for text in group])
        scores = iter(_score(policy, state, ids))
    return [[next(scores) for _ in group] for group in begun]


def _write(policy: Policy, state: Any, texts: Sequence[str]) -> None:
    """Let each row of `state` go on with its text: padded on the left, so that the last tokens stand in one column."""
    rows = [policy.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    if not any(rows):
        return
    fed, real = (tensor.to(policy.device) for tensor in pad_left(rows, policy.pad_token_id))
    ahead = state.position[:, None] + (real.cumsum(-1) - 1).clamp(min=0)
    state.mask = torch.cat([state.mask, real], dim=1)
    logits = policy.model(
        input_ids=fed,
        attention_mask=state.mask,
        position_ids=ahead[None].expand(3, -1, -1),
        past_key_values=state.cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    written = real.any(-1)
    state.logits = torch.where(written[:, None], logits, state.logits)
    state.position = state.position + real.sum(-1)


def _score(policy: Policy, state: Any, ids: Sequence[Sequence[list[int]]]) -> list[list[float]]:
    """Summed log probability of each row of tokens, given what `state` holds; `ids[r]` are those of its row r."""
    owners = torch.tensor([r for r, rows in enumerate(ids) for _ in rows], device=policy.device)
    flat = [row for rows in ids for row in rows]
    first = torch.log_softmax(state.logits.double(), -1)[owners, [row[0] for row in flat]]
    rest = _log_probabilities_of_rest(policy, state, owners, flat) if max(map(len, flat)) > 1 else 0.0
    sums = iter((first + rest).tolist())
    return [[next(sums) for _ in rows] for rows in ids]


def _tokens(policy: Policy, text: str) -> list[int]:
    ids: list[int] = policy.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ValueError(f"the continuation {text!r} has no tokens")
    return ids


def _log_probabilities_of_rest(
    policy: Policy, state: Any, owners: torch.Tensor, rows: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Sum of the log probabilities [R] of all tokens but the first, given each row's prompt and what stands before."""
    width = max(map(len, rows)) - 1
    fed = torch.tensor([[*row[:-1]] + [policy.pad_token_id] * (width - len(row) + 1) for row in rows])
    wanted = torch.tensor([[*row[1:]] + [policy.pad_token_id] * (width - len(row) + 1) for row in rows])
    real = torch.tensor([[1] * (len(row) - 1) + [0] * (width - len(row) + 1) for row in rows])
    fed, wanted, real = (tensor.to(policy.device) for tensor in (fed, wanted, real))
    state.keep(owners)
    positions = state.position[:, None] + torch.arange(width, device=policy.device)
    logits = policy.model(
        input_ids=fed,
        attention_mask=torch.cat([state.mask, real], dim=1),
        position_ids=positions[None].expand(3, -1, -1),
        past_key_values=state.cache,
        use_cache=True,
    ).logits
    picked = torch.log_softmax(logits.double(), -1).gather(-1, wanted[..., None])[..., 0]
    return (picked * real).sum(-1)
