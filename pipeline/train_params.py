"""The part of params.yaml that says how the policy is trained; see `pipeline/params.py`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.sections import Fraction, Plugins, Positive, Section


class RewardSettings(Section):
    """Constants of the rewards; see pipeline/grpo/rewards."""

    keyframe_sigma_spacings: float = Field(gt=0)
    keyframe_max_count: Positive
    keyframe_gated: bool
    keyframe_targets: Literal["known", "mined", "random"]
    mined_targets: int = Field(ge=0)
    length_min_tokens: int = Field(ge=0)
    length_max_tokens: Positive


class Lora(Section):
    """A low-rank adapter; it is merged into the saved policy."""

    rank: Positive
    alpha: float = Field(gt=0)
    targets: tuple[str, ...]


class Difficulty(Section):
    """Train on prompts whose accuracy under the base model, over `samples` completions, is in a range; 0 samples:
    off."""

    samples: int = Field(ge=0)
    min_accuracy: Fraction
    max_accuracy: Fraction


class Stopping(Section):
    """When training ends and which step is kept. A checkpoint made with other values stays valid: they decide how
    far a run goes, not what its steps compute."""

    max_seconds: float | None = Field(gt=0)
    patience: int = Field(ge=0)
    select: Literal["best", "last"]


class TrainGrpo(Section):
    max_steps: Positive
    prompts_per_step: Positive
    num_generations: int = Field(ge=2)
    gradient_accumulation_steps: Positive
    steps_per_generation: Positive | None
    num_iterations: Positive
    learning_rate: float = Field(gt=0)
    lr_scheduler_type: Literal["constant", "constant_with_warmup", "cosine", "linear"]
    warmup_steps: int = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    beta: float = Field(ge=0)
    epsilon: float = Field(gt=0, lt=1)
    epsilon_high: float = Field(gt=0)
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo"]
    scale_rewards: Literal["group", "batch", "none"]
    temperature: float = Field(gt=0)
    top_p: float = Field(gt=0, le=1)
    max_completion_length: Positive
    mask_truncated_completions: bool
    max_skipped_fraction: Fraction
    rewards: dict[str, Annotated[float, Field(ge=0)]]
    plugins: Plugins
    reward_settings: RewardSettings
    difficulty: Difficulty
    resample_rounds: int = Field(ge=0)
    rollout: Literal["transformers", "vllm"]
    vllm_importance_sampling_mode: Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
    share_prompt: bool
    freeze_vision: bool
    cache_vision: bool
    blind_loss: bool
    lora: Lora | None
    gradient_checkpointing: bool
    dtype: Literal["float32", "bfloat16"]
    weights: Literal["float32", "bfloat16"]
    attention: Literal["sdpa", "flash_attention_2"]
    threads: Positive
    stopping: Stopping
    dev_every: Positive
    dev_questions: int = Field(ge=0)

    @property
    def passes_per_generation(self) -> int:
        """TRL's `steps_per_generation`: forward and backward passes per batch of completions."""
        return self.steps_per_generation or self.gradient_accumulation_steps

    @property
    def updates_per_generation(self) -> int:
        """Optimizer steps per batch of completions."""
        return self.passes_per_generation // self.gradient_accumulation_steps

    @model_validator(mode="after")
    def _whole_updates(self) -> "TrainGrpo":
        if self.passes_per_generation % self.gradient_accumulation_steps:
            raise ValueError("steps_per_generation must be a multiple of gradient_accumulation_steps")
        return self

    @model_validator(mode="after")
    def _can_take_effect(self) -> "TrainGrpo":
        if self.warmup_steps > self.max_steps:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) is more than max_steps ({self.max_steps}): the full learning "
                "rate would never be reached; lower it too (0 for a trial of a few steps)"
            )
        if self.loss_type != "cispo" and self.epsilon_high >= 1:  # cispo's bound limits the weight itself
            raise ValueError(f"epsilon_high ({self.epsilon_high}) must be below 1 with loss_type {self.loss_type}")
        if self.weights == "bfloat16" and (self.dtype != "bfloat16" or self.lora is not None):
            raise ValueError(
                "weights: bfloat16 needs dtype: bfloat16 and no lora (lora keeps its base in bfloat16 and its "
                "adapter in float32)"
            )
        return self
