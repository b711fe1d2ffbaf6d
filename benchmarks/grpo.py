"""What a GRPO step costs: stock-equivalent, with cached vision features, with the shared prompt.

    python benchmarks/grpo.py                       # CPU, a small language model, the token shape of the 3B's step
    python benchmarks/grpo.py --device cuda --size 3b
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
VARIANTS = ("stock", "cached", "shared")


@dataclass(frozen=True)
class Shape:
    """A Qwen2.5-VL by its dimensions."""

    layers: int
    hidden: int
    heads: int
    key_value_heads: int
    intermediate: int
    vocabulary: int
    vision_layers: int
    vision_hidden: int
    vision_heads: int
    vision_intermediate: int


SHAPES = {
    "tiny": Shape(3, 96, 4, 2, 256, 512, 2, 48, 2, 96),
    "small": Shape(8, 448, 7, 1, 1536, 8192, 4, 160, 4, 320),  # 24 M in the language model
    "3b": Shape(36, 2048, 16, 2, 11008, 151936, 32, 1280, 16, 3420),
}


@dataclass(frozen=True)
class Work:
    """One group: frames of height x width pixels, text tokens around them, G completions of `length` tokens."""

    frames: int
    height: int
    width: int
    text: int
    group: int
    length: int

    @property
    def video_tokens(self) -> int:
        """Tokens of the clip: pairs of frames, 28 x 28 pixels each."""
        return self.frames // 2 * (self.height // 28) * (self.width // 28)

    @property
    def prompt(self) -> int:
        """Tokens of the prompt."""
        return self.video_tokens + self.text


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


def build_policy(shape: Shape, device: str, dtype: Any) -> Any:
    """A policy of random weights, made on the device."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    from pipeline.models.policy import Policy, VisionSettings

    head = shape.hidden // shape.heads
    video, end = shape.vocabulary - 1, shape.vocabulary - 2
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.hidden,
            "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.key_value_heads,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [head // 8, head // 16 * 3, head // 2 - head // 8 - head // 16 * 3],
            },
            "tie_word_embeddings": True,
            "pad_token_id": 0,
            "eos_token_id": end,
            "bos_token_id": None,
        },
        vision_config={
            "depth": shape.vision_layers,
            "hidden_size": shape.vision_hidden,
            "intermediate_size": shape.vision_intermediate,
            "num_heads": shape.vision_heads,
            "out_hidden_size": shape.hidden,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": list(range(7, shape.vision_layers, 8)) or [shape.vision_layers - 1],
            "tokens_per_second": 2,
        },
        video_token_id=video,
        image_token_id=shape.vocabulary - 3,
        vision_start_token_id=shape.vocabulary - 4,
        vision_end_token_id=shape.vocabulary - 5,
        tie_word_embeddings=True,
    )
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = Qwen2_5_VLForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    model.model.visual.requires_grad_(False)
    suppressed = tuple(range(shape.vocabulary - 5, shape.vocabulary))  # the end token too: lengths are fixed
    return Policy(model, None, VisionSettings(14, 2, 2), video, 0, (end,), suppressed, 32768, "")


def make_inputs(policy: Any, work: Work, frames: Any) -> Any:
    """The batch of one prompt: text, the clip, text."""
    import torch

    from pipeline.models.batch import ModelInputs
    from pipeline.models.inputs import patchify

    text = torch.randint(1, 500, (work.text,), generator=torch.Generator().manual_seed(1))
    video = torch.full((work.video_tokens,), policy.video_token_id)
    ids = torch.cat([text[: work.text // 2], video, text[work.text // 2 :]])[None]
    patches, grid = patchify(frames, policy.vision)
    return ModelInputs(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=(ids == policy.video_token_id).long() * 2,
        pixel_values_videos=patches.to(next(policy.model.parameters()).dtype),
        video_grid_thw=grid[None],
        second_per_grid_ts=torch.tensor([2.0]),
        clip_ids=(("clip",),),
    ).to(policy.device)


def load_frames(work: Work) -> tuple[Any, float]:
    """Frames [T, H, W, 3] and the seconds of decoding them: a real clip where one lies beside, else noise."""
    import numpy as np

    clips = sorted((ROOT.parent / "shared/real_clips").glob("*.mp4"))
    if not clips:
        return np.random.default_rng(0).integers(0, 256, (work.frames, work.height, work.width, 3), dtype=np.uint8), 0.0
    import av

    started = time.process_time()
    with av.open(str(clips[0])) as container:
        every = max(1, (container.streams.video[0].frames or 300) // work.frames)
        pictures = []
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0 and len(pictures) < work.frames:
                pictures.append(frame.to_ndarray(width=work.width, height=work.height, format="rgb24"))
    pictures += [pictures[-1]] * (work.frames - len(pictures))
    return np.stack(pictures), time.process_time() - started


class Clock:
    """Seconds by part: CPU seconds on the CPU, wall seconds between synchronisations on a GPU."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time one part."""
        started = self._now()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + self._now() - started, 3)

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
    return {"variant": variant, "seconds": clock.seconds, "peak_gib": round(peak, 2)}


def _peak_rss_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def step(policy: Any, work: Work, frames: Any, variant: str, checkpointing: bool, clock: Clock) -> None:
    """Encode, prefill, generate, loss."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from pipeline.grpo.logprobs import Groups, separate_log_probs, shared_log_probs
    from pipeline.models.generate import rollout
    from pipeline.models.sampling import Sampling
    from pipeline.models.shared_prompt import enable_shared_prompt
    from pipeline.models.vision import encode_clip

    share = variant == "shared"
    enable_shared_prompt(policy)
    if not hasattr(policy.model, "_fused"):
        add_fused_lm_head(policy.model, outputs=("log_probs", "entropy"))
        policy.model._fused = True
    inputs = make_inputs(policy, work, frames)
    features = None
    if variant != "stock":
        with clock.part("encode"):
            features = [encode_clip(policy, _Clip(frames))]
    seeds = ["benchmark"]
    with clock.part("prefill"):
        rollout(policy, inputs, features, Sampling(1), work.group, seeds, share)
    with clock.part("generate"):
        rows = rollout(policy, inputs, features, Sampling(work.length), work.group, seeds, share)[0]
    clock.seconds["generate"] = round(clock.seconds["generate"] - clock.seconds["prefill"], 3)
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


@dataclass(frozen=True)
class _Clip:
    images: Any

    @property
    def pts_seconds(self) -> list[float]:
        return [float(i) for i in range(len(self.images))]


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
        shown = "  ".join(
            f"{name} {parts.get(name, 0.0):8.2f}" for name in ("decode", "encode", "prefill", "generate", "loss")
        )
        whole = sum(stock.values()) / sum(parts.values())
        loss, rollout = stock["loss"] / parts["loss"], _rollout(stock) / _rollout(parts)
        print(
            f"  {result['variant']:7s} {shown}  peak {result['peak_gib']:6.2f} GiB"
            f"  loss {loss:5.2f}x  rollout {rollout:5.2f}x  step {whole:5.2f}x"
        )


def _rollout(parts: dict[str, float]) -> float:
    return parts.get("encode", 0.0) + parts["prefill"] + parts["generate"]


if __name__ == "__main__":
    main()
