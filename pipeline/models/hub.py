"""A model of the Hugging Face hub as a local folder: from the cache if it is whole there, else fetched.

Small files come first and weights last, so weights that are whole say that everything else is. Asking the hub for a
pinned commit that is already here would only cost time: without a network, 50 s of retries.
"""

import json
import os
from pathlib import Path

from pipeline.errors import ModelError

SMALL = ("*.json", "*.jinja", "*.txt", "*.model", "LICENSE*", "NOTICE*", "README.md")
WEIGHTS = ("*.safetensors",)


def hub_folder(name: str, revision: str) -> Path:
    """The folder of hub id `name` at `revision`, in the hub library's own cache. Safetensors, texts and JSON only.

    Raises:
        ModelError: the hub does not answer, refuses, or does not know it.
    """
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        cached = None
    if cached is not None and is_whole(cached):
        return cached
    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        for patterns in (SMALL, WEIGHTS):
            folder = snapshot_download(name, revision=revision, allow_patterns=list(patterns), endpoint=endpoint)
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ModelError(_advice(name, revision, error)) from error
    return Path(folder)


def is_whole(folder: Path) -> bool:
    """Whether all weights are there: the one file, or every shard that the index names."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return (folder / "model.safetensors").is_file()
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError):
        return False
    return bool(shards) and all((folder / str(shard)).is_file() for shard in shards)


def _advice(name: str, revision: str, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    where = f"{name} at {revision[:12]}"
    if status in (401, 403):
        return f"{where} is gated: accept its terms on the hub and run `hf auth login`"
    if status == 404:
        return f"{where} does not exist on the hub: correct prepare_model.hub.model or .revision"
    said = " ".join(str(error).split())[:200]
    return f"{where} is not whole in the cache and the hub is not reached ({type(error).__name__}: {said})"
