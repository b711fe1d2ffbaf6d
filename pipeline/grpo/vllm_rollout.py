"""Completions from vLLM in the training process (extra `[vllm]`, `train_grpo.rollout: vllm_colocate`).

Untested on a GPU: written against TRL 1.16's `VLLMGeneration` and vLLM 0.11's documented interface, tested with a
stand-in. TRL starts the engine and sends it the weights. Its own requests support only images, so the requests are
made here. Frames already have their final size and are passed without resizing, so that both processors see the same
patches.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from pipeline.grpo.samples import Sample
from pipeline.grpo.training import Training
from pipeline.models.generate import Completion, make_completion
from pipeline.models.inputs import ClipFrames, render_prompt, second_per_grid
from pipeline.models.policy import Policy
from pipeline.train_params import TrainGrpo


class VllmRollout:
    """G completions of each sample from the engine that TRL holds in `training.vllm_generation`."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.synced_step = -1

    def complete(
        self, samples: Sequence[Sample], frames: Sequence[ClipFrames], seeds: Sequence[str]
    ) -> list[list[Completion]]:
        """Send the weights once per step, then ask; `seeds` is one string per sample."""
        self._sync()
        policy, settings = self.training.policy, self.training.settings
        requests = [make_request(policy, s, f) for s, f in zip(samples, frames, strict=True)]
        answers = self.training.vllm_generation.llm.generate(
            requests, [make_sampling(policy, settings, seed) for seed in seeds], use_tqdm=False
        )
        return [[make_completion(policy, list(output.token_ids)) for output in answer.outputs] for answer in answers]

    def _sync(self) -> None:
        step = self.training.state.global_step
        if step == self.synced_step:
            return
        self.training.vllm_generation.sync_weights()
        if not self.training.settings.freeze_vision:  # features of the old tower are useless
            self.training.vllm_generation.llm.llm_engine.reset_mm_cache()
        self.synced_step = step


def make_request(policy: Policy, sample: Sample, frames: ClipFrames) -> dict[str, Any]:
    """One vLLM prompt: the rendered text with one placeholder per video, the frames, and their rate."""
    per_second = policy.vision.temporal_patch_size / second_per_grid(frames.pts_seconds, policy.vision)
    return {
        "prompt": render_prompt(policy, sample.messages),
        "multi_modal_data": {"video": frames.images},
        "mm_processor_kwargs": {"fps": per_second, "do_resize": False, "do_sample_frames": False},
    }


def make_sampling(policy: Policy, settings: TrainGrpo, seed: str) -> Any:
    """vLLM's sampling parameters; vision tokens are never sampled."""
    from vllm import SamplingParams

    return SamplingParams(
        n=settings.num_generations,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_completion_length,
        stop_token_ids=list(policy.eos_token_ids),
        logit_bias=dict.fromkeys(policy.suppressed_token_ids, -100.0),
        seed=int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big"),
    )
