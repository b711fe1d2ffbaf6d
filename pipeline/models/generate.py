"""Completions for prompts: a prompt is prefilled once and its cache repeated for all its completions.

This decode loop replaces `model.generate` for three reasons. All completions of a prompt share vision features and the
prompt's cache, every completion has its own stream of random numbers, and finished rows leave the batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from pipeline.models.batch import ModelInputs, repeat_prompts
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling, draw_uniforms, pick_tokens
from pipeline.models.vision import FeatureCache


@dataclass(frozen=True)
class Completion:
    """One completion: `token_ids` (with the end token, if any), its text without special tokens, and whether
    it ended by itself. An engine adds the log-probability of each token and the `version` of its weights."""

    token_ids: tuple[int, ...]
    text: str
    finished: bool
    log_probabilities: tuple[float, ...] | None = None
    version: str | None = None


def generate(
    policy: Policy,
    prompts: Sequence[Sequence[Mapping[str, Any]] | str],
    clips: Mapping[str, ClipFrames] | Sequence[Sequence[ClipFrames]],
    sampling: Sampling,
    completions_per_prompt: int = 1,
    seeds: Sequence[str] | None = None,
    cache: FeatureCache | None = None,
    share_prompt: bool = True,
) -> list[list[Completion]]:
    """`completions_per_prompt` completions of each prompt.

    `seeds` holds one string per prompt (say, run seed and question id); needed unless greedy. `cache` shares vision
    features with other calls. All prompts go through the model at once: batch them at the call.
    """
    inputs = encode_prompts(policy, prompts, clips, with_pixels=cache is None)
    frames = flatten_clips(inputs, clips)
    features = None if cache is None else [cache.get(clip) for clip in frames]
    rows = rollout(policy, inputs, features, sampling, completions_per_prompt, seeds, share_prompt)
    return [[make_completion(policy, ids) for ids in group] for group in rows]


def flatten_clips(
    inputs: ModelInputs, clips: Mapping[str, ClipFrames] | Sequence[Sequence[ClipFrames]]
) -> list[ClipFrames]:
    """The frames of the V videos of a batch, in order."""
    if isinstance(clips, Mapping):
        return [clips[name] for row in inputs.clip_ids for name in row]
    return [clip for row in clips for clip in row]


def make_completion(policy: Policy, token_ids: Sequence[int]) -> Completion:
    """Decode the ids of one completion."""
    text = policy.tokenizer.decode(token_ids, skip_special_tokens=True)
    return Completion(tuple(token_ids), text, bool(token_ids) and token_ids[-1] in policy.eos_token_ids)


def rollout(
    policy: Policy,
    inputs: ModelInputs,
    features: Sequence[torch.Tensor] | None,
    sampling: Sampling,
    completions_per_prompt: int,
    seeds: Sequence[str] | None,
    share_prompt: bool = True,
) -> list[list[list[int]]]:
    """Token ids of `completions_per_prompt` completions for each of the B prompts of `inputs`.

    `features` are those of the V videos, in order; None takes the pixels in `inputs`. `share_prompt=False` computes
    every prompt once per completion, as stock trainers do (for comparison).
    """
    group = completions_per_prompt
    with torch.no_grad(), _evaluating(policy.model):
        inputs = inputs.to(policy.device)
        if not share_prompt:
            inputs, features = repeat_prompts(inputs, features, group)
        state = _prefill(policy, inputs, features)
        if share_prompt:
            state.repeat(group)
        uniforms = draw_uniforms(seeds, len(inputs.clip_ids), group, sampling, share_prompt)
        rows = _decode(policy, state, sampling, uniforms.to(policy.device))
    return [rows[i : i + group] for i in range(0, len(rows), group)]


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode during the block: no dropout, and no gradient checkpointing, which would disable the cache."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def rope_positions(policy: Policy, inputs: ModelInputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions int64 [3, B, T] (time, height, width) of a left-padded batch, and the shift int64 [B] of text after
    the prompt. Token n of a row (counting from its first real token) has position n + shift.

    The rule is that of the model's family, whatever the installed library does.
    """
    positions, ahead = policy.family.rope_index(
        policy.base.config,
        inputs.input_ids,
        inputs.mm_token_type_ids,
        video_grid_thw=inputs.video_grid_thw,
        second_per_grid_ts=inputs.second_per_grid_ts,
        attention_mask=inputs.attention_mask,
    )
    return positions, ahead[:, 0]


