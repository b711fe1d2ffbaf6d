"""AdamW for weights in bfloat16: computed in float32, with stochastic rounding.

Rounded to nearest, an update of 1e-6 on a weight of 0.02 is lost, because bfloat16 resolves that weight to 1e-4. A
second moment that decays by a thousandth would not change either. Rounded up or down with the right probabilities,
both are kept on average (Gupta et al., 2015, arXiv 1502.02551). Weights, gradients and moments take 8 bytes per
weight instead of 16.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

_CHUNK = 1 << 24  # weights at a time, so that float32 values take little memory compared with the model


class HalfAdamW(torch.optim.Optimizer):
    """Like `torch.optim.AdamW`, for bfloat16 parameters. The rounding depends only on step and parameter, so that a
    resumed run and every process round alike."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        number = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                number += 1
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group, number)

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any], number: int) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        step = int(state["step"])
        chance = torch.Generator(parameter.device).manual_seed(step * 1_000_003 + number)
        flat = (parameter, gradient, state["exp_avg"], state["exp_avg_sq"])
        for pieces in zip(*(t.view(-1).split(_CHUNK) for t in flat), strict=True):
            _update_piece(pieces, group, step, chance)


def _update_piece(pieces: tuple[torch.Tensor, ...], group: dict[str, Any], step: int, chance: torch.Generator) -> None:
    """`pieces` are weight, gradient, mean and mean square, bfloat16 [n] each; all but the gradient change in place."""
    weight, gradient, mean, square = pieces
    first, second = group["betas"]
    g = gradient.float()
    m = mean.float().lerp_(g, 1 - first)
    v = square.float().mul_(second).addcmul_(g, g, value=1 - second)
    w = weight.float().mul_(1 - group["lr"] * group["weight_decay"])
    spread = (v / (1 - second**step)).sqrt_().add_(group["eps"])
    w.addcdiv_(m, spread, value=-group["lr"] / (1 - first**step))
    for target, value in ((weight, w), (mean, m), (square, v)):
        target.copy_(round_by_chance(value, chance))


def round_by_chance(values: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """float32 to bfloat16: to one of the two neighbours, more likely the nearer one, so that the mean is preserved.

    bfloat16 is float32 without its last 16 bits: a random number is added to them, and they are cut off.
    """
    bits = values.view(torch.int32)
    noise = torch.randint(0, 1 << 16, values.shape, dtype=torch.int32, device=values.device, generator=chance)
    return ((bits + noise) & -(1 << 16)).view(torch.float32).to(torch.bfloat16)
