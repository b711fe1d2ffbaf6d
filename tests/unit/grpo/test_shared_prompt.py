"""The shared-prompt row equals separate rows with pixels: log-probabilities, entropies and gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from trl.trainer import utils
from trl.trainer.utils import add_fused_lm_head

from pipeline.grpo.fused_head import score_labels_alone
from pipeline.grpo.logprobs import Groups, separate_log_probs, shared_log_probs
from pipeline.grpo.shared_prompt import enable_shared_prompt, pack
from pipeline.models.families import FAMILIES
from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy
from pipeline.models.vision import encode_clip
from tests.support.float64 import compute_in_what_comes_in
from tests.support.random_policy import ask, make_clip, make_random_policy

# peft 0.18 and TRL 1.16 still use names that transformers 5.23 calls old.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")

PROMPTS = [ask("what is taken ?", "a"), ask("red cup first ? what blue", "b", "a"), ask("what is ?")]
# Clip b is long: its last frame's position in time lies behind all the text.
CLIPS = {"a": make_clip(1), "b": make_clip(2, frames=5, height=24, spacing=11.25)}
LENGTHS = [[3, 1, 7], [5, 5, 2], [4, 6, 1]]
# Rows of a shuffled batch: completion r belongs to prompt b if r is in ROWS[b].
ROWS = [[4, 0, 7], [1, 8, 2], [3, 5, 6]]


@pytest.fixture
def float64_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    compute_in_what_comes_in(monkeypatch)


def completions() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    made: dict[int, torch.Tensor] = {}
    for rows, lengths in zip(ROWS, LENGTHS, strict=True):
        made |= {r: torch.randint(7, 40, (n,), generator=generator) for r, n in zip(rows, lengths, strict=True)}
    return [made[r] for r in range(9)]


def head(model: Any) -> Callable[..., Any]:
    """The forward with a fused head in plain torch, in the precision of the model (TRL's own is float32)."""

    class Outputs:
        def __init__(self, log_probs: torch.Tensor, entropy: torch.Tensor) -> None:
            self.log_probs, self.entropy = log_probs, entropy

    def forward(*, labels: Any = None, shift_labels: Any = None, fused_lm_head: bool, **kwargs: Any) -> Outputs:
        logits = model(**kwargs, use_cache=False).logits
        if shift_labels is None:
            logits, shift_labels = logits[:, :-1], labels[:, 1:]
        every = logits.log_softmax(-1)
        picked = every.gather(-1, shift_labels.clamp(min=0)[..., None])[..., 0]
        known = shift_labels != -100
        return Outputs(picked * known, -(every.exp() * every).sum(-1) * known)

    return forward


def compute(policy: Policy, shared: bool, forward: Callable[..., Any], features: bool) -> tuple[Any, Any, Any]:
    """(log-probabilities, entropies, gradients) of a loss that weighs every token differently."""
    inputs = encode_prompts(policy, PROMPTS, CLIPS, with_pixels=not features)
    held = [encode_clip(policy, CLIPS[n]) for row in inputs.clip_ids for n in row] if features else None
    groups = Groups(inputs, held, ROWS, completions())
    log_probs, entropies = (shared_log_probs if shared else separate_log_probs)(forward, policy, groups, 8)
    weights = torch.randn(log_probs.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    policy.model.zero_grad()
    (log_probs * weights.to(log_probs) + 0.1 * entropies).sum().backward()
    gradients = {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}
    return log_probs.detach(), entropies.detach(), gradients


def relative_error(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    """Norm of the difference of all gradients over the norm of the gradients."""
    assert left.keys() == right.keys()
    assert len(left) > 10
    difference = sum((left[n] - right[n]).double().pow(2).sum() for n in left) ** 0.5
    return float(difference / sum(g.double().pow(2).sum() for g in right.values()) ** 0.5)


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["pixels", "features", "checkpointing", "lora", "lora and checkpointing"])
def variant(family: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[[torch.dtype], Policy]]]:
    def make(dtype: torch.dtype) -> Policy:
        policy = make_random_policy(dtype=dtype, family=family)
        enable_shared_prompt(policy)
        if request.param == "features":
            policy.tower.requires_grad_(False)
        if "lora" in request.param:
            policy = with_lora(policy, dtype)
        if "checkpointing" in request.param:
            policy.model.train()
            policy.base.activation_checkpointing_enable()
            policy.base.enable_input_require_grads()
        return policy

    yield request.param, make


def with_lora(policy: Policy, dtype: torch.dtype) -> Policy:
    from dataclasses import replace

    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "up_proj"], exclude_modules=r".*visual.*")
    torch.manual_seed(2)
    model = get_peft_model(policy.model, config).to(dtype)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return replace(policy, model=model)


