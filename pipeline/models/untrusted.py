"""A model folder from anywhere: refuse pickles and code before any library opens them."""

import json
from pathlib import Path

from pipeline.errors import ModelError

# Pickles run code when loaded; Python files and shared objects are code.
REFUSED = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".py", ".pyc", ".so"}
)
_MOST_BYTES = 64 << 20  # of a JSON file; Qwen's tokenizer.json has 7 MB


def refuse_code(folder: Path) -> None:
    """Check a local folder. A hub id (no such folder) passes, because only named safetensors and JSON files are
    fetched.

    Raises:
        ModelError: the folder contains pickles or code, or one of its JSON files points to code (`auto_map`).
    """
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.suffix.lower() in REFUSED:
            raise ModelError(
                f"{folder} contains {path.relative_to(folder)}: pickles and code are never loaded; keep only the "
                ".safetensors and .json files (of a Trainer's checkpoint: the model files without optimizer and state)"
            )
        if path.suffix.lower() == ".json" and path.is_file():
            _refuse_auto_map(path)


def _refuse_auto_map(path: Path) -> None:
    if path.stat().st_size > _MOST_BYTES:
        raise ModelError(f"{path} has {path.stat().st_size} bytes, too many for a settings file of a model")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON ({type(error).__name__}: {str(error)[:100]})") from error
    if isinstance(content, dict) and content.get("auto_map"):
        raise ModelError(f"{path} points to its own Python code (auto_map), which egovlm never runs: remove the key")
