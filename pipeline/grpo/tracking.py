"""A run in wandb: the numbers of every step, and now and then sample completions with the frames that the policy
saw."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from pipeline.grpo.rewards import rewards_in_use, score_all
from pipeline.grpo.rewards.rollout import Rollout
from pipeline.grpo.training import Args, Control, Logs, State, Training
from pipeline.models.clip_frames import ClipFrames
from pipeline.records import LETTERS

COLUMNS = ("step", "question", "frames", "completion", "right letter")
REACH_SECONDS = 20.0  # how long training waits for wandb, at its start and at its end


def run_id(origin: Mapping[str, Any]) -> str:
    """Name of a run: a digest of what determines it, so that a resumed run continues in the same place."""
    return hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:16]


class Wandb(TrainerCallback):
    """Everything the trainer logs, and a table of completions every `table_every` steps (the first of each group).

    Offline unless WANDB_MODE says otherwise, or if wandb cannot be reached within `REACH_SECONDS`. Training
    continues, and `wandb sync` sends the saved run.
    """

    def __init__(
        self, training: Training, project: str, origin: dict[str, Any], folder: Path, table_every: int
    ) -> None:
        self.training, self.project, self.origin = training, project, origin
        self.folder, self.table_every = folder, table_every
        self.run: Any = None  # wandb's own type is built at run time

    def on_train_begin(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """One wandb run for all processes and restarts of this training."""
        if state.is_world_process_zero:
            import wandb

            self.folder.mkdir(parents=True, exist_ok=True)
            # keep pictures beside the run, not in $HOME
            os.environ.setdefault("WANDB_DATA_DIR", str(self.folder.resolve()))
            try:
                self.run = self._init(os.environ.get("WANDB_MODE", "offline"))
            except (wandb.errors.Error, OSError) as error:  # no key, no server, no answer in time
                first = (str(error) or type(error).__name__).splitlines()[0]
                print(f"train_grpo: wandb cannot be reached ({first}); logging offline", file=sys.stderr)
                self.run = self._init("offline")

    def _init(self, mode: Any) -> Any:
        import wandb

        settings = wandb.Settings(
            disable_git=True,
            x_disable_stats=True,
            init_timeout=REACH_SECONDS,
            finish_timeout=REACH_SECONDS,
            finish_timeout_raises=False,
        )
        return wandb.init(
            project=self.project,
            id=run_id(self.origin),
            resume="allow",
            config=self.origin,
            mode=mode,
            dir=str(self.folder),
            settings=settings,
        )

    def on_step_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """The table comes before the step's numbers: both belong to one step."""
        due = state.global_step == 1 or state.global_step % self.table_every == 0
        if self.run is not None and due:
            self.run.log({"completions": self._table(state.global_step)}, step=state.global_step)

    def on_log(self, args: Args, state: State, control: Control, logs: Logs = None, **kwargs: Any) -> None:
        """Everything the trainer logs."""
        if self.run is not None:
            self.run.log({k: v for k, v in (logs or {}).items() if k != "step"}, step=state.global_step)

    def on_train_end(self, args: Args, state: State, control: Control, **kwargs: Any) -> None:
        """Finish the run."""
        if self.run is not None:
            self.run.finish()

    def where(self, folder: Path) -> dict[str, str]:
        """How a reader of the report finds the run: its address or, for an offline run, the command that sends it.

        `folder` is the run's folder relative to the checkout: a report must not name this machine.
        """
        name, url = run_id(self.origin), getattr(self.run, "url", None)
        found = {"project": self.project, "run": name, "sync": f"wandb sync {folder.as_posix()}/wandb/*-{name}"}
        return found if not url else {**found, "url": str(url)}

    def _table(self, step: int) -> Any:
        import wandb

        training = self.training
        names = rewards_in_use(training.settings.rewards)
        table = wandb.Table(columns=[*COLUMNS, *names])
        shown = {rollout.sample.question_id: rollout for rollout in reversed(training.rollouts)}
        for question_id, rollout in sorted(shown.items()):
            frames = training.clips.load(rollout.sample.clip_id)
            strip = wandb.Image(np.concatenate(list(frames.images), axis=1), caption=_caption(frames, rollout))
            parts = [score_all(name, [rollout])[0] for name in names]
            table.add_data(step, question_id, strip, rollout.text, LETTERS[rollout.sample.answer], *parts)
        return table


def _caption(frames: ClipFrames, rollout: Rollout) -> str:
    """The times of the frames, and when the answer is visible; seconds from the start of the video and of the clip."""
    times = ", ".join(f"{t:.1f}" for t in frames.pts_seconds)
    keys = ", ".join(f"{t:.1f}" for t in rollout.sample.key_seconds)
    return f"frames at {times} s" + (f"; key times {keys} s into the clip" if keys else "")