def video_kwargs(policy: Policy, inputs: ModelInputs, features: Sequence[torch.Tensor] | None) -> dict[str, Any]:
    """The forward's arguments that bring the video in: features where given, else pixels."""
    if inputs.video_grid_thw is None:
        return {}
    if features is not None:
        return {"mm_encoder_outputs": policy.family.encoder_outputs(features, policy.base.config)}
    return {"pixel_values_videos": inputs.pixel_values_videos, "video_grid_thw": inputs.video_grid_thw}


class RolloutCache(DynamicCache):
    """Keeps keys and values in the precision of attention: under autocast, half of what the rotary embedding
    returns. Attention casts them anyway, so nothing else changes."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(config=policy.base.config.get_text_config())
        kind = policy.device.type
        # Not named `dtype`: accelerate mistakes anything with a half-precision `dtype` for a tensor.
        self._computes_in = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append; returns all keys and values of the layer."""
        if self._computes_in is not None:
            key_states, value_states = key_states.to(self._computes_in), value_states.to(self._computes_in)
        appended: tuple[torch.Tensor, torch.Tensor] = super().update(key_states, value_states, *args, **kwargs)
        return appended


@dataclass
class _State:
    """Decoding state of R rows: next-token logits [R, V], cache, mask [R, T], position of the next token [R]."""

    logits: torch.Tensor
    cache: DynamicCache
    mask: torch.Tensor
    position: torch.Tensor

    def repeat(self, times: int) -> None:
        self.cache.batch_repeat_interleave(times)
        for name in ("logits", "mask", "position"):
            setattr(self, name, getattr(self, name).repeat_interleave(times, dim=0))

    def keep(self, rows: torch.Tensor) -> None:
        self.cache.batch_select_indices(rows)
        for name in ("logits", "mask", "position"):
            setattr(self, name, getattr(self, name)[rows])


def _prefill(policy: Policy, inputs: ModelInputs, features: Sequence[torch.Tensor] | None) -> _State:
    positions, shift = rope_positions(policy, inputs)
    cache = RolloutCache(policy)
    outputs = policy.model(
        input_ids=inputs.input_ids,
        attention_mask=inputs.attention_mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
        **video_kwargs(policy, inputs, features),
    )
    position = inputs.attention_mask.sum(-1) + shift
    return _State(outputs.logits[:, -1], cache, inputs.attention_mask, position)


def _decode(policy: Policy, state: _State, sampling: Sampling, uniforms: torch.Tensor) -> list[list[int]]:
    """Sample until every row has ended; finished rows leave the batch once they are half of it."""
    rows: list[list[int]] = [[] for _ in range(len(state.mask))]
    alive = torch.arange(len(rows), device=state.mask.device)
    ends = torch.tensor(policy.eos_token_ids, device=state.mask.device)
    running = torch.ones_like(alive, dtype=torch.bool)
    for step in range(sampling.max_new_tokens):
        tokens = pick_tokens(state.logits, sampling, uniforms[alive, step], policy.suppressed_token_ids)
        for row, token, runs in zip(alive.tolist(), tokens.tolist(), running.tolist(), strict=True):
            if runs:
                rows[row].append(token)
        running = running & ~torch.isin(tokens, ends)
        if not running.any() or step + 1 == sampling.max_new_tokens:
            break
        if 2 * int(running.sum()) <= len(alive):
            kept = running.nonzero()[:, 0]
            state.keep(kept)
            alive, tokens, running = alive[kept], tokens[kept], running[kept]
        _advance(policy, state, tokens)
    return rows


def _advance(policy: Policy, state: _State, tokens: torch.Tensor) -> None:
    """One decoding step: feed `tokens` [R]."""
    state.mask = torch.cat([state.mask, torch.ones_like(state.mask[:, :1])], dim=1)
    outputs = policy.model(
        input_ids=tokens[:, None],
        attention_mask=state.mask,
        position_ids=state.position[None, :, None].expand(3, -1, -1),
        past_key_values=state.cache,
        use_cache=True,
    )
    state.logits = outputs.logits[:, -1]
    state.position = state.position + 1