def test_equal_in_float64(variant: Any, float64_norms: None) -> None:
    name, make = variant
    policy = make(torch.float64)
    results = [compute(policy, shared, head(policy.model), name == "features") for shared in (False, True)]
    (log_probs, entropies, gradients), (shared_log_probs_, shared_entropies, shared_gradients) = results
    assert log_probs.dtype == torch.float64
    assert (log_probs - shared_log_probs_).abs().max() < 1e-12
    assert (entropies - shared_entropies).abs().max() < 1e-12
    assert relative_error(shared_gradients, gradients) < 1e-9
    assert any("visual" in n for n in gradients) == (name in ("pixels", "checkpointing"))


@pytest.mark.parametrize("vocabulary", [50, 151_936], ids=["all positions", "labels alone"])
def test_equal_in_float32_through_trls_head(variant: Any, vocabulary: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name, make = variant
    results = []
    monkeypatch.setattr("trl.trainer.utils._use_triton", utils._use_triton)  # put back afterwards
    score_labels_alone(vocabulary)
    for shared in (False, True):
        policy = make(torch.float32)
        add_fused_lm_head(policy.base, temperature=0.7, outputs=("log_probs", "entropy"))
        results.append(compute(policy, shared, policy.model, name == "features"))
    (log_probs, _, gradients), (shared_log_probs_, _, shared_gradients) = results
    assert (log_probs - shared_log_probs_).abs().max() < 5e-6
    assert relative_error(shared_gradients, gradients) < 1e-5


@pytest.mark.parametrize(("vocabulary", "scored"), [(50, 12), (151_936, 3)])
def test_a_large_vocabulary_is_scored_at_labels_alone(
    vocabulary: int, scored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    function = utils._ChunkedLogProbFunction

    class Watched:
        @staticmethod
        def apply(hidden: torch.Tensor, *rest: Any) -> Any:
            seen.append(len(hidden))
            return function.apply(hidden, *rest)

    monkeypatch.setattr("trl.trainer.utils._use_triton", utils._use_triton)
    monkeypatch.setattr("trl.trainer.utils._ChunkedLogProbFunction", Watched)
    score_labels_alone(vocabulary)
    policy = make_random_policy()
    add_fused_lm_head(policy.model)
    labels = torch.tensor([[-100] * 9 + [7, 8, 9]])
    out = policy.model(input_ids=torch.full((1, 12), 7), shift_labels=labels, fused_lm_head=True)
    assert seen == [scored]
    assert out.log_probs.shape == (1, 12) and (out.log_probs[0, :9] == 0).all() and (out.log_probs[0, 9:] < 0).all()


def test_rows_beyond_a_completions_end_are_zero() -> None:
    policy = make_random_policy()
    enable_shared_prompt(policy)
    log_probs, _, _ = compute(policy, True, head(policy.model), True)
    lengths = [len(c) for c in completions()]
    assert [(row != 0).sum().item() for row in log_probs] == lengths


def test_each_completion_sees_its_prompt_and_itself_only() -> None:
    policy = make_random_policy()
    enable_shared_prompt(policy)
    inputs = encode_prompts(policy, PROMPTS, CLIPS)
    texts = completions()

    def run(changed: int) -> torch.Tensor:
        other = list(texts)
        other[changed] = (texts[changed] + 1) % 30 + 7
        with torch.no_grad():
            return shared_log_probs(head(policy.model), policy, Groups(inputs, None, ROWS, other), 8)[0]

    with torch.no_grad():
        before = shared_log_probs(head(policy.model), policy, Groups(inputs, None, ROWS, texts), 8)[0]
    for changed in (0, 5, 8):
        moved = (run(changed) - before).abs().amax(1) > 1e-9
        assert moved.nonzero()[:, 0].tolist() == [changed]


def test_the_row_is_as_short_as_it_can_be() -> None:
    policy = make_random_policy()
    inputs = encode_prompts(policy, PROMPTS, CLIPS)
    texts = completions()
    row = pack(policy, inputs, [[texts[r] for r in rows] for rows in ROWS])
    assert row.input_ids.shape[1] == int(inputs.attention_mask.sum()) - 3 + sum(map(len, texts))
    assert (row.labels != -100).sum() == sum(map(len, texts))


def test_a_completion_of_no_tokens_is_zeros() -> None:
    policy = make_random_policy()
    enable_shared_prompt(policy)
    inputs = encode_prompts(policy, PROMPTS[:1], CLIPS)
    texts = [torch.tensor([9, 10]), torch.tensor([], dtype=torch.long)]
    log_probs, _ = shared_log_probs(head(policy.model), policy, Groups(inputs, None, [[0, 1]], texts), 3)
    assert (log_probs != 0).tolist() == [[True, True, False], [False, False, False]]


def test_other_forwards_are_untouched() -> None:
    policy, plain = make_random_policy(), make_random_policy()
    enable_shared_prompt(policy)
    inputs = encode_prompts(policy, PROMPTS, CLIPS)
    with torch.no_grad():
        assert torch.equal(
            policy.model(**inputs.forward_kwargs()).logits, plain.model(**inputs.forward_kwargs()).logits
        )
