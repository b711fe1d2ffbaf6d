"""What a GRPO step costs: stock-equivalent, with cached vision features, with the shared prompt.

    python benchmarks/grpo.py                       # CPU, a small language model, the token shape of the 3B's step
    python benchmarks/grpo.py --device cuda --size 3b --checkpointing     # needs a GPU; not run by this project yet
    python benchmarks/grpo.py --size 3b-thin --length 8    # the same code with the 3B's tokenizer and prompt, on a CPU
    python benchmarks/grpo.py --flops               # the operation count alone, for the 3B shape

Every variant runs in a process of its own and does the same step: G completions of one prompt with one clip, their
log-probabilities, the backward. Weights are random and completions have a fixed length, so nothing depends on luck. On
the CPU, seconds are CPU seconds; on a GPU they are wall seconds between synchronisations.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.grpo_setup import SHAPES, Clip, Shape, Work, build_policy, load_frames, make_inputs  # noqa: E402

PARTS = ("decode", "encode", "prefill", "generate", "reward", "loss")
VARIANTS = ("stock", "cached", "shared")


def flops(shape: Shape, work: Work, variant: str) -> dict[str, float]:
    """Multiply-adds x 2 of one group's step by part; a backward counts as two forwards (the tower is frozen).

    A token costs 2 FLOP per weight it passes, attention 4 x width FLOP per (query, key) pair and layer; causal pairs
    are counted exactly. The tower's windows are counted as full attention over one frame pair.
    """
    share = variant == "shared"
    kv = shape.hidden // shape.heads * shape.key_value_heads
    per_layer = 2 * shape.hidden**2 + 2 * shape.hidden * kv + 3 * shape.hidden * shape.intermediate
    weights = shape.layers * per_layer
    head = shape.hidden * shape.vocabulary
    p, c, g = work.prompt, work.length, work.group

    def language(tokens: float, pairs: float, scored: float) -> float:
        return 2 * weights * tokens + 4 * shape.layers * shape.hidden * pairs + 2 * head * scored

    own = p * (p + 1) / 2
    written = c * p + c * (c + 1) / 2
    prompts = 1 if share else g
    encodes = {"stock": 2 * g, "cached": 1, "shared": 1}[variant]
    patches = work.video_tokens * 4
    tower = shape.vision_layers * (4 * shape.vision_hidden**2 + 3 * shape.vision_hidden * shape.vision_intermediate)
    pairs = patches * (work.height // 14) * (work.width // 14)
    encode = 2 * tower * patches + 4 * shape.vision_layers * shape.vision_hidden * pairs
    return {
        "encode": encodes * encode,
        "prefill": prompts * language(p, own, 1),
        "generate": g * language(c, written, c),
        "loss": 3 * (prompts * language(p, own, 0) + g * language(c, written, c)),
    }


# --- one variant, in its own process ----------------------------------------------------------------------------------


class Clock:
    """Seconds by part: CPU seconds on the CPU, wall seconds between synchronisations on a GPU. A part within a part
    counts for itself only."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time one part."""
        started = self._now()
        self._inner.append(0.0)
        yield
        whole = self._now() - started
        self.seconds[name] = self.seconds.get(name, 0.0) + whole - self._inner.pop()
        self._inner[-1] += whole

    @contextmanager
    def function(self, owner: Any, attribute: str, name: str) -> Iterator[None]:
        """Time every call of a function as a part, for a while."""
        real = getattr(owner, attribute)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return real(*args, **kwargs)

        setattr(owner, attribute, timed)
        yield
        setattr(owner, attribute, real)

    def _now(self) -> float:
        if self.device == "cpu":
            return time.process_time()
        import torch

        torch.cuda.synchronize()
        return time.perf_counter()


def run_variant(variant: str, size: str, work: Work, device: str, checkpointing: bool) -> dict[str, Any]:
    """One step of one variant; seconds by part and peak memory."""
    import torch

    torch.set_num_threads(1)
    from pipeline.environment import apply_defaults

    apply_defaults()
    frames, decoding = load_frames(work)
    policy = build_policy(SHAPES[size], device, torch.float32 if device == "cpu" else torch.bfloat16)
    clock = Clock(device)
    clock.seconds["decode"] = round(decoding, 3)
    for warm in (True, False) if device == "cuda" else (False,):
        if warm:
            step(policy, work, frames, variant, checkpointing, Clock(device))
            torch.cuda.reset_peak_memory_stats()
        else:
            step(policy, work, frames, variant, checkpointing, clock)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else _peak_rss_gib()
    seconds = {name: round(clock.seconds.get(name, 0.0), 4) for name in PARTS}
    return {"variant": variant, "seconds": seconds, "peak_gib": round(peak, 2), "device": _name_of(device)}


