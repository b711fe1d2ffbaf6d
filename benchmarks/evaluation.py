"""How much faster the evaluation is than plain loops, and whether it gives the same answers.

    python benchmarks/evaluation.py                     # tiny shape, 500 questions, CPU
    python benchmarks/evaluation.py --device cuda --shape 3b --frames 32 --side 308 --questions 64 --batch 8

Greedy: questions through the pipeline's backend (batches of like length, clip features computed once) against one
`model.generate` per question that encodes its video again. Likelihood: five options per question in one forward behind
a shared prefix against a full forward per option. No completion ends before its last token, in either way. Weights
are random: speed does not depend on them, and agreement is harder on them. Times are CPU seconds of this process on
CPU, wall seconds on a GPU.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from pipeline.answers.prompts import build_messages, fill
from pipeline.environment import apply_defaults
from pipeline.evaluation.backends import Request, ShownFrames, TransformersBackend
from pipeline.evaluation.response_cache import batches_by_length
from pipeline.models.families.qwen2_5_vl import QWEN2_5_VL
from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy, make_policy
from pipeline.models.sampling import Sampling
from pipeline.models.vision import FeatureCache
from pipeline.tiny_base.model import build_model
from pipeline.tiny_base.recipe import SHAPE
from pipeline.tiny_base.tokenizer import build_tokenizer

TEMPLATE = "{times}\n{question}\n{options}\nthink"
WORDS = (
    "which object did the camera wearer take move first second third red green blue cup bowl knife left right up down"
)
OPTIONS = [f"<answer>{letter}</answer>" for letter in "ABCDE"]


@dataclass(frozen=True)
class Timing:
    """Seconds of the plain loop and of the pipeline, and what share of the results agree."""

    plain: float
    ours: float
    agree: float

    def report(self, name: str, items: int) -> None:
        """Print one line."""
        print(
            f"{name:32s} plain {self.plain:7.2f} s ({items / self.plain:6.1f}/s)   ours {self.ours:7.2f} s "
            f"({items / self.ours:6.1f}/s)   ratio {self.plain / self.ours:5.1f}x   agreement {self.agree:.4f}"
        )


def tiny_policy() -> Policy:
    """The tiny base's shape with random weights and its word-level tokenizer."""
    tokenizer = build_tokenizer([WORDS, TEMPLATE])
    return make_policy(build_model(QWEN2_5_VL, SHAPE, tokenizer, seed=0).eval(), tokenizer)


