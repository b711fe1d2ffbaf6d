"""Positions of tokens, compared with numbers worked out by hand from Qwen's rule, on every road a prompt can take.

32 frames of 420x224 pixels at patches of 14 are 16 temporal positions of 8 x 15 tokens, from position 15 on (15 tokens
of text stand before). Over 180 s they are 11.25 s apart; at 2 positions a second the last stands floor(15 * 11.25 * 2)
= 337 behind the first, at 352, so text goes on at 353. Here frames are 120x64 pixels at patches of 4: the same grid.

Qwen3-VL writes `<3.1 seconds>`, a start and an end marker around each temporal position, which takes 15 positions, the
larger of 8 and 15. The stamp has 6 tokens here below 10 s, 7 below 100 s and 8 above. 14 tokens stand before it, so the
first position is 14 + 6 + 1 = 21. Over 180 s the stamps are 3.1, 14.3 ... 93.1, 104.3 ... 171.8: eight times 15 + 1 + 7
+ 1 = 24 lead to 213, seven times 25 to 388, and text goes on at 403. Over 8 s it is fifteen times 23.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.cli.ask import _complete
from pipeline.grpo.export import export_policy
from pipeline.grpo.logprobs import Groups, separate_log_probs, shared_log_probs
from pipeline.grpo.shared_prompt import enable_shared_prompt
from pipeline.models.generate import rollout
from pipeline.models.inputs import encode_prompts
from pipeline.models.likelihood import continuation_log_probabilities
from pipeline.models.policy import Policy, load_policy
from pipeline.models.sampling import Sampling
from pipeline.tiny_base.pretrain import Example, example_loss
from tests.support.random_policy import ask, make_clip, make_random_policy

# (family, seconds of each video) -> (first, largest) position of each run of video tokens, first of the text behind
SHAPES: dict[tuple[str, tuple[float, ...]], tuple[list[tuple[int, int]], int]] = {
    ("qwen2_5_vl", (8.0,)): ([(15, 30)], 31),  # 0.5 s apart: floor(15 * 0.5 * 2) = 15, and 15 tokens wide: 14
    ("qwen2_5_vl", (20.0,)): ([(15, 52)], 53),  # 1.25 s: floor(37.5) = 37
    ("qwen2_5_vl", (60.0,)): ([(15, 127)], 128),  # 3.75 s: floor(112.5) = 112
    ("qwen2_5_vl", (180.0,)): ([(15, 352)], 353),
    ("qwen2_5_vl", (20.0, 60.0)): ([(15, 52), (55, 167)], 168),  # two tokens, 53 and 54, stand between them
    ("qwen3_vl", (180.0,)): ([(p, p) for p in (*range(21, 214, 24), *range(238, 389, 25))], 403),
    ("qwen3_vl", (8.0, 8.0)): (  # the text behind the first, at 381, is its end marker, the next stamp and a marker
        [(p, p) for p in (*range(21, 367, 23), *range(389, 735, 23))],
        749,
    ),
}
# Nine words; with the chat form 15 tokens before the first video.
SYSTEM = [{"role": "system", "content": "what is taken ? red blue cup first think"}]


def prompt(videos: int) -> list[dict[str, Any]]:
    return [*SYSTEM, *ask("what is first ?", *map(str, range(videos)))]


def clips_of(seconds: tuple[float, ...]) -> dict[str, Any]:
    return {str(i): make_clip(i, frames=32, height=64, width=120, spacing=s / 32) for i, s in enumerate(seconds)}


def long_policy(family: str) -> Policy:
    return replace(make_random_policy(family=family), context_length=10_000)


@contextmanager
def positions_seen(policy: Policy) -> Iterator[list[torch.Tensor]]:
    """Positions [3, rows, length] of each forward of the language model."""
    seen: list[torch.Tensor] = []

    def note(module: Any, args: Any, kwargs: Any) -> None:
        seen.append(kwargs["position_ids"][-3:])

    hook = policy.base.model.language_model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def check_prompt(seen: torch.Tensor, ids: torch.Tensor, policy: Policy, seconds: tuple[float, ...]) -> None:
    """Positions [3, length] of a prompt `ids` [length] and of what follows it, against the table."""
    runs, after = SHAPES[policy.family.model_type, seconds]
    tokens = (ids == policy.video_token_id).nonzero()[:, 0]
    assert len(tokens) == len(seconds) * 16 * 8 * 15
    for (first, largest), places in zip(runs, tokens.chunk(len(runs)), strict=True):
        of_run = seen[:, places]
        assert of_run.amin(1).tolist() == [first, first, first]
        assert of_run.amax(1).tolist() == [largest, first + 7, first + 14]
    behind = seen[:, int(tokens[-1]) + 1 :]
    assert behind.tolist() == [list(range(after, after + behind.shape[1]))] * 3
    before = seen[:, : int(tokens[0])]
    assert before.tolist() == [list(range(runs[0][0]))] * 3


@pytest.fixture(params=list(SHAPES), ids=[f"{f}-{'-'.join(f'{s:.0f}s' for s in shape)}" for f, shape in SHAPES])
def shape(request: pytest.FixtureRequest) -> tuple[str, tuple[float, ...]]:
    of_family: tuple[str, tuple[float, ...]] = request.param
    return of_family


@pytest.fixture
def seconds(shape: tuple[str, tuple[float, ...]]) -> tuple[float, ...]:
    return shape[1]


@pytest.fixture
def policy(shape: tuple[str, tuple[float, ...]]) -> Policy:
    return long_policy(shape[0])


EACH = pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])


def test_rollout(policy: Policy, seconds: tuple[float, ...]) -> None:
    inputs = encode_prompts(policy, [prompt(len(seconds))], clips_of(seconds))
    with positions_seen(policy) as seen:
        rows = rollout(policy, inputs, None, Sampling(3, temperature=5.0), 4, ["x"])
    check_prompt(seen[0][:, 0], inputs.input_ids[0], policy, seconds)
    assert max(len(row) for row in rows[0]) == 3
    following = int(seen[0].max()) + 1
    assert [step[:, 0].flatten().tolist() for step in seen[1:]] == [[following] * 3, [following + 1] * 3]


@pytest.mark.parametrize("compute", [shared_log_probs, separate_log_probs])
def test_loss(policy: Policy, seconds: tuple[float, ...], compute: Callable[..., Any]) -> None:
    """The loss's rows: prompt and completions in one row, or one row for each completion."""
    if compute is shared_log_probs:
        enable_shared_prompt(policy)
    inputs = encode_prompts(policy, [prompt(len(seconds))], clips_of(seconds))
    groups = Groups(inputs, None, [[0, 1]], [torch.tensor([9, 10, 11]), torch.tensor([12, 13])])

    def forward(labels: Any = None, shift_labels: Any = None, fused_lm_head: bool = True, **kwargs: Any) -> Any:
        policy.model(**kwargs, use_cache=False, logits_to_keep=1)
        zeros = torch.zeros(labels.shape if shift_labels is None else shift_labels.shape)
        return SimpleNamespace(log_probs=zeros, entropy=None)

    with positions_seen(policy) as seen, torch.no_grad():
        compute(forward, policy, groups, 3)
    length = inputs.input_ids.shape[1]
    check_prompt(seen[0][:, 0, :length], inputs.input_ids[0], policy, seconds)
    last = (
        SHAPES[policy.family.model_type, seconds][1]
        + length
        - 1
        - int((inputs.input_ids[0] == policy.video_token_id).nonzero()[-1, 0])
        - 1
    )
    if compute is shared_log_probs:  # prompt, then each completion behind a copy of the prompt's last token
        rows = seen[0][0, 0, length - 1 :].tolist()
        assert rows == [last, last + 1, last + 2, last, last + 1]
    else:
        assert seen[0][0, 0, length:].tolist() == [last + 1, last + 2, last + 3]


