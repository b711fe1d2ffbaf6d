"""Frames and vision features of training clips, by id."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.grpo.samples import FrameSource, Sample
from pipeline.models.batch import ModelInputs
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.inputs import encode_prompts
from pipeline.models.lru import ByteLru
from pipeline.models.policy import Policy
from pipeline.models.vision import FeatureCache
from pipeline.params import Machine
from pipeline.train_params import TrainGrpo


class ClipLoader:
    """Decoded clips, the most recently used ones kept in memory."""

    def __init__(self, store: FrameSource, max_megabytes: float) -> None:
        self.store = store
        self._held: ByteLru[ClipFrames] = ByteLru(max_megabytes, lambda clip: clip.images.nbytes)

    def load(self, clip_id: str) -> ClipFrames:
        """Frames of a clip."""
        return self._held.get(clip_id, lambda: self.store.load(clip_id))


class Shuffled:
    """A clip with its frames in another order, at the same times."""

    def __init__(self, frames: ClipFrames, seed: str) -> None:
        order = np.random.default_rng(list(seed.encode())).permutation(len(frames.images))
        self.images = frames.images[order]
        self.pts_seconds = frames.pts_seconds


def encode_samples(
    policy: Policy, samples: Sequence[Sample], clips: Mapping[str, ClipFrames], cache: FeatureCache | None
) -> tuple[ModelInputs, list[torch.Tensor] | None]:
    """Model inputs of one prompt per sample, on the policy's device, and their videos' features if cached."""
    inputs = encode_prompts(policy, [s.messages for s in samples], clips, with_pixels=cache is None)
    features = None if cache is None else [cache.get(clips[name]) for row in inputs.clip_ids for name in row]
    return inputs.to(policy.device), features


def feature_cache(policy: Policy, settings: TrainGrpo, machine: Machine, folder: Path) -> FeatureCache | None:
    """The feature cache that the settings ask for; None if features cannot be shared because the tower is trained."""
    if not (settings.cache_vision and settings.freeze_vision):
        return None
    return FeatureCache(policy, machine.feature_cache_megabytes, folder if machine.features_on_disk else None)
