"""New data that DVC cannot see: a local source is a folder outside the project, not a dependency in dvc.yaml.

The flows keep a listing of every local source as it was when `download_videos` last finished; where it differs, the
stage is run again (it keeps what is already there, so only new files are read).
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from flows.project import Project
from pipeline.reports import write_json

_PATH_KEYS = ("folder", "questions")  # of a source in params.yaml that lead to files


def sources_changed(project: Project) -> str | None:
    """Which local source differs from what the last finished download saw, as a sentence; None where none does."""
    seen, now = _read(project), _listings(project)
    if not (project.root / "dvc.lock").is_file():  # the first run downloads anyway
        return None
    changed = [name for name in now if seen.get(name) != now[name]]
    return f"new or changed files in source {', '.join(changed)}" if changed else None


def sources_seen(project: Project, downloaded: bool) -> None:
    """Note the sources as they are, after `download_videos` is up to date with them."""
    if downloaded:
        write_json(project.private / "sources.json", _listings(project))


def _read(project: Project) -> dict[str, str]:
    try:
        listings: dict[str, str] = json.loads((project.private / "sources.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return listings


def _listings(project: Project) -> dict[str, str]:
    """Digest of names, sizes and times of the files of every local source of params.yaml, by source name."""
    params = yaml.safe_load((project.root / "params.yaml").read_text(encoding="utf-8")) or {}
    sources: dict[str, Any] = (params.get("download_videos") or {}).get("sources") or {}
    local = {
        name: source for name, source in sources.items() if isinstance(source, dict) and source.get("kind") == "local"
    }
    return {name: _digest(project.root, source) for name, source in sorted(local.items())}


def _digest(root: Path, source: dict[str, Any]) -> str:
    places = [root / str(source[key]) for key in _PATH_KEYS if source.get(key)]
    lines = sorted(line for place in places for line in _listing(place))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _listing(place: Path) -> Iterator[str]:
    for path in [place] if place.is_file() else place.rglob("*"):
        if path.is_file():
            stat = path.stat()
            yield f"{path} {stat.st_size} {stat.st_mtime_ns}"
