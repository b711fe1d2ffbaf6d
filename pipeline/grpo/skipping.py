"""Steps that cannot be computed are skipped, counted, and limited in number.

Rollouts are a function of run, step and question, so a run that failed at such a step would fail there at every
restart.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from transformers import TrainerCallback

from pipeline.errors import StageError
from pipeline.grpo.training import Args, Control, State, Training


class SkipUnusable(TrainerCallback):
    """Before the optimizer: removes the gradient if loss or gradient is not finite, or if there is nothing to learn
    from. Then nothing is updated, the step counts as done, and all processes decide alike."""

    def __init__(self, training: Training) -> None:
        self.training = training

    def on_pre_optimizer_step(
        self,
        args: Args,
        state: State,
        control: Control,
        **kwargs: Any,
    ) -> None:
        """Raises StageError once more than `max_skipped_fraction` of the steps were skipped, or at once if the
        weights are no longer finite."""
        model: torch.nn.Module = kwargs["model"]
        reason = self.training.trouble or _bad_gradient(model)
        self.training.trouble = None
        if not self._anywhere(reason is not None):
            return
        model.zero_grad(set_to_none=True)  # an optimizer ignores a weight without a gradient
        step = state.global_step + 1
        names = ", ".join(dict.fromkeys(r.sample.question_id for r in self.training.rollouts))
        said = f"step {step} is skipped: {reason or 'another process cannot compute it'} (questions {names})"
        spoilt = next((n for n, p in model.named_parameters() if not torch.isfinite(p.sum())), None)
        if spoilt is not None:
            raise StageError(f"{said}, and the weight {spoilt} is no longer finite: lower learning_rate")
        entry = {"skipped": 1.0, "step": step}
        state.log_history.append(entry)
        self.training.callback_handler.on_log(args, state, control, entry)
        self._check_bound(skipped_steps(state.log_history), said)
        if state.is_world_process_zero:
            print(f"train_grpo: {said}; no weight is updated", file=sys.stderr)

    def _anywhere(self, here: bool) -> bool:
        accelerator = self.training.accelerator
        flag = torch.tensor(float(here), device=accelerator.device)
        return bool(accelerator.reduce(flag, "sum") > 0)

    def _check_bound(self, skipped: int, said: str) -> None:
        settings = self.training.settings
        allowed = max(1, int(settings.max_skipped_fraction * settings.max_steps))
        if skipped > allowed:
            raise StageError(
                f"{said}. {skipped} of {settings.max_steps} steps are now skipped, more than "
                f"max_skipped_fraction={settings.max_skipped_fraction} allows; the last checkpoint is good. Lower "
                "learning_rate, raise max_completion_length, or remove these questions"
            )


def skipped_steps(log: Iterable[Mapping[str, Any]]) -> int:
    """How many steps were skipped, from a trainer's log."""
    return sum("skipped" in row for row in log)


def _bad_gradient(model: torch.nn.Module) -> str | None:
    """The gradient is already the sum over all processes."""
    bad = [n for n, p in model.named_parameters() if p.grad is not None and not torch.isfinite(p.grad.sum())]
    return f"the gradient of {bad[0]} and {len(bad) - 1} others is not finite" if bad else None
