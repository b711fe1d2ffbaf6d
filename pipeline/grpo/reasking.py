"""Completions of a batch asked again: the same thinking, the options in another order, chosen by likelihood."""

from collections.abc import Sequence

from pipeline.answers.thinking import Reopened, has_thinking, reopen_undecided, reorder
from pipeline.grpo.clips import ClipLoader, encode_samples
from pipeline.grpo.planning import Group
from pipeline.grpo.samples import reordered
from pipeline.models.likelihood import scores_behind
from pipeline.models.policy import Policy
from pipeline.models.vision import FeatureCache
from pipeline.records import LETTERS


def ask_again(
    policy: Policy, groups: Sequence[Group], clips: ClipLoader, cache: FeatureCache | None, tag: str
) -> list[bool]:
    """Whether the right option is chosen behind each completion's thinking, group by group; False without a thinking.

    `tag` seeds the orders. Each reordered prompt is computed once for its whole group.
    """
    orders = [reorder(len(g.sample.options), f"{tag}/{g.sample.question_id}") for g in groups]
    samples = [reordered(group.sample, order) for group, order in zip(groups, orders, strict=True)]
    frames = {s.clip_id: clips.load(s.clip_id) for s in samples}
    inputs, features = encode_samples(policy, samples, frames, cache)
    kept = [[reopen_undecided(completion.text) for completion in group.completions] for group in groups]
    begun = [[one.text for one in group] for group in kept]
    options = [[_options(one, len(s.options)) for one in group] for group, s in zip(kept, samples, strict=True)]
    scores = scores_behind(policy, inputs, features, begun, options)
    return [
        has_thinking(completion.text) and found.index(max(found)) == sample.answer
        for group, sample, of_group in zip(groups, samples, scores, strict=True)
        for completion, found in zip(group.completions, of_group, strict=True)
    ]


def _options(kept: Reopened, count: int) -> list[str]:
    return [kept.continuation.replace("{letter}", letter) for letter in LETTERS[:count]]
