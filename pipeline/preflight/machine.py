"""Whether this machine has what the params ask for: a GPU, cores, optional packages, programs."""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pipeline.engine.options import engine_missing
from pipeline.params import Params
from pipeline.preflight.findings import Finding

DEVICE_STAGES = ("train_grpo", "evaluate_egoschema")


def check_devices(params: Params, root: Path) -> Iterator[Finding]:
    """A requested GPU must be there, and `auto` alone must not put a hub model on the CPU."""
    device, hub = params.machine.device, params.prepare_model.recipe == "hub"
    if device == "cpu" or (device == "auto" and not hub):
        return
    import torch  # takes seconds; not needed for the embedded default

    if torch.cuda.is_available():
        return
    found = "machine.device is cuda, but torch sees no CUDA device"
    if device == "auto":
        found = f"machine.device is auto and torch sees no GPU: {params.prepare_model.hub.model} would run on the CPU"
    mend = "run it on a GPU machine; if you really want the CPU, set machine.device: cpu"
    yield Finding("device", "fail", found, mend, DEVICE_STAGES, is_of_machine=True)


def check_cores(params: Params, root: Path) -> Iterator[Finding]:
    """Warn about more than two workers per core: they only take memory."""
    cores, workers = os.cpu_count() or 1, params.machine.workers
    if params.machine.executor == "processes" and workers > 2 * cores:
        yield Finding("cores", "warn", f"machine.workers is {workers}, on {cores} cores", f"set it to {cores}")


def check_engine(params: Params, root: Path) -> Iterator[Finding]:
    """The engine that a stage asks for is installed, with this version's pins."""
    missing = engine_missing(root / params.machine.engine.environment)
    asked = {
        "train_grpo": ("rollout", params.train_grpo.rollout),
        "evaluate_egoschema": ("backend", params.evaluate_egoschema.backend),
    }
    for stage, (setting, value) in asked.items():
        if value == "vllm" and missing:
            found = f"{stage}.{setting} is vllm: {missing}"
            yield Finding("engine", "fail", found, "run `make engine`", (stage,), is_of_machine=True)


def check_packages(params: Params, root: Path) -> Iterator[Finding]:
    """Optional packages and programs that the params need."""
    train = params.train_grpo
    needs = [
        ("flash_attn", train.attention == "flash_attention_2", "train_grpo.attention: flash_attention_2", "train_grpo"),
        ("peft", train.lora is not None, "train_grpo.lora", "train_grpo"),
        ("decord", params.extract_frames.decoder == "decord", "extract_frames.decoder: decord", "extract_frames"),
        ("ray", params.machine.executor == "ray", "machine.executor: ray", "extract_frames"),
    ]
    for package, is_needed, by, stage in needs:
        if is_needed and find_spec(package) is None:
            found, mend = f"{by} needs {package}, which is not installed", "install it, or change the setting"
            yield Finding("packages", "fail", found, mend, (stage,), is_of_machine=stage in DEVICE_STAGES)
    launcher = (params.machine.launch or "").split()[:1]
    if launcher and shutil.which(launcher[0]) is None:
        found = f"machine.launch: the program {launcher[0]} was not found"
        yield Finding(
            "launch", "fail", found, "install it, or correct the command", ("train_grpo",), is_of_machine=True
        )
