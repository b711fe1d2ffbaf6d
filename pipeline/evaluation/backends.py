"""Backends that answer prompts: transformers (the loop that training uses too) or vLLM, behind one interface.

A request is a chat message list that names at most one clip, and that clip's frames. The caller does the batching.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.errors import ModelError
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


class VllmBackend:
    """vLLM's offline engine (extra `[vllm]`). Untested: written against vLLM 0.11's documented interface, never run.

    Frames go in already chosen and sized; `fps` in the metadata keeps vLLM from sampling them again.
    """

    def __init__(self, folder: str, dtype: str) -> None:
        try:
            from vllm import LLM
        except ImportError as error:
            raise ModelError(
                "evaluate_egoschema.backend is vllm: install the extra, pip install 'egovlm[vllm]'"
            ) from error
        self.engine = LLM(model=folder, dtype=dtype, limit_mm_per_prompt={"video": 1}, trust_remote_code=False)
        self.tokenizer = self.engine.get_tokenizer()

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, samples: int, seeds: Sequence[str]
    ) -> list[list[Completion]]:
        """See `Backend.complete`; a request's seed is derived from its seed string."""
        settings = [_vllm_sampling(sampling, samples, seed) for seed in seeds]
        answers = self.engine.generate([self._prompt(r) for r in requests], settings)
        return [[_vllm_completion(output) for output in answer.outputs] for answer in answers]

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[float]]:
        """vLLM does not score given continuations without a forward per option: use the transformers backend.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            "these runs need evaluate_egoschema.backend: transformers (leave likelihood/* and forced/* out for vllm)"
        )

    def _prompt(self, request: Request) -> dict[str, Any]:
        text = self.tokenizer.apply_chat_template(request.messages, tokenize=False, add_generation_prompt=True)
        if request.frames is None:
            return {"prompt": text}
        pts = np.asarray(request.frames.pts_seconds, float)
        fps = (len(pts) - 1) / float(pts[-1] - pts[0]) if len(pts) > 1 else 1.0
        metadata = {"fps": fps, "total_num_frames": len(pts), "do_sample_frames": False}
        return {"prompt": text, "multi_modal_data": {"video": (request.frames.images, metadata)}}


def _vllm_sampling(sampling: Sampling, samples: int, seed: str) -> Any:
    import hashlib

    from vllm import SamplingParams

    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    return SamplingParams(
        n=samples,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k or -1,
        max_tokens=sampling.max_new_tokens,
        seed=number,
    )


def _vllm_completion(output: Any) -> Completion:
    return Completion(tuple(output.token_ids), output.text, output.finish_reason == "stop")
