"""TRL's GRPOTrainer with the video in the loss.

Stock TRL 1.16 generates completions with a video message and then silently computes the loss without it. This
subclass keeps TRL's losses, advantages, optimisation and metrics, and replaces what touches prompts. Completions
come from `pipeline.models.generate` (one prefill per group), log-probabilities from `pipeline.grpo.logprobs` (one
prompt per group). It overrides private methods, hence the pin `trl==1.16.*` and the test that fails if TRL's methods
change.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation
from trl.trainer.utils import split_tensor_dict

from pipeline.errors import StageError
from pipeline.grpo.checkpoints import Checkpoints, dev_scores
from pipeline.grpo.clips import ClipLoader, Shuffled, encode_samples
from pipeline.grpo.engine_rollout import EngineRollout, check_ratios, check_versions
from pipeline.grpo.fused_head import score_labels_alone
from pipeline.grpo.half_adamw import HalfAdamW
from pipeline.grpo.logprobs import Groups, LogProbs, separate_log_probs, shared_log_probs
from pipeline.grpo.planning import Group, plan_groups
from pipeline.grpo.reasking import ask_again
from pipeline.grpo.rewards import rewards_in_use, score_all
from pipeline.grpo.rewards.keyframe import key_time_f1
from pipeline.grpo.rewards.rollout import Rollout
from pipeline.grpo.sampler import GroupSampler
from pipeline.grpo.samples import Sample
from pipeline.grpo.sharding import whole_weights
from pipeline.grpo.shared_prompt import enable_shared_prompt
from pipeline.models.generate import Completion, make_completion, rollout
from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.models.vision import FeatureCache
from pipeline.train_params import TrainGrpo

Batch = dict[str, Any]  # TRL's: tensors by name, and the questions of the rows


class VideoGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO on video questions.

    Args:
        policy: what is trained; a LoRA adapter is added by TRL (`peft_config` in `kwargs`).
        samples: the training questions.
        clips: their frames.
        cache: their vision features; None if the tower trains.
        settings: section train_grpo.
        seed: of the run.
        checkpoints: where the state is kept, atomically.
        rollout: the engine that completions come from, if not from the policy itself.
        kwargs: for GRPOTrainer (`args`, `callbacks`, `peft_config` ...).
    """

    def __init__(
        self,
        policy: Policy,
        samples: Sequence[Sample],
        clips: ClipLoader,
        cache: FeatureCache | None,
        settings: TrainGrpo,
        seed: int,
        checkpoints: Checkpoints,
        rollout: EngineRollout | None = None,
        **kwargs: Any,
    ) -> None:
        self.settings, self.run_seed, self.clips, self.checkpoints = settings, seed, clips, checkpoints
        self.cache = cache
        self.samples = list(samples)
        self.by_id = {s.question_id: s for s in samples}
        self.trouble: str | None = None
        self._groups: list[Group] = []
        self._buffered_inputs: list[Batch] | None = None
        self._row_ids: list[str] = []
        self.rollouts: list[Rollout] = []
        self._shuffled_accuracy: dict[str, float] = {}
        self._reasked: list[bool] | None = None
        score_labels_alone(len(policy.tokenizer))
        rows = {"prompt": [s.messages for s in samples], "question_id": [s.question_id for s in samples]}
        super().__init__(
            model=policy.model,
            processing_class=policy.tokenizer,
            reward_funcs=[_reward_function(self, name) for name in rewards_in_use(settings.rewards)],
            train_dataset=Dataset.from_dict(rows),
            **kwargs,
        )
        self.policy = replace(policy, model=self.model)
        if settings.share_prompt:
            enable_shared_prompt(self.policy)
        self.reference = None if self.ref_model is None else replace(policy, model=self.ref_model)
        if self.reference is not None and settings.share_prompt:
            enable_shared_prompt(self.reference)
        self._engine = rollout
        self.use_vllm = rollout is not None  # TRL corrects for the engine then; it shall not start one of its own
        self._features: dict[str, torch.Tensor] = {}  # of the clips of the current rollout batch

    # --- data ---------------------------------------------------------------------------------------------------------

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        args: Any = self.args
        prompts = args.generation_batch_size // self.num_generations
        repeats = self.num_iterations * args.steps_per_generation
        forwards = args.max_steps * args.gradient_accumulation_steps
        return GroupSampler(
            len(self.samples), prompts, self.num_generations, repeats, -(-forwards // repeats), self.run_seed
        )

    def _prepare_inputs(self, generation_batch: list[Batch]) -> Batch:
        """Like TRL's, but without shuffling rows: a group stays together, so that its prompt is computed once."""
        every = self.args.steps_per_generation * self.num_iterations
        if self._step % every == 0 or self._buffered_inputs is None:
            scored = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = split_tensor_dict(scored, self.args.steps_per_generation)
        batch: Batch = self._buffered_inputs[self._step % self.args.steps_per_generation]
        return batch

    def _generate_and_score_completions(self, inputs: list[Batch]) -> Batch:
        batch = [self.by_id[row["question_id"]] for row in inputs[:: self.num_generations]]
        if self._engine is not None:
            with self.rollout_policy() as policy:
                self._engine.update(policy, self.state.global_step)
        # Entered once, because processes generate different numbers of times.
        with self.rollout_policy() as policy:
            roll = partial(self._roll, policy)
            self._groups, replaced = plan_groups(batch, self._spare(), self.settings.resample_rounds, roll)
            self._shuffled_accuracy = self._try_shuffled([g.sample for g in self._groups], policy)
        if self._engine is not None:
            check_versions([c for g in self._groups for c in g.completions], self.state.global_step)
            self._engine.engine.rest()
        self._features = self._encode_clips()
        self._reasked = self._ask_again()
        self.rollouts = self._describe()
        self._log_groups(replaced)
        ids = [g.sample.question_id for g in self._groups for _ in g.completions]
        rows = [{"prompt": self.by_id[i].messages, "question_id": i} for i in ids]
        self._row_ids = ids
        output: Batch = super()._generate_and_score_completions(rows)
        output["question_ids"] = ids
        if self._engine is not None:
            ratios = check_ratios(output, self.state.global_step)
            for name, value in ratios.items():
                self._log_metric(name, value)
        return output

    def _encode_clips(self) -> dict[str, torch.Tensor]:
        """Features of the clips of the current groups; none if the vision tower is trained."""
        if self.cache is None:
            return {}
        with self.rollout_policy():
            return {c: self.cache.get(self.clips.load(c)) for c in sorted({g.sample.clip_id for g in self._groups})}

    def _spare(self) -> list[Sample]:
        """Samples to replace others with, in an order that depends on seed, step and process."""
        if not self.settings.resample_rounds:
            return []
        number = (self.run_seed * 1_000_003 + self.state.global_step) * 1009 + self.accelerator.process_index
        order = torch.randperm(len(self.samples), generator=torch.Generator().manual_seed(number))
        return [self.samples[i] for i in order.tolist()]

    # --- rollout ------------------------------------------------------------------------------------------------------

    def _roll(self, policy: Policy, samples: Sequence[Sample], shuffled: bool = False) -> list[list[Completion]]:
        """G completions of each sample; seeded by run, step and question, so they do not depend on the processes."""
        tag = f"{self.run_seed}/{self.state.global_step}" + ("/shuffled" if shuffled else "")
        frames: dict[str, Any] = {s.clip_id: self.clips.load(s.clip_id) for s in samples}
        if shuffled:
            frames = {clip: Shuffled(f, f"{tag}/{clip}") for clip, f in frames.items()}
        settings = self.settings
        sampling = Sampling(settings.max_completion_length, settings.temperature, settings.top_p)
        seeds = [f"{tag}/{s.question_id}" for s in samples]
        if self._engine is not None:
            return self._engine.complete(policy, samples, [frames[s.clip_id] for s in samples], seeds)
        inputs, features = encode_samples(policy, samples, frames, self.cache)
        group, share = settings.num_generations, settings.share_prompt
        ids = rollout(policy, inputs, features, sampling, group, seeds, share)
        return [[make_completion(self.policy, row) for row in group] for group in ids]

    @contextmanager
    def rollout_policy(self) -> Iterator[Policy]:
        """The policy without DDP, FSDP or DeepSpeed wrappers, in the precision of training; all processes must enter
        it."""
        with (
            unwrap_model_for_generation(
                self.model_wrapped, self.accelerator, self.args.ds3_gather_for_generation
            ) as model,
            whole_weights(model),
            self.accelerator.autocast(),
        ):
            yield replace(self.policy, model=model)

    def _try_shuffled(self, samples: Sequence[Sample], policy: Policy) -> dict[str, float]:
        if not {"temporal_order", "temporal_contrast"} & set(rewards_in_use(self.settings.rewards)):
            return {}
        groups = zip(samples, self._roll(policy, samples, shuffled=True), strict=True)
        return {s.question_id: Group(s, completions).accuracy for s, completions in groups}

    def _ask_again(self) -> list[bool] | None:
        """Whether each completion's thinking leads to the right option again, if that is rewarded."""
        if "consistency" not in rewards_in_use(self.settings.rewards):
            return None
        with self.rollout_policy() as policy:
            return ask_again(policy, self._groups, self.clips, self.cache, f"{self.run_seed}/{self.state.global_step}")

    def _tokenize_prompts(self, prompts: Any) -> Any:
        """Ids of every row's prompt, its video placeholder expanded."""
        ids = {}
        for sample in {g.sample.question_id: g.sample for g in self._groups}.values():
            frames = {sample.clip_id: self.clips.load(sample.clip_id)}
            inputs = encode_prompts(self.policy, [sample.messages], frames, with_pixels=False)
            ids[sample.question_id] = inputs.input_ids[0].tolist()
        return [ids[i] for i in self._row_ids], None, {}

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        """The completions that `plan_groups` already made; one without tokens ended at once."""
        end = self.policy.eos_token_ids[:1]
        made = [c for g in self._groups for c in g.completions]
        scores = [list(c.log_probabilities or [float("nan")]) for c in made] if self._engine is not None else None
        return [list(c.token_ids or end) for c in made], scores

    # --- rewards ------------------------------------------------------------------------------------------------------

    def _describe(self) -> list[Rollout]:
        """The current batch as the rewards see it, in row order."""
        reasked = iter(self._reasked or [])
        return [
            Rollout(
                text=completion.text,
                tokens=len(completion.token_ids),
                finished=completion.finished,
                sample=group.sample,
                settings=self.settings.reward_settings,
                group_accuracy=group.accuracy,
                shuffled_accuracy=self._shuffled_accuracy.get(group.sample.question_id),
                reasked_right=next(reasked, None),
            )
            for group in self._groups
            for completion in group.completions
        ]

    def _log_groups(self, replaced: Sequence[Group]) -> None:
        dull = sum(not g.informative for g in self._groups)
        self._log_metric("zero_variance", dull / len(self._groups))
        self._log_metric("resampled", len(replaced) / len(self._groups))
        for f1 in map(key_time_f1, self.rollouts):
            if f1 is not None:
                self._log_metric("keyframe_f1", f1)

    # --- loss ---------------------------------------------------------------------------------------------------------

    def _compute_loss(self, model: torch.nn.Module, inputs: Batch) -> torch.Tensor:
        self._row_ids = inputs["question_ids"]
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        if not torch.isfinite(loss):
            self.trouble = f"the loss is {loss.item()}"
            if self.is_deepspeed_enabled:  # its engine owns the gradients, so `SkipUnusable` cannot reach them
                names = ", ".join(dict.fromkeys(self._row_ids))
                raise StageError(f"{self.trouble} at step {self.state.global_step + 1}, on questions {names}")
        elif inputs["num_items_in_batch"] == 0:
            self.trouble = "every completion hit max_completion_length; mask_truncated_completions drops them all"
        return loss

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **kwargs: Any,
    ) -> Any:
        if self.settings.blind_loss:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy
            )
        tokens, mask = input_ids[:, -logits_to_keep:], attention_mask[:, -logits_to_keep:].bool()
        completions = [t[m] for t, m in zip(tokens, mask, strict=True)]
        step = batch_size or len(completions)
        parts = [
            self._log_probs(model, self._row_ids[i : i + step], completions[i : i + step], logits_to_keep)
            for i in range(0, len(completions), step)
        ]
        entropies = torch.cat([e for _, e in parts if e is not None]) if compute_entropy else None
        return torch.cat([p for p, _ in parts]), entropies, None

    def _log_probs(
        self, model: torch.nn.Module, row_ids: Sequence[str], completions: Sequence[torch.Tensor], width: int
    ) -> LogProbs:
        """Log-probabilities and entropies [R, width] of completions of the questions `row_ids`, with their videos."""
        rows: dict[str, list[int]] = {}
        for row, question_id in enumerate(row_ids):
            rows.setdefault(question_id, []).append(row)
        samples = [self.by_id[question_id] for question_id in rows]
        frames = {s.clip_id: self.clips.load(s.clip_id) for s in samples}
        policy = self.reference if self.reference is not None and model is self.ref_model else self.policy
        inputs = encode_prompts(policy, [s.messages for s in samples], frames, with_pixels=self.cache is None)
        features = None if self.cache is None else [self._features[clip] for row in inputs.clip_ids for clip in row]
        groups = Groups(inputs.to(policy.device), features, list(rows.values()), completions)
        compute = shared_log_probs if self.settings.share_prompt else separate_log_probs
        with self.accelerator.autocast():
            return compute(model, policy, groups, width)

    # --- optimizer ----------------------------------------------------------------------------------------------------

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """The library's optimizer, except for weights in bfloat16."""
        if self.settings.weights == "float32":
            made: torch.optim.Optimizer = super().create_optimizer(*args, **kwargs)
            return made
        decayed = set(self.get_decay_parameter_names(self.model))
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for name, p in trained if (name in decayed) is decays], "weight_decay": decay}
            for decays, decay in ((True, self.args.weight_decay), (False, 0.0))
        ]
        betas = (self.args.adam_beta1, self.args.adam_beta2)
        self.optimizer = HalfAdamW([g for g in groups if g["params"]], self.args.learning_rate, betas)
        return self.optimizer

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """The library writes into a temporary folder, which counts only once it is complete, sealed and renamed."""
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            scores = dev_scores(self.state.log_history)
            self.checkpoints.commit(Path(self.args.output_dir), self.state.global_step, scores)
        self.accelerator.wait_for_everyone()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        """Load weights by `from_pretrained`. transformers 5.23 saves Qwen2.5-VL under names that differ from its
        modules'; the library's own resuming then loads nothing and only logs it."""
        wrapped = self.is_deepspeed_enabled or self.is_fsdp_enabled or hasattr(self.model, "peft_config")
        if wrapped:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        dtype = next(self.model.parameters()).dtype
        saved = type(self.model).from_pretrained(resume_from_checkpoint, dtype=dtype, use_safetensors=True)
        self.model.load_state_dict(saved.state_dict(), strict=True)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None inside checkpoints: the stage writes one beside the policy."""


def _reward_function(trainer: VideoGRPOTrainer, name: str) -> Callable[..., list[float]]:
    def reward(**_: Any) -> list[float]:
        return score_all(name, trainer.rollouts)

    reward.__name__ = name
    return reward
