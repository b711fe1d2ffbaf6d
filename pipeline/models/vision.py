"""Vision features of clips, computed once: shared by rollout and loss, by all completions of a group and by epochs.

Only for a frozen vision tower. Each clip is encoded alone, so its features do not depend on what else is in a batch or
in the cache.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from pipeline.files import replacing
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.inputs import patchify
from pipeline.models.lru import ByteLru
from pipeline.models.policy import Policy


def encode_clip(policy: Policy, clip: ClipFrames) -> torch.Tensor:
    """Features [video tokens, feature layers x hidden size] of one clip from the policy's vision tower, without
    gradient; its family says how many layers there are."""
    patches, grid = patchify(clip.images, policy.vision)
    grids = grid[None].to(policy.device)
    with torch.no_grad():
        outputs = policy.base.model.get_video_features(patches.to(policy.device), grids, return_dict=True)
    return policy.family.join_features(outputs).detach()


class FeatureCache:
    """Features of clips by content: the most recently used in memory, optionally all in a store on disk.

    They are held in the host's memory, not in a GPU's, if gigabytes of them would end a run after an hour.

    Args:
        max_megabytes: bound on the features held in memory (1 MB = 10**6 bytes).
        folder: store on disk; its file names cover the tower's weights, its precision (autocast's if that is on) and
            the frames, so it is never stale.
    """

    def __init__(self, policy: Policy, max_megabytes: float, folder: Path | None = None) -> None:
        self.policy = policy
        self.folder = folder
        self.held: ByteLru[torch.Tensor] = ByteLru(max_megabytes, lambda features: features.nbytes)
        self._tower = tower_digest(policy) if folder else ""

    def get(self, clip: ClipFrames) -> torch.Tensor:
        """Features of `clip` (see `encode_clip`), encoded only where they are not held yet."""
        key = f"{_autocast_dtype(self.policy)}{clip_digest(clip)}"
        return self.held.get(key, lambda: self._load_or_encode(key, clip)).to(self.policy.device)

    def _load_or_encode(self, key: str, clip: ClipFrames) -> torch.Tensor:
        if self.folder is None:
            return encode_clip(self.policy, clip).cpu()
        path = self.folder / f"{hashlib.sha256((self._tower + key).encode()).hexdigest()}.safetensors"
        if path.is_file():
            return load_file(path)["features"]
        features = encode_clip(self.policy, clip).cpu()
        with replacing(path) as partial:
            save_file({"features": features.contiguous()}, partial)
        return features


def _autocast_dtype(policy: Policy) -> str:
    """The tower's current compute precision, if it differs from that of its weights."""
    kind = policy.device.type
    return str(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else ""


def clip_digest(clip: ClipFrames) -> str:
    """SHA-256 of the frames' shape and pixels."""
    images = np.ascontiguousarray(clip.images)
    return hashlib.sha256(str(images.shape).encode() + images.tobytes()).hexdigest()


def tower_digest(policy: Policy) -> str:
    """SHA-256 of the vision tower's weights, their dtype and the frame settings."""
    digest = hashlib.sha256(repr(policy.vision).encode())
    for name, weight in sorted(_tower_weights(policy).items()):
        digest.update(f"{name}{weight.dtype}{tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _tower_weights(policy: Policy) -> dict[str, Any]:
    return dict(policy.tower.state_dict())
