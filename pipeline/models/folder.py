"""A model's folder: the precision of its stored weights, and the small files that belong to it."""

import shutil
from pathlib import Path

import torch
from safetensors import safe_open

from pipeline.errors import ModelError
from pipeline.models.hub import SMALL, WEIGHTS

_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}
_INDEX = "model.safetensors.index.json"


def stored_dtype(folder: Path) -> torch.dtype:
    """The precision in which most weights of a folder are stored.

    Raises:
        ModelError: it has no floating-point safetensors.
    """
    counts: dict[torch.dtype, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                dtype = _DTYPES.get(file.get_slice(name).get_dtype())
                if dtype is not None:
                    counts[dtype] = counts.get(dtype, 0) + 1
    if not counts:
        raise ModelError(f"{folder} has no weights in safetensors")
    return max(counts, key=lambda dtype: counts[dtype])


def copy_whole(source: Path, target: Path) -> None:
    """Weights and small files (JSON, templates, licence, card), byte for byte."""
    _copy(source, target, (*SMALL, *WEIGHTS), frozenset())


def copy_small(source: Path, target: Path, leave: frozenset[str]) -> None:
    """Copy every small file unchanged, except those named and the index of shards."""
    _copy(source, target, SMALL, leave | {_INDEX})


def _copy(source: Path, target: Path, patterns: tuple[str, ...], leave: frozenset[str]) -> None:
    names = {path.name for pattern in patterns for path in source.glob(pattern) if path.is_file()}
    for name in sorted(names - leave):
        shutil.copyfile(source / name, target / name)
