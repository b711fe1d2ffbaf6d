"""Attention over windows of one size in one call: the library's numbers, with far fewer calls."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as library

from pipeline.models.families import windows
from tests.support.random_policy import make_random_policy

CUTS = {
    "one size": [0, 4, 8, 12],
    "three sizes": [0, 4, 6, 10, 12, 15],
    "one window": [0, 8],
}


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
def test_features_and_gradients_are_the_librarys(cuts: list[int], implementation: str) -> None:
    attention = make_random_policy().model.model.visual.blocks[0].attn
    attention.config._attn_implementation = implementation
    results = []
    for forward in (library.Qwen2_5_VLVisionAttention.forward, windows._forward):
        torch.manual_seed(0)
        hidden = torch.randn(cuts[-1], attention.dim, requires_grad=True)
        angles = torch.randn(cuts[-1], attention.head_dim)
        mixed = forward(attention, hidden, torch.tensor(cuts), position_embeddings=(angles.cos(), angles.sin()))
        mixed.square().sum().backward()
        results.append((mixed.detach(), hidden.grad))
    for theirs, ours in zip(*results, strict=True):
        assert theirs is not None
        torch.testing.assert_close(ours, theirs)


def test_windows_of_one_size_take_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, calls = make_random_policy().model.model.visual.blocks[0].attn, []
    attention.config._attn_implementation = "eager"
    eager = library.eager_attention_forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args[1].shape[0])
        return eager(*args, **kwargs)

    monkeypatch.setattr(library, "eager_attention_forward", counted)
    cuts = CUTS["three sizes"]
    angles = torch.randn(cuts[-1], attention.head_dim)
    windows._forward(attention, torch.randn(15, attention.dim), torch.tensor(cuts), (angles.cos(), angles.sin()))
    sizes = [end - start for start, end in pairwise(cuts)]
    assert sorted(calls) == sorted(sizes.count(size) for size in set(sizes))
