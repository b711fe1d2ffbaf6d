"""What is in a source's folder: every file is counted, used or not, with the reason."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from pipeline.sources.paths import VIDEO_SUFFIXES

PROXIES = frozenset({".lrv", ".glv", ".lrf"})
SPHERICAL = frozenset({".360", ".insv"})


@dataclass(frozen=True)
class Survey:
    """Relative paths of the videos, and of every other file by the reason why it is left out; each list sorted."""

    videos: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]]


def survey(folder: Path) -> Survey:
    """List every file below `folder` (by name; nothing is opened)."""
    return sort_out(files_below(folder), why_not)


def files_below(folder: Path) -> list[str]:
    """Every file by its relative path."""
    return [Path(at, name).relative_to(folder).as_posix() for at, _, names in os.walk(folder) for name in names]


def sort_out(names: Iterable[str], why_not_taken: Callable[[str], str | None]) -> Survey:
    """Separate the names that are used from those with a reason against them."""
    videos: list[str] = []
    left_out: dict[str, list[str]] = {}
    for name in sorted(names):
        reason = why_not_taken(name)
        (videos if reason is None else left_out.setdefault(reason, [])).append(name)
    return Survey(tuple(videos), {reason: tuple(names) for reason, names in sorted(left_out.items())})


@cache
def why_not(relative: str) -> str | None:
    """Why the file at a relative path is not used as a video; None if it is."""
    path = PurePosixPath(relative)
    suffix = path.suffix.lower()
    if path.name.startswith("._") or "__MACOSX" in path.parts:
        return "macOS metadata of another file (._)"
    if path.name.startswith("."):
        return "hidden"
    if suffix in PROXIES:
        return f"small copy that the camera made of another video ({suffix})"
    if suffix in SPHERICAL:
        return f"360 degree video: convert it to a flat one first ({suffix})"
    return None if suffix in VIDEO_SUFFIXES else f"not a video by its name ({suffix or 'no suffix'})"


def told_of(left_out: Mapping[str, Sequence[str]]) -> str:
    """One line: how many files of each reason, and the first of them."""
    return "; ".join(f"{len(names)} {reason}, first {names[0]}" for reason, names in left_out.items())
