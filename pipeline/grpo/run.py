"""A whole training run: from samples and a base model to a policy folder."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import ProgressCallback, TrainerCallback
from transformers.utils import logging as library_logging

from pipeline.errors import EmptyInput, ModelError, ParamsError
from pipeline.grpo.adapter import lora_config
from pipeline.grpo.callbacks import DevAccuracy, LiveMetrics, TimeBudget, TrainingProgress
from pipeline.grpo.checkpoints import Checkpoints, dev_scores
from pipeline.grpo.clips import ClipLoader
from pipeline.grpo.config import make_config, questions_per_step
from pipeline.grpo.engine_rollout import EngineRollout, open_rollout
from pipeline.grpo.export import export_policy, readme
from pipeline.grpo.rewards import prove_rewards
from pipeline.grpo.samples import Sample
from pipeline.grpo.sharding import shards_weights, whole_state, wrap_decoder_layers
from pipeline.grpo.skipping import SkipUnusable, skipped_steps
from pipeline.grpo.tracking import Wandb
from pipeline.grpo.trainer import VideoGRPOTrainer
from pipeline.grpo.training import Training
from pipeline.layout import CHECKPOINTS
from pipeline.models.policy import Policy
from pipeline.models.vision import FeatureCache
from pipeline.params import Params
from pipeline.train_params import TrainGrpo

# Sections that do not affect a policy: with other values its folder, and so its digest, must be the same.
_NOT_OF_A_POLICY = {"machine", "write_report", "promotion", "publish"}

WANDB = Path(CHECKPOINTS, "wandb")  # relative to the checkout, because a report must not name this machine


@dataclass(frozen=True)
class TrainingRun:
    """Everything a run is made of. `hashes` are of the data it reads, `code` of the code that DVC watches, by path;
    `resolved` are all of its params."""

    params: Params
    policy: Policy
    train: Sequence[Sample]
    dev: Sequence[Sample]
    clips: ClipLoader
    cache: FeatureCache | None
    hashes: Mapping[str, str]
    checkpoints: Path
    live: Path
    output: Path
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def wandb(self) -> Path:
        """Where an offline wandb run is kept: beside the checkpoints, not as an artifact."""
        return self.checkpoints.parent / "wandb"

    @property
    def engine(self) -> Path:
        """Where an engine has its log and the weights that it is given."""
        return self.checkpoints.parent / "engine"

    @property
    def origin(self) -> dict[str, Any]:
        """What determines the steps of a run, flattened: params, and digests of data and code, but not when it
        stops."""
        sections = {"seed": self.params.seed, "prompts": self.params.prompts.model_dump(mode="json")}
        sections["train_grpo"] = self.params.train_grpo.model_dump(mode="json", exclude={"stopping"})
        return {**flatten_metrics(sections), **self.hashes, **self.code}


def flatten_metrics(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings flattened to dotted keys."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat.update(flatten_metrics(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item})
    return flat


def train(run: TrainingRun) -> dict[str, Any]:
    """Train, resuming where a killed run stopped, and write the policy; returns the numbers of the run.

    Raises:
        EmptyInput: no training sample.
        StageError: a reward fails on gold completions, or more steps than allowed could not be computed.
        ModelError: there is a checkpoint of another run, or the GPU is out of memory.
    """
    settings = run.params.train_grpo
    if not run.train:
        raise EmptyInput("train_grpo: no usable training question is left (see data/reports/train_grpo.json)")
    _say_if_few(len(run.train), settings)
    prove_rewards(settings.rewards, run.train, settings.reward_settings)
    checkpoints = Checkpoints(run.checkpoints, run.origin, run.params.machine.keep_checkpoints)
    resume = checkpoints.start()
    with silence_libraries(), explain_out_of_memory():
        with open_rollout(run.params, run.engine) as rollout:
            trainer = make_trainer(run, checkpoints, rollout)
            trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
        return _finish(run, trainer, checkpoints)


def _say_if_few(questions: int, settings: TrainGrpo) -> None:
    taken = questions_per_step(settings, questions)
    if taken < settings.prompts_per_step:
        print(
            f"train_grpo: {questions} training questions are fewer than prompts_per_step "
            f"({settings.prompts_per_step}): each step takes {taken}",
            file=sys.stderr,
        )


@contextmanager
def explain_out_of_memory() -> Iterator[None]:
    """Turns "out of memory" of a GPU, or of torch's CPU allocator, into a message that says what to change.

    Raises:
        ModelError: memory ran out.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(f"the GPU is out of memory. {MEMORY_SETTINGS}") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise ModelError(f"this machine is out of memory. {MEMORY_SETTINGS}") from error


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Without TRL's experimental-feature notices, a bar per saved file, and names that TRL 1.16 still uses."""
    logging.getLogger("trl").setLevel(logging.ERROR)
    bars: Any = library_logging
    bars.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing.* is deprecated", category=FutureWarning)
        yield
    bars.enable_progress_bar()


