"""What answers prompts: transformers here (the loop that training uses too), an engine in `engine_backend.py`.

A request is a chat message list that names at most one clip, and that clip's frames. The caller does the batching.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.models.generate import Completion, generate
from pipeline.models.likelihood import continuation_log_probabilities
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.models.vision import FeatureCache


@dataclass(frozen=True)
class ShownFrames:
    """Frames as shown to a model: `images` uint8 [T, H, W, 3] RGB, `pts_seconds` float64 [T]."""

    images: np.ndarray[Any, Any]
    pts_seconds: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Request:
    """One prompt: chat `messages` whose video part names `key`, and the frames behind it (None: no video); `begun` is
    what the model has written already, behind which continuations are scored."""

    messages: list[dict[str, Any]]
    key: str
    frames: ShownFrames | None
    begun: str = ""


class Backend(Protocol):
    """Something that completes prompts and scores continuations."""

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, samples: int, seeds: Sequence[str]
    ) -> list[list[Completion]]:
        """`samples` completions of each request; `seeds` is one string per request."""
        ...

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log probability of each continuation of each request."""
        ...


class TransformersBackend:
    """The pipeline's own rollout: prompts prefilled once, vision features computed once per clip.

    Args:
        cache: features of clips; may be shared by models with the same vision tower.
    """

    def __init__(self, policy: Policy, cache: FeatureCache | None) -> None:
        self.policy = policy
        self.cache = cache

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, samples: int, seeds: Sequence[str]
    ) -> list[list[Completion]]:
        """See `Backend.complete`."""
        prompts, clips = _unpack(requests)
        return generate(self.policy, prompts, clips, sampling, samples, seeds, self.cache)

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[float]]:
        """See `Backend.score`."""
        prompts, clips = _unpack(requests)
        begun = [request.begun for request in requests] if any(request.begun for request in requests) else None
        return continuation_log_probabilities(self.policy, prompts, clips, continuations, self.cache, begun)


def _unpack(requests: Sequence[Request]) -> tuple[list[list[dict[str, Any]]], Mapping[str, ShownFrames]]:
    return [r.messages for r in requests], {r.key: r.frames for r in requests if r.frames is not None}
