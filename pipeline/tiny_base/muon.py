"""Muon in float32.

`torch.optim.Muon` orthogonalises in bfloat16, which is twenty times slower than float32 on a CPU without bfloat16
units. Such a CPU also rounds in its own way, so that the same seed gave another base model on another machine.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic of Jordan et al., "Muon", 2024
_ITERATIONS = 5
_MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose matrix is orthogonalised before each step; only for matrices `[A, B]`.

    The step is scaled by 0.2 x sqrt(max(A, B)), so that learning rates are those of AdamW (Liu et al., 2025,
    arXiv 2502.16982). Weight decay is decoupled.
    """

    def __init__(self, matrices: Iterable[torch.Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step along the gradients; a matrix without a gradient is unchanged."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._move(matrix, matrix.grad, group["lr"], group["weight_decay"])

    def _move(self, matrix: torch.Tensor, gradient: torch.Tensor, lr: float, weight_decay: float) -> None:
        state = self.state[matrix]
        momentum = state.setdefault("momentum", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        direction = orthogonalise(gradient.lerp(momentum, _MOMENTUM))
        matrix.mul_(1 - lr * weight_decay)
        matrix.add_(direction, alpha=-lr * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """About the nearest semi-orthogonal matrix: singular values of `[A, B]` brought near 1 (0.7-1.2)."""
    a, b, c = _NEWTON_SCHULZ
    wide = matrix.T if matrix.size(0) > matrix.size(1) else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.size(0) > matrix.size(1) else wide
