"""The own decode loop against the library's, and the independence of what is sampled from everything but its seed."""

import os

import pytest
import torch
from transformers import DynamicCache

from pipeline.models.generate import RolloutCache, generate, rollout
from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling, draw_uniforms, pick_tokens
from pipeline.models.vision import FeatureCache
from tests.support.random_policy import ask, make_clip, make_random_policy

PROMPTS = [ask("what is taken ?", "a"), ask("red cup first ? what blue", "b", "a"), ask("what is ?")]
CLIPS = {"a": make_clip(1), "b": make_clip(2, frames=5, height=24)}


def test_greedy_tokens_are_those_of_the_librarys_generate() -> None:
    policy = make_random_policy()
    inputs = encode_prompts(policy, PROMPTS, CLIPS)
    mine = [group[0] for group in rollout(policy, inputs, None, Sampling(16, temperature=0.0), 1, None)]
    theirs = policy.model.generate(
        **inputs.forward_kwargs(), max_new_tokens=16, do_sample=False, suppress_tokens=list(policy.suppressed_token_ids)
    )
    for ids, row in zip(mine, theirs[:, inputs.input_ids.shape[1] :].tolist(), strict=True):
        assert ids == row[: len(ids)]
        assert len(ids) == 16 or ids[-1] in policy.eos_token_ids


def test_greedy_tokens_are_the_likeliest_of_one_forward_over_prompt_and_completion() -> None:
    """Also if the video's last position lies far behind its number of tokens."""
    policy, clips = make_random_policy(), {"a": make_clip(1, frames=8, spacing=11.25)}
    inputs = encode_prompts(policy, PROMPTS[:1], clips)
    ids = rollout(policy, inputs, None, Sampling(12, temperature=0.0), 1, None)[0][0]
    kwargs = inputs.forward_kwargs()
    whole = torch.cat([inputs.input_ids[0], torch.tensor(ids)])[None]
    types = torch.nn.functional.pad(inputs.mm_token_type_ids, (0, len(ids)))
    kwargs |= {"input_ids": whole, "attention_mask": torch.ones_like(whole), "mm_token_type_ids": types}
    with torch.no_grad():
        logits = policy.model(**kwargs).logits[0, -len(ids) - 1 : -1]
    logits[:, list(policy.suppressed_token_ids)] = -torch.inf
    assert logits.argmax(-1).tolist() == ids


def test_samples_depend_on_their_seed_alone() -> None:
    policy, sampling = make_random_policy(), Sampling(12)
    cache = FeatureCache(policy, 10)
    together = generate(policy, PROMPTS, CLIPS, sampling, 4, ["x", "y", "z"])
    unshared = generate(policy, PROMPTS, CLIPS, sampling, 4, ["x", "y", "z"], cache, share_prompt=False)
    fewer = generate(policy, PROMPTS[1:], CLIPS, sampling, 4, ["y", "z"], cache)
    assert together == unshared
    assert together[1:] == fewer
    assert len({c.token_ids for c in together[0]}) > 1
    assert generate(policy, PROMPTS, CLIPS, sampling, 4, ["x", "q", "z"])[1] != together[1]


def test_finished_rows_leave_without_a_trace() -> None:
    policy = make_random_policy(seed=3)
    long = generate(policy, PROMPTS, CLIPS, Sampling(40), 8, ["x", "y", "z"])
    lengths = {len(c.token_ids) for group in long for c in group}
    assert len(lengths) > 2  # some end early, so the batch shrank on the way
    alone = [generate(policy, [p], CLIPS, Sampling(40), 8, [s])[0] for p, s in zip(PROMPTS, "xyz", strict=True)]
    assert long == alone


def test_training_mode_and_checkpointing_are_put_back() -> None:
    policy = make_random_policy()
    policy.model.train()
    policy.model.activation_checkpointing_enable()
    trained = generate(policy, PROMPTS, CLIPS, Sampling(8), 2, ["x", "y", "z"])
    assert policy.model.training
    assert trained == generate(make_random_policy(), PROMPTS, CLIPS, Sampling(8), 2, ["x", "y", "z"])


def test_sampling_follows_the_distribution() -> None:
    logits = torch.tensor([0.5, 0.2, 0.3, 0.0]).log().expand(30_000, 4)
    uniforms = torch.rand(30_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(pick_tokens(logits, Sampling(1), uniforms, []), minlength=4) / 30_000
    assert torch.allclose(counts, torch.tensor([0.5, 0.2, 0.3, 0.0]), atol=0.01)
    nucleus = torch.bincount(pick_tokens(logits, Sampling(1, top_p=0.7), uniforms, []), minlength=4) / 30_000
    assert torch.allclose(nucleus, torch.tensor([0.625, 0.0, 0.375, 0.0]), atol=0.01)
    two = torch.bincount(pick_tokens(logits, Sampling(1, top_k=1), uniforms, [0]), minlength=4)
    assert two.tolist() == [0, 0, 30_000, 0]


def test_the_largest_uniform_picks_a_token_that_can_be() -> None:
    logits = torch.tensor([[1.0, 2.0, -torch.inf]])
    assert pick_tokens(logits, Sampling(1), torch.tensor([1.0], dtype=torch.float64), []).tolist() == [1]


def test_vision_tokens_are_never_sampled() -> None:
    policy = make_random_policy()
    ids = {
        i for g in generate(policy, PROMPTS, CLIPS, Sampling(30, 5.0), 16, list("xyz")) for c in g for i in c.token_ids
    }
    assert len(policy.suppressed_token_ids) == 4
    assert not ids & set(policy.suppressed_token_ids)


def test_sampling_without_seeds_is_a_bug() -> None:
    with pytest.raises(ValueError, match="one seed per prompt"):
        draw_uniforms(None, 2, 4, Sampling(3), True)


def test_the_video_reaches_the_next_token() -> None:
    policy = make_random_policy()
    here, there = ({"a": make_clip(seed)} for seed in (1, 2))
    inputs = [encode_prompts(policy, PROMPTS[:1], clips).forward_kwargs() for clips in (here, there)]
    with torch.no_grad():
        one, two = (policy.model(**kwargs).logits[:, -1] for kwargs in inputs)
    assert (one - two).abs().max() > 0.01


@pytest.mark.parametrize("half", [False, True], ids=["float32", "autocast"])
def test_the_cache_is_in_the_precision_of_attention(monkeypatch: pytest.MonkeyPatch, half: bool) -> None:
    """Under autocast in half of float32's memory, and not one logit is another for it."""
    policy, inputs = make_random_policy(), encode_prompts(make_random_policy(), PROMPTS, CLIPS)
    seen: list[RolloutCache] = []
    real = RolloutCache.__init__

    def note(self: RolloutCache, given: Policy) -> None:
        real(self, given)
        seen.append(self)

    monkeypatch.setattr(RolloutCache, "__init__", note)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        try:
            rows = rollout(policy, inputs, None, Sampling(12), 4, ["x", "y", "z"])
        except RuntimeError as error:
            if not (os.environ.get("ATEN_CPU_CAPABILITY") and "pack_vnni2" in str(error)):
                raise
            pytest.skip("PyTorch has no bfloat16 attention on this CPU if ATEN_CPU_CAPABILITY holds AVX-512 back")
        kinds = {tensor.dtype for layer in seen[0].layers for tensor in (layer.keys, layer.values)}
        monkeypatch.setattr(RolloutCache, "update", DynamicCache.update)
        assert rollout(policy, inputs, None, Sampling(12), 4, ["x", "y", "z"]) == rows
    assert kinds == {torch.bfloat16 if half else torch.float32}
