"""Models in float64 all the way: some parts of transformers' models compute in float32 whatever they get."""

from types import ModuleType
from typing import Any

import pytest
import torch
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl
from transformers.models.qwen3_vl import modeling_qwen3_vl


def compute_in_what_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """RMSNorm and the towers' rotary embedding in the precision of their inputs."""
    monkeypatch.setattr(modeling_qwen2_5_vl.Qwen2_5_VLRMSNorm, "forward", _norm)
    monkeypatch.setattr(modeling_qwen3_vl.Qwen3VLTextRMSNorm, "forward", _norm)
    for module in (modeling_qwen2_5_vl, modeling_qwen3_vl):
        monkeypatch.setattr(module, "apply_rotary_pos_emb_vision", _rotation(module))


def _norm(self: Any, hidden_states: torch.Tensor) -> torch.Tensor:
    variance = hidden_states.pow(2).mean(-1, keepdim=True)
    normed: torch.Tensor = self.weight * hidden_states * torch.rsqrt(variance + self.variance_epsilon)
    return normed


def _rotation(module: ModuleType) -> Any:
    def rotate(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> tuple[Any, Any]:
        cos, sin = cos.unsqueeze(-2).to(q), sin.unsqueeze(-2).to(q)
        return q * cos + module.rotate_half(q) * sin, k * cos + module.rotate_half(k) * sin

    return rotate
