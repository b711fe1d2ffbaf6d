"""Log-probabilities of completions with their videos: one row for all (shared prompt) or one row each.

Both use TRL's fused head (`add_fused_lm_head`), which never keeps the logits of a whole sequence in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from pipeline.grpo.shared_prompt import IGNORE, pack, shared_forward_kwargs
from pipeline.models.batch import ModelInputs, repeat_prompts
from pipeline.models.generate import rope_positions, video_kwargs
from pipeline.models.policy import Policy

Forward = Callable[..., Any]


@dataclass(frozen=True)
class Groups:
    """R completions grouped by prompt: `inputs` and `features` of the B prompts, `rows[b]` the numbers of the
    completions of prompt b, `completions` the token ids of each, int64 [length]."""

    inputs: ModelInputs
    features: Sequence[torch.Tensor] | None
    rows: Sequence[Sequence[int]]
    completions: Sequence[torch.Tensor]


LogProbs = tuple[torch.Tensor, torch.Tensor | None]  # the reference model's head returns no entropies


def shared_log_probs(forward: Forward, policy: Policy, groups: Groups, width: int) -> LogProbs:
    """Log-probabilities and entropies [R, width] (0 beyond a completion's end), every prompt computed once.

    A completion without tokens takes one position in the row and gives zeros, so that a batch of only such
    completions still has a forward pass, and a gradient of zero.
    """
    lengths = torch.tensor([len(c) for c in groups.completions])
    filled = [c if len(c) else c.new_full((1,), policy.pad_token_id) for c in groups.completions]
    row = pack(policy, groups.inputs, [[filled[r] for r in rows] for rows in groups.rows])
    kwargs = shared_forward_kwargs(policy, row, groups.inputs, groups.features)
    outputs = forward(**kwargs, shift_labels=row.labels, fused_lm_head=True)
    order = [r for rows in groups.rows for r in rows]
    labelled = row.labels != IGNORE

    def unpack(values: torch.Tensor) -> torch.Tensor:
        table = _unpack(values[labelled], [len(filled[r]) for r in order], order, width)
        return table * (torch.arange(width) < lengths[:, None]).to(table)

    return unpack(outputs.log_probs), None if outputs.entropy is None else unpack(outputs.entropy)


def _unpack(values: torch.Tensor, lengths: list[int], order: list[int], width: int) -> torch.Tensor:
    """Values [sum of lengths] to [R, width], row order[i] from the i-th piece, zeros behind each."""
    padded = pad_sequence(list(torch.split(values, lengths)), batch_first=True)
    back = torch.tensor(order, device=values.device).argsort()
    return torch.nn.functional.pad(padded, (0, width - padded.shape[1]))[back]


def separate_log_probs(forward: Forward, policy: Policy, groups: Groups, width: int) -> LogProbs:
    """The same as `shared_log_probs` with one row per completion, as stock trainers compute it."""
    counts = {len(rows) for rows in groups.rows}
    if len(counts) != 1:
        raise ValueError(f"expected groups of equal size, found sizes {sorted(counts)}")
    prompts, features = repeat_prompts(groups.inputs, groups.features, counts.pop())
    order = [row for rows in groups.rows for row in rows]
    inputs, labels = _append(prompts, [groups.completions[r] for r in order], policy.pad_token_id)
    positions, _ = rope_positions(policy, inputs)
    outputs = forward(
        input_ids=inputs.input_ids,
        attention_mask=inputs.attention_mask,
        position_ids=positions,
        labels=labels,
        fused_lm_head=True,
        **video_kwargs(policy, inputs, features),
    )
    start = prompts.input_ids.shape[1] - 1
    back = torch.tensor(order, device=labels.device).argsort()

    def unpack(values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(values[:, start:][back], (0, width - (labels.shape[1] - 1 - start)))

    return unpack(outputs.log_probs), None if outputs.entropy is None else unpack(outputs.entropy)


def _append(
    prompts: ModelInputs, completions: Sequence[torch.Tensor], pad_token_id: int
) -> tuple[ModelInputs, torch.Tensor]:
    """Prompts (padded left) with their completions (padded right) behind them, and the labels of the completions."""
    tokens = pad_sequence(list(completions), batch_first=True, padding_value=pad_token_id)
    mask = pad_sequence([torch.ones_like(c) for c in completions], batch_first=True)
    inputs = replace(
        prompts,
        input_ids=torch.cat([prompts.input_ids, tokens], 1),
        attention_mask=torch.cat([prompts.attention_mask, mask], 1),
        mm_token_type_ids=torch.cat([prompts.mm_token_type_ids, torch.zeros_like(tokens)], 1),
    )
    labels = torch.cat([torch.full_like(prompts.input_ids, IGNORE), tokens.masked_fill(mask == 0, IGNORE)], 1)
    return inputs, labels
