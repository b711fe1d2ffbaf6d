"""A model folder from anywhere: what would run code or hold objects is refused before any library opens it."""

import json
from pathlib import Path

from pipeline.errors import ModelError

# Pickles run code when loaded; Python files and shared objects are code.
REFUSED = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".py", ".pyc", ".so"}
)
_MOST_BYTES = 64 << 20  # of a JSON file; Qwen's tokenizer.json has 7 MB


def refuse_code(folder: Path) -> None:
    """Check a local folder; a hub id (no such folder) passes, for only named safetensors and JSON files are fetched.

    Raises:
        ModelError: the folder holds pickles or code, or a JSON file of it points to code (`auto_map`).
    """
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.suffix.lower() in REFUSED:
            raise ModelError(
                f"{folder} holds {path.relative_to(folder)}: pickles and code are not loaded; keep the .safetensors "
                "and .json files only (a Trainer's checkpoint: its model files without optimizer and state)"
            )
        if path.suffix.lower() == ".json" and path.is_file():
            _refuse_auto_map(path)


def _refuse_auto_map(path: Path) -> None:
    if path.stat().st_size > _MOST_BYTES:
        raise ModelError(f"{path} has {path.stat().st_size} bytes: no file of a model's settings is so large")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON ({type(error).__name__}: {str(error)[:100]})") from error
    if isinstance(content, dict) and content.get("auto_map"):
        raise ModelError(f"{path} points to Python code of its own (auto_map): egovlm runs none; remove the key")
