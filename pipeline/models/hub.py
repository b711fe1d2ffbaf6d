"""A model of the Hugging Face hub as a local folder: from the cache if it is complete there, else fetched.

Small files are fetched first and weights last, so complete weights mean that everything else is there. Asking the
hub for a pinned commit that is already here would only waste time: without a network, 50 s of retries.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ModelError

SMALL = ("*.json", "*.jinja", "*.txt", "*.model", "LICENSE*", "NOTICE*", "README.md")
WEIGHTS = ("*.safetensors",)


def hub_folder(name: str, revision: str) -> Path:
    """The folder of hub id `name` at `revision`, in the hub library's own cache. Safetensors, texts and JSON only.

    Raises:
        ModelError: the hub does not answer, refuses access, or has no such model.
    """
    cached = _cached(name, revision)
    if cached is not None:
        return cached
    _fetch(name, revision, SMALL)
    return _fetch(name, revision, WEIGHTS)


def hub_small_folder(name: str, revision: str, seconds: float) -> Path:
    """As `hub_folder` without the weights (a few MB), if the hub answers within `seconds`.

    Raises:
        ModelError: as `hub_folder`.
    """
    cached = _cached(name, revision)
    if cached is not None:
        return cached
    _knock(name, revision, seconds)
    with _without_bars():
        return _fetch(name, revision, SMALL)


@contextmanager
def _without_bars() -> Iterator[None]:
    """No progress bars, for a few small files within a list of findings."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _cached(name: str, revision: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if is_whole(folder) else None


def _knock(name: str, revision: str, seconds: float) -> None:
    """Ask once with a short timeout; the library would retry for 50 s."""
    import httpx
    from huggingface_hub import constants
    from huggingface_hub.utils._headers import build_hf_headers

    if constants.HF_HUB_OFFLINE:
        raise ModelError(
            f"{name} at {revision[:12]} is incomplete in the cache, and HF_HUB_OFFLINE forbids asking the hub"
        )
    address = f"{os.environ.get('HF_ENDPOINT') or constants.ENDPOINT}/api/models/{name}/revision/{revision}"
    try:
        answer = httpx.get(address, headers=build_hf_headers(), timeout=seconds, follow_redirects=True)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ModelError(_advice(name, revision, error)) from error


def _fetch(name: str, revision: str, patterns: tuple[str, ...]) -> Path:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns), endpoint=endpoint))
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ModelError(_advice(name, revision, error)) from error


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
    return f"{where} is incomplete in the cache, and the hub cannot be reached ({type(error).__name__}: {said})"
