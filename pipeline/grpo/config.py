"""Section train_grpo as TRL's GRPOConfig."""

import os
from pathlib import Path
from typing import Any

from trl import GRPOConfig

from pipeline.errors import ParamsError
from pipeline.grpo.rewards import rewards_in_use
from pipeline.models.device import resolve_device
from pipeline.params import Machine
from pipeline.train_params import TrainGrpo


def make_config(settings: TrainGrpo, machine: Machine, seed: int, output: Path, questions: int) -> GRPOConfig:
    """TRL's configuration for training on `questions` questions.

    Raises:
        ParamsError: the batch is not divisible by processes and micro-batches, or a checkpoint would fall between
            two rollouts.
    """
    rows = questions_per_step(settings, questions) // _parts(settings) * settings.num_generations
    _check_checkpoint_steps(settings, machine)
    weights = rewards_in_use(settings.rewards)
    cpu = resolve_device(machine) == "cpu"
    options: dict[str, Any] = {
        "output_dir": str(output),
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "steps_per_generation": settings.passes_per_generation,
        "num_iterations": settings.num_iterations,
        "num_generations": settings.num_generations,
        "max_completion_length": settings.max_completion_length,
        "max_steps": settings.max_steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.lr_scheduler_type,
        "warmup_steps": settings.warmup_steps,
        "max_grad_norm": settings.max_grad_norm,
        "weight_decay": settings.weight_decay,
        "beta": settings.beta,
        "epsilon": settings.epsilon,
        "epsilon_high": settings.epsilon_high,
        "loss_type": settings.loss_type,
        "scale_rewards": settings.scale_rewards,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "mask_truncated_completions": settings.mask_truncated_completions,
        "reward_weights": list(weights.values()),
        "activation_checkpointing": settings.gradient_checkpointing,
        "bf16": settings.dtype == "bfloat16",
        "use_cpu": cpu,
        "dataloader_pin_memory": not cpu,
        "ddp_find_unused_parameters": False,
        "remove_unused_columns": False,
        "save_strategy": "steps",
        "save_steps": machine.save_steps,
        "logging_steps": 1,
        "report_to": [],
        "seed": seed,
        "model_init_kwargs": {"use_safetensors": True},
        "vllm_importance_sampling_mode": settings.vllm_importance_sampling_mode,
    }
    return GRPOConfig(**options)


def questions_per_step(settings: TrainGrpo, questions: int) -> int:
    """`prompts_per_step`, or all questions if there are fewer.

    Raises:
        ParamsError: they are not divisible by processes and micro-batches, and groups are never split.
    """
    parts = _parts(settings)
    if settings.prompts_per_step % parts:
        raise ParamsError(
            f"train_grpo.prompts_per_step ({settings.prompts_per_step}) must be a multiple of "
            f"gradient_accumulation_steps x processes ({parts}), because groups are never split"
        )
    whole = parts * settings.updates_per_generation
    if questions < whole:
        raise ParamsError(
            f"{questions} training questions are too few for train_grpo.steps_per_generation x processes ({whole}): "
            "lower it, or add questions"
        )
    return min(settings.prompts_per_step, questions // whole * parts)


def questions_used(settings: TrainGrpo) -> int:
    """How many questions all steps of a run use together; repeated ones count again."""
    rollouts = -(-settings.max_steps // (settings.updates_per_generation * settings.num_iterations))
    return rollouts * settings.updates_per_generation * settings.prompts_per_step


def _parts(settings: TrainGrpo) -> int:
    """Forward passes per step, over all processes."""
    return settings.gradient_accumulation_steps * int(os.environ.get("WORLD_SIZE", "1"))


def _check_checkpoint_steps(settings: TrainGrpo, machine: Machine) -> None:
    steps = settings.updates_per_generation * settings.num_iterations
    for name, value in (("machine.save_steps", machine.save_steps), ("train_grpo.dev_every", settings.dev_every)):
        if value % steps:
            raise ParamsError(
                f"{name} ({value}) must be a multiple of updates per batch of completions x num_iterations "
                f"({steps}), because a run cannot resume exactly between two rollouts"
            )
