"""Option likelihood: equal to one forward per option, whatever else is in the batch."""

import pytest
import torch

from pipeline.models.inputs import encode_prompts
from pipeline.models.likelihood import continuation_log_probabilities, scores_behind
from pipeline.models.policy import Policy
from pipeline.models.vision import FeatureCache
from tests.support.random_policy import ask, make_clip, make_random_policy

CLIPS = {"a": make_clip(1), "b": make_clip(2, frames=6)}
PROMPTS = [ask("what is taken ?", "a"), ask("what is first ? A red B blue", "b"), ask("is blue ?")]
OPTIONS = [f"<answer>{letter}</answer>" for letter in "ABCDE"]


@pytest.fixture(scope="module")
def tiny() -> Policy:
    return make_random_policy()


def _plain(policy: Policy, prompt: list[dict[str, object]], text: str) -> float:
    """One forward over prompt and continuation, vision included."""
    inputs = encode_prompts(policy, [prompt], CLIPS)
    tail = policy.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    values = inputs.forward_kwargs()
    for name, extra in (("input_ids", tail), ("attention_mask", tail * 0 + 1), ("mm_token_type_ids", tail * 0)):
        values[name] = torch.cat([values[name], extra], dim=1)
    policy.base.model.rope_deltas = None
    with torch.no_grad():
        logits = policy.model(**values, use_cache=False).logits[0, -len(tail[0]) - 1 : -1]
    return float(torch.log_softmax(logits.double(), -1).gather(-1, tail[0][:, None]).sum())


@pytest.mark.parametrize("cached", [False, True])
def test_equal_to_a_forward_per_option(tiny: Policy, cached: bool) -> None:
    cache = FeatureCache(tiny, 10) if cached else None
    found = continuation_log_probabilities(tiny, PROMPTS, CLIPS, [OPTIONS] * 3, cache)
    expected = [[_plain(tiny, prompt, text) for text in OPTIONS] for prompt in PROMPTS]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), atol=1e-4, rtol=0)
    assert len({round(v, 3) for v in found[0]}) == 5


def test_continuations_may_differ_in_number_and_length(tiny: Policy) -> None:
    texts = [["A", "<answer>B</answer>"], ["red cup ."], ["A", "B", "<answer>E</answer>"]]
    found = continuation_log_probabilities(tiny, PROMPTS, CLIPS, texts)
    expected = [[_plain(tiny, prompt, text) for text in row] for prompt, row in zip(PROMPTS, texts, strict=True)]
    assert [len(row) for row in found] == [2, 1, 3]
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-4)


def test_one_token_per_option_is_a_distribution(tiny: Policy) -> None:
    words = [w for w in tiny.tokenizer.get_vocab() if not w.startswith("<|") and w != "[UNK]"]
    (scores,) = continuation_log_probabilities(tiny, PROMPTS[:1], CLIPS, [words])
    assert 0.5 < sum(map(pow, [2.718281828459045] * len(scores), scores)) <= 1.0


@pytest.mark.parametrize("cached", [False, True])
def test_behind_what_is_written_already(tiny: Policy, cached: bool) -> None:
    """The text of prompt and beginning, as one prompt; a longer beginning pads the others."""
    begun = ["<think> red cup </think>", "", "<think> blue"]
    cache = FeatureCache(tiny, 10) if cached else None
    found = continuation_log_probabilities(tiny, PROMPTS, CLIPS, [OPTIONS] * 3, cache, begun)
    expected = [
        [_plain(tiny, prompt, start + text) - (_plain(tiny, prompt, start) if start else 0.0) for text in OPTIONS]
        for prompt, start in zip(PROMPTS, begun, strict=True)
    ]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("options", [OPTIONS, list("ABCDE")])
def test_beginnings_of_one_prompt_are_as_if_each_stood_alone(tiny: Policy, options: list[str]) -> None:
    begun = [["<think> red cup </think>", "<think> blue", ""], ["<think> is", "first red blue cup . ."], ["red", "A B"]]
    inputs = encode_prompts(tiny, PROMPTS, CLIPS)
    found = scores_behind(tiny, inputs, None, begun, [[options] * len(group) for group in begun])
    for prompt, group, scores in zip(PROMPTS, begun, found, strict=True):
        alone = continuation_log_probabilities(tiny, [prompt] * len(group), CLIPS, [options] * len(group), None, group)
        torch.testing.assert_close(torch.tensor(scores), torch.tensor(alone), atol=1e-4, rtol=0)


def test_an_empty_continuation_is_refused(tiny: Policy) -> None:
    with pytest.raises(ValueError, match="no tokens"):
        continuation_log_probabilities(tiny, PROMPTS[:1], CLIPS, [["A", ""]])
