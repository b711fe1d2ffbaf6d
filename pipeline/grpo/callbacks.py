"""What happens around the steps: dev accuracy, budgets, live metrics."""

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from dvclive import Live
from tqdm import tqdm
from transformers import TrainerCallback

from pipeline.grpo.checkpoints import best_step, dev_scores
from pipeline.grpo.dev import count_correct
from pipeline.grpo.rewards import REWARDS
from pipeline.grpo.samples import Sample
from pipeline.grpo.training import Args, Control, Logs, State, Training

# Live metrics depend only on the inputs (no times), so that a resumed run writes the same files.
SHOWN = {
    "loss": "loss",
    "reward": "reward",
    **{f"rewards/{name}/mean": f"reward_{name}" for name in REWARDS},
    "keyframe_f1": "keyframe_f1",
    "zero_variance": "zero_variance",
    "resampled": "resampled",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clip_ratio",
    "completions/mean_length": "completion_length",
    "completions/clipped_ratio": "completion_cut_off",
    "grad_norm": "grad_norm",
    "importance_ratio/mean": "importance_ratio_mean",
    "importance_ratio/std": "importance_ratio_std",
    "dev_accuracy": "dev_accuracy",
    "skipped": "skipped",
}


class DevAccuracy(TrainerCallback):
    """Measures dev accuracy before the first step and every `dev_every` steps, and stops when it no longer rises."""

    def __init__(self, training: Training, samples: Sequence[Sample]) -> None:
        self.training, self.samples, self.settings = training, samples, training.settings

    def on_train_begin(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """The base model's accuracy, unless the run is resumed and knows it already."""
        if state.global_step == 0:
            self._measure()

    def on_step_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """A checkpoint follows every measurement, so that the best step is available."""
        if state.global_step % self.settings.dev_every == 0 or state.global_step == self.settings.max_steps:
            self._measure()
            control.should_save = control.should_log = True
            if self._stale(state):
                control.should_training_stop = True

    def _measure(self) -> None:
        trainer, world = self.training, self.training.accelerator.num_processes
        mine = self.samples[trainer.accelerator.process_index :: world]
        batch = self.settings.prompts_per_step * 4
        with trainer.rollout_policy() as policy:
            length = self.settings.max_completion_length
            right = count_correct(policy, mine, trainer.clips, trainer.cache, length, batch)
        total = trainer.accelerator.reduce(torch.tensor(float(right), device=trainer.accelerator.device), "sum")
        entry = {"dev_accuracy": total.item() / len(self.samples), "step": trainer.state.global_step}
        trainer.state.log_history.append(entry)
        trainer.callback_handler.on_log(trainer.args, trainer.state, trainer.control, entry)

    def _stale(self, state: State) -> bool:
        scores = dev_scores(state.log_history)
        best = best_step(scores)
        if not self.settings.stopping.patience or best is None:
            return False
        first_best = min(step for step in scores if step > 0 and scores[step] == scores[best])
        return sum(step > first_best for step in scores) >= self.settings.stopping.patience


class TimeBudget(TrainerCallback):
    """Stops all processes of a run together after `max_seconds`, with a checkpoint."""

    def __init__(self, max_seconds: float) -> None:
        self.deadline = time.monotonic() + max_seconds

    def on_step_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """The current step is finished first. A process that stopped alone would leave the others waiting."""
        late = torch.tensor(float(time.monotonic() > self.deadline))
        if dist.is_initialized():
            late = late.to(args.device)
            dist.all_reduce(late, dist.ReduceOp.MAX)
        if late:
            control.should_save = control.should_training_stop = True


class TrainingProgress(TrainerCallback):
    """One progress bar with the important numbers, instead of a line of forty per step."""

    def __init__(self) -> None:
        self.bar: tqdm[NoReturn] | None = None

    def on_train_begin(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Start at the step of a resumed run."""
        if state.is_world_process_zero:
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="train_grpo", unit="step")

    def on_step_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """One step on."""
        if self.bar is not None:
            self.bar.update(1)

    def on_log(self, args: Args, state: State, control: Control, logs: Logs = None, **kwargs: Any) -> None:
        """Show reward, accuracy and entropy."""
        shown = {"reward": "reward", "rewards/accuracy/mean": "accuracy", "entropy": "entropy", "dev_accuracy": "dev"}
        found = {new: (logs or {}).get(old) for old, new in shown.items()}
        values = {name: f"{value:.3f}" for name, value in found.items() if isinstance(value, float)}
        if self.bar is not None and values:
            self.bar.set_postfix(values)

    def on_train_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Leave the finished bar on the screen."""
        if self.bar is not None:
            self.bar.close()


class LiveMetrics(TrainerCallback):
    """dvclive: `<folder>/metrics.json` and `<folder>/plots/metrics/*.tsv`; a resumed run replays its log into them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live: Live | None = None

    def on_train_begin(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Start, and replay what the checkpoint's log holds."""
        if state.is_world_process_zero:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.live = Live(str(self.folder), dvcyaml=None, save_dvc_exp=False, report=None, monitor_system=False)
            for row in state.log_history:
                self._write(row, row["step"])

    def on_log(self, args: Args, state: State, control: Control, logs: Logs = None, **kwargs: Any) -> None:
        """One point per metric and step."""
        self._write(logs or {}, (logs or {}).get("step", state.global_step))

    def _write(self, logs: dict[str, Any], step: float) -> None:
        if self.live is None:
            return
        self.live.step = step
        for name, shown in SHOWN.items():
            value = logs.get(name)
            if isinstance(value, int | float) and math.isfinite(value):  # a skipped gradient has no norm
                self.live.log_metric(shown, round(float(value), 6) + 0.0, timestamp=False)
        self.live.make_summary()

    def on_train_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Close the files."""
        if self.live is not None:
            self.live.end()
