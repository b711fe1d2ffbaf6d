"""Whether an engine computes what the policy computes: one prompt, the engine's tokens, both log-probabilities.

After every change of weights, because engines have been seen to answer with neither the old nor the new ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from pipeline.engine.engine import Engine
from pipeline.engine.requests import Messages
from pipeline.errors import ModelError
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.generate import Completion, rope_positions, video_kwargs
from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling

BOUNDS = {"float32": 1e-3, "bfloat16": 0.15, "float16": 0.05}  # mean difference of a token's log-probability, nats
_TOKENS = 16


def check_equality(engine: Engine, policy: Policy, messages: Messages, clips: Mapping[str, ClipFrames]) -> float:
    """Mean difference (nats) of the log-probabilities of a greedy completion.

    Raises:
        ModelError: it is above the bound of the engine's precision; says whether text alone differs too.
    """
    found = _difference(engine, policy, messages, clips)
    bound = BOUNDS[engine.options.dtype]
    if found <= bound:
        return found
    blind = [{**m, "content": _without_video(m["content"])} for m in messages]
    alone = _difference(engine, policy, blind, {})
    where = (
        f"without the video they agree ({alone:.2g}): the frames, their times or the positions behind them differ"
        if alone <= bound
        else f"without the video too ({alone:.2g}): the weights or the precision differ"
    )
    raise ModelError(
        "the engine does not compute what the policy computes: log-probabilities of one completion differ by "
        f"{found:.2g} on average, {bound} is the bound in {engine.options.dtype}; {where}. Use transformers meanwhile"
    )


def _without_video(content: object) -> object:
    return [part for part in content if part["type"] != "video"] if isinstance(content, list) else content


def _difference(engine: Engine, policy: Policy, messages: Messages, clips: Mapping[str, ClipFrames]) -> float:
    greedy = Sampling(_TOKENS, temperature=0.0)
    completion = engine.complete(policy, [messages], clips, greedy, 1, ["equality"])[0][0]
    ours = completion_log_probabilities(policy, messages, clips, completion.token_ids)
    return mean_difference(ours, completion)


def mean_difference(ours: Sequence[float], theirs: Completion) -> float:
    """Mean absolute difference per token."""
    scores = theirs.log_probabilities or ()
    gaps = [abs(a - b) for a, b in zip(ours, scores, strict=True)]
    return sum(gaps) / len(gaps)


def completion_log_probabilities(
    policy: Policy, messages: Messages, clips: Mapping[str, ClipFrames], token_ids: Sequence[int]
) -> list[float]:
    """Log-probability of each token of a completion by one forward of the policy, at temperature 1; suppressed tokens
    have none."""
    prompt = encode_prompts(policy, [messages], clips)
    tokens = torch.tensor([list(token_ids)])
    whole = replace(
        prompt,
        input_ids=torch.cat([prompt.input_ids, tokens], 1),
        attention_mask=torch.cat([prompt.attention_mask, torch.ones_like(tokens)], 1),
        mm_token_type_ids=torch.cat([prompt.mm_token_type_ids, torch.zeros_like(tokens)], 1),
    ).to(policy.device)
    training = policy.model.training
    policy.model.eval()
    with torch.no_grad():
        logits = policy.model(
            input_ids=whole.input_ids,
            attention_mask=whole.attention_mask,
            position_ids=rope_positions(policy, whole)[0],
            logits_to_keep=len(token_ids) + 1,
            **video_kwargs(policy, whole, None),
        ).logits[0, :-1]
    policy.model.train(training)
    scores = logits.double()
    scores[:, list(policy.suppressed_token_ids)] = -torch.inf
    picked = torch.log_softmax(scores, -1).gather(-1, tokens[0, :, None].to(scores.device))[:, 0]
    found: list[float] = picked.tolist()
    return found
