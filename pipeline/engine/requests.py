"""A prompt with frames as vLLM takes it, and its answer as completions.

Frames go in at their final size as PNG (no pixel changes) with their rate, from which the engine numbers positions.
"""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pipeline.errors import ItemError, ModelError
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.generate import Completion, make_completion
from pipeline.models.inputs import clip_ids_of, encode_prompts, second_per_grid
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling

Messages = Sequence[Mapping[str, Any]]
_NEVER = -100.0  # the API's lowest logit bias


@dataclass(frozen=True)
class Asked:
    """A request and what its answer is held to: `prompt_ids` are the tokens that our own forward would see."""

    body: dict[str, Any]
    prompt_ids: list[int]


def make_request(
    policy: Policy,
    messages: Messages,
    clips: Mapping[str, ClipFrames],
    sampling: Sampling,
    completions: int,
    seed: str,
    max_model_len: int,
) -> Asked:
    """`completions` completions of one prompt, with the log-probability of every token.

    Raises:
        ItemError: the prompt and what may be written do not fit into the engine's context.
    """
    frames = [clips[name] for name in clip_ids_of(messages)]
    ids: list[int] = encode_prompts(policy, [messages], clips, with_pixels=False).input_ids[0].tolist()
    if len(ids) + sampling.max_new_tokens > max_model_len:
        found = (
            f"{len(ids)} tokens + {sampling.max_new_tokens} to write, machine.engine.max_model_len is {max_model_len}"
        )
        raise ItemError("prompt_too_long", found)
    body = {
        "model": "policy",
        "messages": [{**message, "content": _content(message["content"], clips)} for message in messages],
        "n": completions,
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big"),
        "stop_token_ids": list(policy.eos_token_ids),
        "logit_bias": {str(token): _NEVER for token in policy.suppressed_token_ids},
        "logprobs": True,
        "top_logprobs": 0,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }
    if frames:
        per_second = policy.vision.temporal_patch_size / second_per_grid(frames[0].pts_seconds, policy.vision)
        body["media_io_kwargs"] = {"video": {"fps": per_second, "num_frames": -1}}
    return Asked(body, ids)


def _content(content: Any, clips: Mapping[str, ClipFrames]) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "video_url", "video_url": {"url": encode_frames(clips[part["video"]])}}
        if part["type"] == "video"
        else {"type": "text", "text": part["text"]}
        for part in content
    ]


def encode_frames(clip: ClipFrames) -> str:
    """Frames as vLLM's sequence of pictures; it tells their format by their bytes, whatever the type says."""
    return "data:video/jpeg;base64," + ",".join(_png(image) for image in clip.images)


def _png(image: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def read_answer(policy: Policy, asked: Asked, answer: Mapping[str, Any], version: str) -> list[Completion]:
    """The completions of an answer, made with the weights of `version`.

    Raises:
        ModelError: the engine saw other tokens than our own forward would.
    """
    if answer["prompt_token_ids"] != asked.prompt_ids:
        raise ModelError(_other_prompt(asked.prompt_ids, answer["prompt_token_ids"]))
    found = []
    for choice in sorted(answer["choices"], key=lambda choice: choice["index"]):
        scores = tuple(float(token["logprob"]) for token in choice["logprobs"]["content"])
        completion = make_completion(policy, choice["token_ids"])
        found.append(Completion(completion.token_ids, completion.text, completion.finished, scores, version))
    return found


def _other_prompt(ours: Sequence[int], theirs: Sequence[int]) -> str:
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return (
        f"the engine reads a prompt as {len(theirs)} tokens, the policy as {len(ours)}; they differ from token {place} "
        f"on ({list(ours[place : place + 3])} here, {list(theirs[place : place + 3])} there): tokenizer, chat template "
        "or the size of the frames"
    )
