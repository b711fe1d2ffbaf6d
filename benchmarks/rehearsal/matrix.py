"""Launchers x precision x LoRA on the training stage alone, and a `kill -9` in the middle of each launcher's training.

Every cell trains a few steps on the rehearsal's own data. In float32, killed and resumed has to give the weights of an
uninterrupted run, bit by bit.
"""

import json
import socket
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.rehearsal.cells import Cell
from benchmarks.rehearsal.place import Failed, LeftOut, Place
from pipeline.grpo.launch import launcher_command
from pipeline.layout import BASE, DATASET, FRAMES, KEYFRAMES, POLICY

STEPS, KILLED_AT = 4, 2
SMALL = {
    "max_steps": STEPS,
    "prompts_per_step": 2,
    "num_generations": 2,
    "gradient_accumulation_steps": 1,
    "max_completion_length": 12,
    "dev_questions": 0,
}
LORA = {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"]}
CONFIGS = {"fsdp2": "fsdp2_gpu", "zero2": "zero2_gpu", "zero3": "zero3_gpu"}
LAUNCHERS = ("one process", "torchrun", *CONFIGS)


def step_of(launcher: str) -> Callable[[Place], dict[str, Any]]:
    """The work of the step that rehearses one launcher."""
    return lambda place: rehearse_launcher(place, launcher)


def rehearse_launcher(place: Place, launcher: str) -> dict[str, Any]:
    """All cells of a launcher, then killed and resumed; a table of what came out.

    Raises:
        LeftOut: DeepSpeed is not installed, or there is no GPU for FSDP2.
        Failed: a cell broke, or the resumed weights are not those of the uninterrupted run.
    """
    if launcher.startswith("zero") and find_spec("deepspeed") is None:
        raise LeftOut("DeepSpeed is not installed (`pip install deepspeed`)")
    if launcher == "fsdp2" and not torch.cuda.is_available():
        raise LeftOut("accelerate starts FSDP2 on GPUs only: on CPU processes this would be DDP under its name")
    folder = place.root / "matrix" / launcher.replace(" ", "_")
    cells = []
    for dtype in ("bfloat16", "float32"):
        for lora in (False, True):
            name = f"{dtype}{'-lora' if lora else ''}"
            cells.append(Cell(name, str(_folder(place, folder / name, dtype, lora))))
    cut = str(_folder(place, folder / "cut", "float32", False))
    cells += [Cell("killed", cut, KILLED_AT), Cell("resumed", cut)]
    plan = folder / "cells.json"
    plan.write_text(json.dumps([asdict(cell) for cell in cells]), "utf-8")
    place.run(*_command(place, launcher, folder, str(plan)), cwd=place.project)
    table = {cell.name: _outcome(cell) for cell in cells}
    wrong = [f"{name}: {row['outcome']}" for name, row in table.items() if row["outcome"].startswith("broke")]
    if table["killed"]["outcome"] != "killed":
        wrong.append(f"killed: {table['killed']['outcome']}")
    whole, again = (_weights(Path(path) / POLICY) for path in (folder / "float32", cut))
    differ = sorted(name for name in whole if not bool((whole[name] == again[name]).all()))
    moved = _distance(whole, _weights(_base32(place)))
    if differ or not moved:
        wrong.append(f"resumed: {len(differ)} tensors differ from the uninterrupted run; training moved {moved:.1e}")
    if wrong:
        raise Failed("; ".join(wrong))
    facts: dict[str, Any] = {launcher: table, "largest change of a float32 weight": moved}
    one = place.root / "matrix/one_process/float32" / POLICY
    if launcher != "one process" and one.is_dir():
        facts["largest difference from one process"] = _distance(whole, _weights(one))
    return facts | {"resumed after kill -9": "the weights of the uninterrupted run, bit by bit"}


def _folder(place: Place, folder: Path, dtype: str, lora: bool) -> Path:
    """A project of one training: links to the rehearsal's products and params of its own."""
    models = folder / Path(BASE).parent
    models.mkdir(parents=True, exist_ok=True)
    base = place.project / BASE if dtype == "bfloat16" else _base32(place)
    links = {name: place.project / name for name in (DATASET, KEYFRAMES, FRAMES)} | {BASE: base}
    for name, target in links.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)
    params = place.params()
    params["train_grpo"] |= SMALL | {"dtype": dtype, "lora": LORA if lora else None}
    params["train_grpo"]["difficulty"]["samples"] = 0
    params["machine"] |= {"save_steps": 1, "keep_checkpoints": STEPS}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
    return folder


def _base32(place: Place) -> Path:
    """The base in float32: a policy is written in its base's precision, which would round small changes away."""
    folder = place.root / "matrix/base32"
    if not (folder / "config.json").is_file():
        from transformers import AutoTokenizer

        from pipeline.models.families import FAMILIES

        base, family = place.project / BASE, FAMILIES[place.family]
        model = family.loader.from_pretrained(base, dtype=torch.float32)
        AutoTokenizer.from_pretrained(base).save_pretrained(folder)
        for name in family.files:
            (folder / name).write_bytes((base / name).read_bytes())
        model.save_pretrained(folder)
    return folder


def _command(place: Place, launcher: str, folder: Path, plan: str) -> list[str]:
    """The command of one launcher over two CPU processes, with the repository's own configuration."""
    if launcher == "one process":
        return ["python", "-m", "benchmarks.rehearsal.cells", plan]
    if launcher == "torchrun":
        words = f"torchrun --nproc_per_node 2 --master_port {_port()}"
    else:
        config = yaml.safe_load((place.project / f"configs/{CONFIGS[launcher]}.yaml").read_text("utf-8"))
        config |= {"num_processes": 2, "use_cpu": True, "mixed_precision": "bf16", "main_process_port": _port()}
        path = folder / "accelerate.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        words = f"accelerate launch --config_file {path}"
    return [*launcher_command(words, "benchmarks.rehearsal.cells"), plan]


def _port() -> int:
    """A free port; the cells use those just above it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return min(int(free.getsockname()[1]), 60_000)


def _outcome(cell: Cell) -> dict[str, Any]:
    folder = Path(cell.folder)
    codes = [int(path.read_text("utf-8")) for path in sorted(folder.glob(f"{cell.name}.[0-9]"))]
    reason = folder / f"{cell.name}.reason"
    said = " ".join(reason.read_text("utf-8").split()) if reason.is_file() else ""
    if codes and not any(codes):
        values = json.loads((folder / f"{cell.name}.json").read_text("utf-8"))
        return {"outcome": "ok", "steps": values["steps"], "note": ""}
    if cell.kill_at is not None and -9 in codes:
        return {"outcome": "killed", "steps": cell.kill_at, "note": said}
    if codes and set(codes) == {3}:
        return {"outcome": "refused", "steps": 0, "note": said}
    return {"outcome": f"broke ({codes})", "steps": 0, "note": said}


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: weight for file in sorted(folder.glob("*.safetensors")) for name, weight in load_file(file).items()}


def _distance(left: dict[str, Any], right: dict[str, Any]) -> float:
    return max(float((left[name].float() - right[name].float()).abs().max()) for name in left.keys() & right.keys())
