"""Accuracy on the dev questions: greedy, with the evaluation's prompt, rollout and parser."""

from collections.abc import Sequence

from pipeline.answers.parser import parse_answer
from pipeline.grpo.clips import ClipLoader, encode_samples
from pipeline.grpo.samples import Sample
from pipeline.models.generate import make_completion, rollout
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.models.vision import FeatureCache


def count_correct(
    policy: Policy,
    samples: Sequence[Sample],
    clips: ClipLoader,
    cache: FeatureCache | None,
    max_new_tokens: int,
    batch: int,
) -> int:
    """How many of `samples` the policy answers correctly with greedy decoding, `batch` prompts at a time."""
    return sum(
        _correct(policy, samples[i : i + batch], clips, cache, max_new_tokens) for i in range(0, len(samples), batch)
    )


def _correct(
    policy: Policy, samples: Sequence[Sample], clips: ClipLoader, cache: FeatureCache | None, max_new_tokens: int
) -> int:
    frames = {s.clip_id: clips.load(s.clip_id) for s in samples}
    inputs, features = encode_samples(policy, samples, frames, cache)
    groups = rollout(policy, inputs, features, Sampling(max_new_tokens, temperature=0.0), 1, None)
    texts = [make_completion(policy, group[0]).text for group in groups]
    return sum(parse_answer(t, s.options).option == s.answer for t, s in zip(texts, samples, strict=True))