def _name_of(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def _peak_rss_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def step(policy: Any, work: Work, frames: Any, variant: str, checkpointing: bool, clock: Clock) -> None:
    """Encode, prefill, generate, reward, loss and its backward."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from pipeline.grpo.logprobs import Groups, separate_log_probs, shared_log_probs
    from pipeline.grpo.shared_prompt import enable_shared_prompt
    from pipeline.models import generate
    from pipeline.models.sampling import Sampling
    from pipeline.models.vision import encode_clip

    share = variant == "shared"
    enable_shared_prompt(policy)
    if not hasattr(policy.model, "_fused"):
        add_fused_lm_head(policy.model, outputs=("log_probs", "entropy"))
        policy.model._fused = True
    inputs = make_inputs(policy, work, frames)
    with clock.function(policy.base.model.visual, "forward", "encode"):
        features = None if variant == "stock" else [encode_clip(policy, Clip(frames))]
        with clock.function(generate, "_prefill", "prefill"), clock.part("generate"):
            rows = generate.rollout(policy, inputs, features, Sampling(work.length), work.group, ["benchmark"], share)[
                0
            ]
        with clock.part("reward"):
            _reward(policy, rows)
        completions = [torch.tensor(row, device=policy.device) for row in rows]
        assert {len(c) for c in completions} == {work.length}
        policy.model.train()
        if checkpointing:
            policy.model.activation_checkpointing_enable()
        compute: Callable[..., Any] = shared_log_probs if share else separate_log_probs
        with clock.part("loss"):
            groups = Groups(inputs, features, [list(range(work.group))], completions)
            log_probs, _ = compute(policy.model, policy, groups, work.length)
            (log_probs * torch.linspace(-1, 1, work.group, device=policy.device)[:, None]).sum().backward()
    policy.model.zero_grad(set_to_none=True)
    policy.model.eval()


def _reward(policy: Any, rows: list[list[int]]) -> None:
    """Decode and score the completions with the rewards of params.yaml."""
    from benchmarks.rewards import made_up_cases
    from pipeline.grpo.rewards import rewards_in_use, score_all
    from pipeline.grpo.rewards.rollout import Rollout
    from pipeline.params import load_params

    settings = load_params(ROOT / "params.yaml").train_grpo
    sample = made_up_cases(1, settings.reward_settings)[0].sample
    decode = (lambda row: " ".join(map(str, row))) if policy.tokenizer is None else policy.tokenizer.decode
    rollouts = [Rollout(decode(row), len(row), False, sample, settings.reward_settings) for row in rows]
    for name in rewards_in_use(settings.rewards):
        score_all(name, rollouts)


# --- all variants -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--size", default="small", choices=list(SHAPES))
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--height", type=int, default=224, help="pixels")
    parser.add_argument("--width", type=int, default=448, help="pixels; 224 x 448 gives 128 tokens per pair of frames")
    parser.add_argument("--text", type=int, default=200, help="text tokens of the prompt")
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--length", type=int, default=256, help="tokens per completion")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--flops", action="store_true")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = Work(arguments.frames, arguments.height, arguments.width, arguments.text, arguments.group, arguments.length)
    if arguments.variant:
        print(
            json.dumps(run_variant(arguments.variant, arguments.size, work, arguments.device, arguments.checkpointing))
        )
        return
    print(f"prompt {work.prompt} tokens ({work.video_tokens} of them video), G={work.group} x {work.length} tokens")
    show_flops(work, "3b" if arguments.flops else arguments.size)
    if not arguments.flops:
        show_measured([_in_process(variant) for variant in VARIANTS])


def _in_process(variant: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--variant", variant], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(result), file=sys.stderr, flush=True)  # a long run that is stopped leaves what it had
    return result


def show_flops(work: Work, size: str) -> None:
    """The operation count."""
    print(f"\nTFLOP per group, {size} shape ({asdict(SHAPES[size])})")
    stock = sum(flops(SHAPES[size], work, "stock").values())
    for variant in VARIANTS:
        parts = flops(SHAPES[size], work, variant)
        shown = "  ".join(f"{name} {value / 1e12:9.3f}" for name, value in parts.items())
        total = sum(parts.values())
        print(f"  {variant:7s} {shown}  all {total / 1e12:9.3f}  {stock / total:5.2f}x")


def show_measured(results: list[dict[str, Any]]) -> None:
    """Seconds by part, peak memory and ratios to the stock-equivalent variant."""
    print("\nseconds measured")
    stock = results[0]["seconds"]
    for result in results:
        parts = result["seconds"]
        shown = "  ".join(f"{name} {parts[name]:7.2f}" for name in PARTS)
        whole = sum(stock.values()) / sum(parts.values())
        loss, rollout = stock["loss"] / parts["loss"], _rollout(stock) / _rollout(parts)
        print(
            f"  {result['variant']:7s} {shown}  all {sum(parts.values()):7.2f}  peak {result['peak_gib']:6.2f} GiB"
            f"  loss {loss:5.2f}x  rollout {rollout:5.2f}x  step {whole:5.2f}x"
        )


def _rollout(parts: dict[str, float]) -> float:
    return sum(parts[name] for name in ("encode", "prefill", "generate"))


if __name__ == "__main__":
    main()
