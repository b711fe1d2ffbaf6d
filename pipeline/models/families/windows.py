"""Attention of Qwen2.5-VL's vision tower: windows of one size in one call.

transformers 5.23 calls attention once a window and layer: for the tiny base's lessons two hundred times a step, for 32
real frames thousands of times a clip. What is computed is the same.
"""

import importlib
from types import MethodType
from typing import Any

import torch


def _library() -> Any:
    return importlib.import_module("transformers.models.qwen2_5_vl.modeling_qwen2_5_vl")


def attend_in_batches(model: Any) -> None:
    """Let the vision tower of a `Qwen2_5_VLForConditionalGeneration` attend this way; flash attention, which takes
    windows of all sizes at once, stays the library's."""
    for block in model.model.visual.blocks:
        if not _library().is_flash_attention_requested(block.attn.config):
            block.attn.forward = MethodType(_forward, block.attn)


def _forward(
    self: Any,
    hidden_states: torch.Tensor,
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    max_seqlen: int | None = None,
    **kwargs: Any,
) -> torch.Tensor:
    """`hidden_states` [patches, hidden size]; window i holds the patches cu_seqlens[i] to cu_seqlens[i + 1]."""
    qkv = self.qkv(hidden_states).reshape(len(hidden_states), 3, self.num_heads, -1)
    query, key, value = qkv.unbind(1)
    query, key = _library().apply_rotary_pos_emb_vision(query, key, *position_embeddings)
    lengths = cu_seqlens.diff()
    sizes = sorted(set(lengths.tolist()))
    if len(sizes) == 1:
        mixed = _attend(self, query, key, value, sizes[0], kwargs)
    else:
        mixed = torch.empty_like(query)
        for size in sizes:
            starts = cu_seqlens[:-1][lengths == size]
            rows = (starts[:, None] + torch.arange(size, device=starts.device)).flatten()
            mixed = mixed.index_copy(0, rows, _attend(self, query[rows], key[rows], value[rows], size, kwargs))
    projected: torch.Tensor = self.proj(mixed.flatten(1))
    return projected


def _attend(
    attention: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, size: int, kwargs: dict[str, Any]
) -> torch.Tensor:
    """`[patches, heads, head size]` to the same, in windows of `size` patches."""
    library = _library()
    implementation = attention.config._attn_implementation
    call = library.ALL_ATTENTION_FUNCTIONS.get_interface(implementation, library.eager_attention_forward)
    windows = [x.reshape(-1, size, *x.shape[1:]).transpose(1, 2) for x in (query, key, value)]
    dropout = attention.attention_dropout if attention.training else 0.0
    settings = {"attention_mask": None, "scaling": attention.scaling, "dropout": dropout, "is_causal": False}
    mixed: torch.Tensor = call(attention, *windows, **settings, **kwargs)[0]
    return mixed.flatten(0, 1)