MEMORY_SETTINGS = (
    "In this order: train_grpo.gradient_accumulation_steps up, gradient_checkpointing: true, "
    "max_completion_length down, extract_frames.frames_per_clip or max_pixels down, lora, "
    "a ZeRO-3 configuration (configs/)"
)


def make_trainer(run: TrainingRun, checkpoints: Checkpoints, rollout: EngineRollout | None = None) -> VideoGRPOTrainer:
    """The trainer with everything attached."""
    settings, machine = run.params.train_grpo, run.params.machine
    for parameter in run.policy.tower.parameters():
        parameter.requires_grad_(not settings.freeze_vision)
    wrap_decoder_layers(run.policy)
    trainer = VideoGRPOTrainer(
        run.policy,
        run.train,
        run.clips,
        run.cache,
        settings,
        run.params.seed,
        checkpoints,
        rollout=rollout,
        args=make_config(settings, machine, run.params.seed, checkpoints.writing, len(run.train)),
        peft_config=None if settings.lora is None else lora_config(settings.lora, run.policy),
    )
    trainer.remove_callback(ProgressCallback)
    whole_only = (
        "lora" if settings.lora is not None else "weights: bfloat16" if settings.weights == "bfloat16" else None
    )
    whole_only = whole_only or ("rollout: vllm" if rollout is not None else None)
    if whole_only and shards_weights(trainer.accelerator):
        raise ParamsError(f"train_grpo.{whole_only} needs whole weights: launch with configs/ddp_gpu.yaml or zero2")
    for callback in _callbacks(run, trainer):
        trainer.add_callback(callback)
    return trainer


def _callbacks(run: TrainingRun, training: Training) -> Iterator[TrainerCallback]:
    settings = run.params.train_grpo
    yield TrainingProgress()
    yield SkipUnusable(training)
    yield LiveMetrics(run.live)
    if run.dev:
        yield DevAccuracy(training, run.dev)
    if settings.stopping.max_seconds is not None:
        yield TimeBudget(settings.stopping.max_seconds)
    if run.params.machine.wandb_project is not None:
        yield Wandb(training, run.params.machine.wandb_project, run.origin, run.wandb, settings.dev_every)


def _finish(run: TrainingRun, trainer: VideoGRPOTrainer, checkpoints: Checkpoints) -> dict[str, Any]:
    """Pick the step, write the policy folder, return the numbers."""
    scores = dev_scores(trainer.state.log_history)
    last = trainer.state.global_step
    best = checkpoints.best(scores) if run.params.train_grpo.stopping.select == "best" else None
    chosen = last if best is None else best
    if chosen != last:
        trainer._load_from_checkpoint(str(checkpoints.path(chosen)), trainer.model)
    trainer.accelerator.wait_for_everyone()
    numbers = {
        "steps": last,
        "chosen_step": chosen,
        "skipped_steps": skipped_steps(trainer.state.log_history),
        "questions_train": len(run.train),
        "questions_dev": len(run.dev),
        "questions_per_step": questions_per_step(run.params.train_grpo, len(run.train)),
        "dev_accuracy_by_step": {str(step): round(score, 6) for step, score in sorted(scores.items())},
    }
    state = whole_state(trainer)
    if trainer.accelerator.is_main_process:
        card = {
            "params": json.loads(run.params.model_dump_json(exclude=_NOT_OF_A_POLICY)),
            "data": dict(run.hashes),
            "numbers": numbers,
            "family": {"model_type": run.policy.family.model_type, "title": run.policy.family.title},
        }
        card["versions"] = {name: version(name) for name in ("torch", "transformers", "trl", "accelerate")}
        export_policy(trainer.policy, run.output, card, readme(card), state)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()
    tracking = [c for c in trainer.callback_handler.callbacks if isinstance(c, Wandb)]
    return {**numbers, "wandb": tracking[0].where(WANDB)} if tracking else numbers