def test_likelihood(policy: Policy, seconds: tuple[float, ...]) -> None:
    inputs = encode_prompts(policy, [prompt(len(seconds))], clips_of(seconds))
    with positions_seen(policy) as seen:
        continuation_log_probabilities(policy, [prompt(len(seconds))], clips_of(seconds), [["A B C", "D E"]])
    check_prompt(seen[0][:, 0], inputs.input_ids[0], policy, seconds)
    following = int(seen[0].max()) + 1
    assert seen[1].tolist() == [[[following, following + 1]] * 2] * 3


@EACH
def test_ask_which_decodes_by_the_librarys_generate(family: str) -> None:
    policy, seconds = long_policy(family), (180.0,)
    ends = replace(policy, eos_token_ids=(0,))  # a token that this model does not write
    params = SimpleNamespace(evaluate_egoschema=SimpleNamespace(max_new_tokens=3))
    inputs = encode_prompts(
        policy, [[*prompt(1)[:1], *ask("what is first ?", "clip")]], {"clip": clips_of(seconds)["0"]}
    )
    messages = [*prompt(1)[:1], *ask("what is first ?", "clip")]
    with positions_seen(policy) as seen:
        _complete(ends, messages, clips_of(seconds)["0"], params, stream=False)
    check_prompt(seen[0][:, 0], inputs.input_ids[0], policy, seconds)
    following = int(seen[0].max()) + 1
    assert [step[:, 0].flatten().tolist() for step in seen[1:]] == [[following] * 3, [following + 1] * 3]


@EACH
def test_teaching_the_tiny_base(family: str) -> None:
    policy, seconds = long_policy(family), (180.0,)
    with positions_seen(policy) as seen, torch.no_grad():
        example_loss(policy, [Example(clips_of(seconds)["0"], prompt(1), "red cup")], 0.0)
    ids = encode_prompts(policy, [prompt(1)], clips_of(seconds)).input_ids[0]
    check_prompt(seen[0][:, 0], ids, policy, seconds)


@EACH
def test_an_exported_policy(family: str, tmp_path: Path) -> None:
    policy, seconds = long_policy(family), (180.0,)
    export_policy(policy, tmp_path / "policy", {}, "card")
    loaded = replace(load_policy(tmp_path / "policy"), context_length=10_000)
    inputs = encode_prompts(loaded, [prompt(1)], clips_of(seconds))
    with positions_seen(loaded) as seen, torch.no_grad():
        loaded.model(**inputs.forward_kwargs())
    check_prompt(seen[0][:, 0], inputs.input_ids[0], loaded, seconds)


def test_prompts_of_different_lengths_in_one_batch() -> None:
    """Padding takes no position, and each row goes on behind its own video."""
    policy = long_policy("qwen2_5_vl")
    clips = clips_of((180.0, 8.0))
    prompts = [
        [*prompt(1)[:1], *ask("what ?", "0")],
        [*prompt(1)[:1], *ask("what is taken first ?", "1")],
        ask("what ?"),
    ]
    inputs = encode_prompts(policy, prompts, clips)
    with positions_seen(policy) as seen, torch.no_grad():
        policy.model(**inputs.forward_kwargs())
    for row, shape in enumerate([(180.0,), (8.0,)]):
        real = inputs.attention_mask[row].bool()
        check_prompt(seen[0][:, row, real], inputs.input_ids[row, real], policy, shape)
    real = inputs.attention_mask[2].bool()
    assert seen[0][0, 2, real].tolist() == list(range(int(real.sum())))
