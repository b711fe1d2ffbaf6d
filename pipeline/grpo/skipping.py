"""Steps that cannot be computed: left out, counted, bounded.

Rollouts are a function of run, step and question. So a run that ended in such a step would end there at every restart.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from transformers import TrainerCallback

from pipeline.errors import StageError
from pipeline.grpo.training import Args, Control, State, Training


class SkipUnusable(TrainerCallback):
    """Before the optimizer: takes the gradient away if loss or gradient is no number, or if there is nothing to learn
    from. Nothing is updated then, the step counts as taken, and all processes decide alike."""

    def __init__(self, training: Training) -> None:
        self.training = training

    def on_pre_optimizer_step(
        self,
        args: Args,
        state: State,
        control: Control,
        **kwargs: Any,
    ) -> None:
        """Raises StageError once more than `max_skipped_fraction` of the steps had to be left out, or at once if the
        weights are no numbers any more."""
        model: torch.nn.Module = kwargs["model"]
        reason = self.training.trouble or _bad_gradient(model)
        self.training.trouble = None
        if not self._anywhere(reason is not None):
            return
        model.zero_grad(set_to_none=True)  # an optimizer leaves a weight without gradient alone
        step = state.global_step + 1
        names = ", ".join(dict.fromkeys(r.sample.question_id for r in self.training.rollouts))
        said = f"step {step} is left out: {reason or 'another process cannot compute it'} (questions {names})"
        spoilt = next((n for n, p in model.named_parameters() if not torch.isfinite(p.sum())), None)
        if spoilt is not None:
            raise StageError(f"{said}, and the weight {spoilt} is no number any more: lower learning_rate")
        entry = {"skipped": 1.0, "step": step}
        state.log_history.append(entry)
        self.training.callback_handler.on_log(args, state, control, entry)
        self._check_bound(skipped_steps(state.log_history), said)
        if state.is_world_process_zero:
            print(f"train_grpo: {said}; nothing is updated", file=sys.stderr)

    def _anywhere(self, here: bool) -> bool:
        accelerator = self.training.accelerator
        flag = torch.tensor(float(here), device=accelerator.device)
        return bool(accelerator.reduce(flag, "sum") > 0)

    def _check_bound(self, skipped: int, said: str) -> None:
        settings = self.training.settings
        allowed = max(1, int(settings.max_skipped_fraction * settings.max_steps))
        if skipped > allowed:
            raise StageError(
                f"{said}. That is the {skipped}th of {settings.max_steps} steps, more than "
                f"max_skipped_fraction={settings.max_skipped_fraction} allows; the last checkpoint is good. Lower "
                "learning_rate, raise max_completion_length, or leave these questions out"
            )


def skipped_steps(log: Iterable[Mapping[str, Any]]) -> int:
    """How many steps were left out, from a trainer's log."""
    return sum("skipped" in row for row in log)


def _bad_gradient(model: torch.nn.Module) -> str | None:
    """The gradient is the sum over all processes already."""
    bad = [n for n, p in model.named_parameters() if p.grad is not None and not torch.isfinite(p.grad.sum())]
    return f"the gradient of {bad[0]} and {len(bad) - 1} others is no number" if bad else None
