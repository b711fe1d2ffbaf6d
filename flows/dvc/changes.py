"""New data that DVC cannot see: a source's folder and lists may lie outside the project, so dvc.yaml cannot list them.

The flows keep a listing of every source's files from when `download_videos` last finished. If it differs, the stage
runs again. It keeps what it already has, so only new files are read.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from flows.dvc.project import Project
from pipeline.files import write_json
from pipeline.params import load_params
from pipeline.sources.registry import build_sources


def sources_changed(project: Project) -> str | None:
    """Which sources' files differ from what the last finished download saw, as a sentence; None if none do."""
    seen, now = _noted(project), read_sources(project)
    if not (project.root / "dvc.lock").is_file():  # the first run downloads anyway
        return None
    changed = [name for name in now if seen.get(name) != now[name]]
    return f"new or changed files in source {', '.join(changed)}" if changed else None


def note_sources(project: Project, listings: Mapping[str, str]) -> None:
    """Record what `download_videos` has seen. `listings` is read *before* the run: files that arrive during a run
    (hours, with training) belong to the next one."""
    write_json(_note(project), {**_all_noted(project), _params_digest(project): dict(listings)})


def _noted(project: Project) -> dict[str, str]:
    """One file per set of download params: for params used before, DVC restores what they produced *then*."""
    return _all_noted(project).get(_params_digest(project), {})


def _all_noted(project: Project) -> dict[str, dict[str, str]]:
    try:
        notes: dict[str, dict[str, str]] = json.loads(_note(project).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes


def _note(project: Project) -> Path:
    return project.private / "seen_sources.json"


def _params_digest(project: Project) -> str:
    section = json.dumps(_download_params(project), sort_keys=True, default=str)
    return hashlib.sha256(section.encode()).hexdigest()[:16]


def _download_params(project: Project) -> dict[str, Any]:
    params = yaml.safe_load((project.root / "params.yaml").read_text(encoding="utf-8")) or {}
    return params.get("download_videos") or {}


def read_sources(project: Project) -> dict[str, str]:
    """By source name, a digest of names, sizes and times of the files it reads. Sources that read no local files are
    left out."""
    places = _source_places(project)
    return {name: _digest(named) for name, named in places.items() if named}


def source_paths(project: Project) -> set[Path]:
    """Every file and folder from which a source of params.yaml may read on this machine."""
    return {place for named in _source_places(project).values() for place in named}


def _source_places(project: Project) -> dict[str, list[Path]]:
    """What each source reports; a relative path starts at the project's folder."""
    sources = build_sources(load_params(project.root / "params.yaml"))
    return {source.name: [project.root / path for path in source.local_paths()] for source in sources}


def _digest(places: Sequence[Path]) -> str:
    lines = sorted(line for place in set(places) for line in _listing(place))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _listing(place: Path) -> Iterator[str]:
    for path in [place] if place.is_file() else place.rglob("*"):
        with contextlib.suppress(OSError):  # removed while we look
            if path.is_file():
                stat = path.stat()
                yield f"{path} {stat.st_size} {stat.st_mtime_ns}"
