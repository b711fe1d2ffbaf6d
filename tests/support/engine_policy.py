"""A random policy that vLLM can run (head size 32), as a folder, and the options of an engine for it."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.engine.options import Options, engine_missing
from pipeline.models.policy import Policy, load_policy
from pipeline.params import VllmEngine
from tests.support.random_policy import make_random_policy

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-engine"
needs_engine = pytest.mark.skipif(
    bool(engine_missing(ENVIRONMENT)), reason="no engine installed beside this checkout: `make engine` makes one"
)


def make_engine_policy(folder: Path, seed: int = 0, width: int = 128) -> Policy:
    """Write a policy folder with all that an engine reads, and load it; four heads share `width`."""
    policy = make_random_policy(seed, width=width)
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    vision = policy.vision
    colours = {"image_mean": vision.image_mean, "image_std": vision.image_std}
    geometry = {name: getattr(vision, name) for name in ("patch_size", "temporal_patch_size", "merge_size")}
    kinds = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps({**colours, **geometry, **kinds}))
    return load_policy(folder)


def make_options(room: Path, answer_seconds: float = 120.0, **machine: float | str) -> Options:
    """An engine on CPU in float32, one thread."""
    values: dict[str, float | str] = {"environment": str(ENVIRONMENT), "max_model_len": 512}
    values |= {"gpu_memory_utilization": 0.4, "cpu_cache_gigabytes": 1} | machine
    torch.set_num_threads(1)
    room.mkdir(parents=True, exist_ok=True)
    settings = VllmEngine.model_validate(values)
    return Options(settings, "cpu", "float32", 1, room, start_seconds=240.0, answer_seconds=answer_seconds)
