"""Cached answers: one small file per batch, under a key of everything that determines them.

An interrupted evaluation resumes with the batch it was in. The base model answers once, however many policies are
compared with it. The key covers the model's files, the prompts, the frames' pixels, the decoding settings and code,
and the libraries' versions, so a cached answer is what would be computed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pipeline.models
from pipeline.files import write_json


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below `folder`, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def code_digest() -> str:
    """SHA-256 of the code and library versions that turn a prompt into an answer."""
    digest = hashlib.sha256(f"torch {version('torch')} transformers {version('transformers')}".encode())
    models = sorted(Path(pipeline.models.__file__).parent.glob("*.py"))
    for path in models:
        digest.update(path.read_bytes())
    return digest.hexdigest()


class ResponseCache:
    """A folder of answers by key; `used` are the keys looked up since it was opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()
        self.hits = 0

    def responses(
        self, content: Mapping[str, Any], compute: Callable[[], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """The answers kept under the digest of `content` (JSON types), else those of `compute`, which are then kept."""
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        self.used.add(key)
        path = self.folder / f"{key}.json"
        kept = _read(path)
        if kept is not None:
            self.hits += 1
            return kept
        answers = compute()
        write_json(path, answers)
        return answers

    def forget_unused(self) -> int:
        """Delete the files that this run did not use; returns how many."""
        stale = [p for p in sorted(self.folder.glob("*.json*")) if p.name.split(".")[0] not in self.used]
        for path in stale:
            path.unlink()
        return len(stale)


def _read(path: Path) -> list[dict[str, Any]] | None:
    """The answers in `path`; None if it is missing or incomplete (it is then made again)."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, list) and all(isinstance(item, dict) for item in kept) else None


def batches_by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in batches of at most `size` with similar lengths, longest first, so that running out of memory shows
    at once."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    return [order[i : i + size] for i in range(0, len(order), size)]
