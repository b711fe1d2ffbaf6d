"""Disk and GPU memory needs, computed in decimal GB. Only the activations of a step are a rough estimate.

Full training keeps float32 weights, gradients and two Adam moments (4 + 4 + 8 bytes per weight); `dtype: bfloat16` adds
autocast's copies. `weights: bfloat16` halves all of it (2 + 2 + 4) and needs no copies. A rollout keeps keys and
values of every completion, but no gradients exist at that time.
"""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.layout import CHECKPOINTS, MODELS
from pipeline.params import Params
from pipeline.preflight.findings import Finding
from pipeline.preflight.model import BaseModel

GB = 1e9
ACTIVATION_GB = 3.0  # of one question's group with recomputation: estimated, not measured
TEXT_TOKENS = 400  # of a prompt without its video; the average over 300 EgoSchema questions is 362
HEADROOM = 0.1  # share of the card: fragmentation, cuBLAS, the driver
FRAME_BYTES_PER_PIXEL = 0.47  # JPEG at quality 95: 1.5 MB for 32 frames of 100,352 pixels


def gpu_memory(base: BaseModel, params: Params) -> dict[str, float]:
    """GB on the card in a training step, by purpose; the step's maximum is `peak`."""
    settings, size = params.train_grpo, 2 if params.train_grpo.dtype == "bfloat16" else 4
    frozen = base.vision_parameters if settings.freeze_vision else 0
    trained = base.parameters - frozen
    if settings.lora is not None:
        trained = base.adapter_parameters(settings.lora)
    each = 2 if settings.weights == "bfloat16" else 4  # bytes of a trained weight, of its gradient and of each moment
    parts = {
        "weights": each * base.parameters if settings.lora is None else size * base.parameters + 4 * trained,
        "gradients": each * trained,
        "Adam": 2 * each * trained,
        "autocast copies": 2 * trained if size < each else 0,
        "reference model": size * base.parameters if settings.beta and settings.lora is None else 0,
    }
    found = {name: count / GB for name, count in parts.items() if count}
    rows = settings.prompts_per_step * settings.num_generations
    tokens = prompt_tokens(params) + settings.max_completion_length
    found["keys and values"] = 2 * base.layers * base.kv_heads * base.head_size * size * rows * tokens / GB
    found["activations"] = ACTIVATION_GB
    passing = max(found["gradients"] + ACTIVATION_GB, found["keys and values"])
    steady = sum(v for k, v in found.items() if k not in ("gradients", "keys and values", "activations"))
    return found | {"peak": steady + passing}


def prompt_tokens(params: Params) -> int:
    """Approximate tokens of a prompt with one clip; two frames make one temporal step of the video, and a square of
    `size_multiple` pixels one token."""
    frames = params.extract_frames
    return math.ceil(frames.frames_per_clip / 2) * (frames.max_pixels // frames.size_multiple**2) + TEXT_TOKENS


def disk(base: BaseModel, params: Params) -> dict[str, float]:
    """GB that a run writes in addition to its videos and frames. DVC's cache holds a second copy of every product."""
    settings = params.train_grpo
    frozen = base.vision_parameters if settings.freeze_vision else 0
    trained = base.parameters - frozen if settings.lora is None else base.adapter_parameters(settings.lora)
    each = 2 if settings.weights == "bfloat16" else 4
    weights = each * (base.parameters if settings.lora is None else trained) / GB
    whole = params.machine.keep_checkpoints + 1  # the one being written
    return {
        "base": 3 * 2 * base.parameters / GB,  # the hub's cache, data/models/base, DVC's cache
        "policy": 2 * 2 * base.parameters / GB,
        f"{whole} checkpoints": whole * (weights + 2 * each * trained / GB),
        "best weights": weights,  # the best checkpoint is kept without its optimizer
    }


def check_gpu_memory(params: Params, root: Path, base: BaseModel) -> Iterator[Finding]:
    """A training step's need compared with the card's memory; without a card, only the need."""
    import torch

    if params.machine.launch is not None:
        yield Finding(
            "gpu memory",
            "info",
            f"not checked: machine.launch spreads the model over several processes ({_launcher(params)})",
        )
        return
    need = gpu_memory(base, params)
    told = f"training needs about {need['peak']:.0f} GB ({_parts(need)})"
    if not torch.cuda.is_available():
        yield Finding("gpu memory", "info", told)
        return
    card = torch.cuda.get_device_properties(0).total_memory / GB
    if need["peak"] > card:
        mend = (
            "set train_grpo.weights: bfloat16 or train_grpo.lora, fewer prompts_per_step, or launch over several GPUs"
        )
        yield Finding(
            "gpu memory", "fail", f"{told}, the card has {card:.0f}", mend, ("train_grpo",), is_of_machine=True
        )
    elif need["peak"] > (1 - HEADROOM) * card:
        yield Finding("gpu memory", "warn", f"{told}, the card has {card:.0f}", "this is tight: see docs/scaling.md")
    else:
        yield Finding("gpu memory", "ok", f"{told}, the card has {card:.0f}")


def check_disk(params: Params, root: Path, base: BaseModel) -> Iterator[Finding]:
    """What models and checkpoints need compared with the free space. Frames are given per clip, since clips are not
    counted yet."""
    need = disk(base, params)
    total = sum(need.values())
    free, taken = shutil.disk_usage(root).free / GB, _taken(root) / GB
    frames = params.extract_frames
    clip = 2 * frames.frames_per_clip * frames.max_pixels * FRAME_BYTES_PER_PIXEL / 1e6
    told = (
        f"{free:.0f} GB free; models need about {total:.0f} GB ({_parts(need)}) and frames up to {clip:.1f} MB per clip"
    )
    if free + taken < total:
        mend = (
            "free some space, lower machine.keep_checkpoints, or point `dvc cache dir` and data/checkpoints elsewhere"
        )
        yield Finding("disk", "fail", told, mend, ("prepare_model",), is_of_machine=True)
    else:
        yield Finding("disk", "ok", told)


def _taken(root: Path) -> int:
    """Bytes of an earlier run's models and checkpoints: the new ones replace them."""
    files = (path for folder in (MODELS, CHECKPOINTS) for path in (root / folder).rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())


def _parts(amounts: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in amounts.items() if name != "peak")


def _launcher(params: Params) -> str:
    return str(params.machine.launch).split()[0]