def large_policy(tokenizer_folder: Path, device: str) -> Policy:
    """The shape of Qwen2.5-VL-3B with random bfloat16 weights and the real tokenizer."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 2, "vocab_size": 151936, "max_position_embeddings": 128000,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        "tie_word_embeddings": True,
    }  # fmt: skip
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048,
              "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2}  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)
    with torch.device(device):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    return make_policy(model.eval(), AutoTokenizer.from_pretrained(tokenizer_folder))


def make_requests(questions: int, clips: int, frames: int, side: int) -> list[Request]:
    """Questions of different lengths, several on each clip, as the synthetic test has them."""
    rng = np.random.default_rng(0)
    words = WORDS.split()
    shown = [
        ShownFrames(rng.integers(0, 256, (frames, side, side, 3), dtype=np.uint8), np.arange(frames) * 1.5 + 0.7)
        for _ in range(clips)
    ]
    requests = []
    for i in range(questions):
        question = " ".join(rng.choice(words, rng.integers(4, 10)))
        options = [" ".join(rng.choice(words, rng.integers(1, 5))) for _ in range(5)]
        clip = shown[i % clips]
        text = fill(TEMPLATE, question, options, clip.pts_seconds.tolist(), 0.0, 1.5 * frames)
        requests.append(Request(build_messages(text, f"clip{i}"), f"clip{i}", clip))
    return requests


def clock(policy: Policy) -> Callable[[], float]:
    """CPU seconds of this process; wall seconds with a GPU, after what it has to do."""
    if policy.device.type == "cpu":
        return time.process_time

    def wall() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return wall


def timed(policy: Policy, work: Callable[[], Any]) -> tuple[float, Any]:
    now = clock(policy)
    started = now()
    result = work()
    return now() - started, result


def encode_one(policy: Policy, request: Request) -> dict[str, torch.Tensor]:
    clips = {} if request.frames is None else {request.key: request.frames}
    return encode_prompts(policy, [request.messages], clips).to(policy.device).forward_kwargs()


def generate_plainly(policy: Policy, request: Request, tokens: int) -> list[int]:
    """One question through `model.generate`, its video encoded again."""
    inputs = encode_one(policy, request)
    suppressed = {"suppress_tokens": list(policy.suppressed_token_ids)}
    out = policy.model.generate(**inputs, max_new_tokens=tokens, do_sample=False, **suppressed)
    return list(out[0, inputs["input_ids"].shape[1] :].tolist())


def greedy(policy: Policy, requests: list[Request], batch: int, tokens: int) -> Timing:
    """Greedy answers of both ways; agreement is the share of questions that agree token for token."""

    def ours() -> list[list[int]]:
        backend = TransformersBackend(policy, FeatureCache(policy, 20_000))
        found: dict[int, list[int]] = {}
        for rows in batches_by_length([len(str(r.messages)) for r in requests], batch):
            groups = backend.complete([requests[i] for i in rows], Sampling(tokens, 0.0), 1, [""] * len(rows))
            found |= {i: list(group[0].token_ids) for i, group in zip(rows, groups, strict=True)}
        return [found[i] for i in range(len(requests))]

    with torch.no_grad():
        generate_plainly(policy, requests[0], 2)
        plain_seconds, plain = timed(policy, lambda: [generate_plainly(policy, r, tokens) for r in requests])
        our_seconds, mine = timed(policy, ours)
    same = [a == b for a, b in zip(plain, mine, strict=True)]
    return Timing(plain_seconds, our_seconds, sum(same) / len(same))


def score_plainly(policy: Policy, request: Request) -> list[float]:
    """A full forward per option, vision included."""
    scores = []
    for option in OPTIONS:
        inputs = encode_one(policy, request)
        tail = policy.tokenizer(option, add_special_tokens=False, return_tensors="pt")["input_ids"].to(policy.device)
        for name, extra in (("input_ids", tail), ("attention_mask", tail * 0 + 1), ("mm_token_type_ids", tail * 0)):
            inputs[name] = torch.cat([inputs[name], extra], dim=1)
        policy.base.model.rope_deltas = None
        logits = policy.model(**inputs, use_cache=False).logits[0, -tail.shape[1] - 1 : -1].double()
        scores.append(float(torch.log_softmax(logits, -1).gather(-1, tail[0][:, None]).sum()))
    return scores


def likelihood(policy: Policy, requests: list[Request], batch: int) -> tuple[Timing, float]:
    """Option scores of both ways, and their largest difference; agreement is the share of equal choices."""

    def ours() -> list[list[float]]:
        backend = TransformersBackend(policy, None if batch == 1 else FeatureCache(policy, 20_000))
        found: dict[int, list[float]] = {}
        for rows in batches_by_length([len(str(r.messages)) for r in requests], batch):
            found |= dict(zip(rows, backend.score([requests[i] for i in rows], [OPTIONS] * len(rows)), strict=True))
        return [found[i] for i in range(len(requests))]

    with torch.no_grad():
        plain_seconds, plain = timed(policy, lambda: [score_plainly(policy, r) for r in requests])
        our_seconds, mine = timed(policy, ours)
    a, b = np.array(plain), np.array(mine)
    return Timing(plain_seconds, our_seconds, float((a.argmax(1) == b.argmax(1)).mean())), float(np.abs(a - b).max())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["tiny", "3b"], default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--per-clip", type=int, default=3, help="questions on each clip")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--side", type=int, default=48, help="pixels")
    parser.add_argument("--tokens", type=int, default=40, help="per completion")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--tokenizer", type=Path, default=Path("../shared/qwen_tokenizer"), help="for --shape 3b")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    apply_defaults()
    arguments = parse_arguments()
    torch.set_num_threads(1)
    policy = tiny_policy() if arguments.shape == "tiny" else large_policy(arguments.tokenizer, arguments.device)
    policy = replace(policy, suppressed_token_ids=(*policy.suppressed_token_ids, *policy.eos_token_ids))
    clips = -(-arguments.questions // arguments.per_clip)
    requests = make_requests(arguments.questions, clips, arguments.frames, arguments.side)
    generation = greedy(policy, requests, arguments.batch, arguments.tokens)
    generation.report(f"greedy, {arguments.tokens} tokens", len(requests))
    single, single_error = likelihood(policy, requests, 1)
    single.report("likelihood, one question at once", len(requests))
    batched, batched_error = likelihood(policy, requests, arguments.batch)
    batched.report(f"likelihood, batches of {arguments.batch}", len(requests))
    error = max(single_error, batched_error)
    print(f"largest difference of a log likelihood: {error:.1e}")
    if arguments.json is not None:
        figures = {"greedy": vars(generation), "likelihood": vars(batched), "likelihood_single": vars(single)}
        arguments.json.write_text(json.dumps({**figures, "largest_difference": error}, indent=2) + "\n")


if __name__ == "__main__":
    main()
