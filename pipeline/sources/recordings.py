"""Which files are pieces or views of one recording, judged by their names: splits are kept apart by recording.

Each data set and camera has its own rule with a name, which the manifest and the dataset card show.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(frozen=True)
class Recording:
    """A recording's id and the rule that found it."""

    recording_id: str
    rule: str


Rule = Callable[[PurePosixPath], str | None]


def recording_of(name: str) -> Recording | None:
    """The recording that the file `name` (a relative path) is of, or None if no rule knows the name."""
    path = PurePosixPath(name)
    for rule, tell in RULES.items():
        found = tell(path)
        if found is not None:
            return Recording(found, rule)
    return None


def _stem(pattern: str, group: str) -> Rule:
    """The stem must match `pattern` from its start; `group` is the template of the recording's id."""
    compiled = re.compile(pattern)

    def tell(path: PurePosixPath) -> str | None:
        found = compiled.match(path.stem)
        return None if found is None else found.expand(group)

    return tell


def _chapters(pattern: str, group: str) -> Rule:
    """As `_stem`, for names that a camera reuses on every card: only files in one folder belong together."""
    tell = _stem(pattern, group)

    def tell_in_folder(path: PurePosixPath) -> str | None:
        found = tell(path)
        return None if found is None else (path.parent / found).as_posix()

    return tell_in_folder


def _uid_in_name(path: PurePosixPath) -> str | None:
    found = UUID.search(path.stem.lower())
    return found.group() if found else None


def _uid_of_folder(path: PurePosixPath) -> str | None:
    """The innermost folder with a uid: `<uid>/split_3.mp4` is a piece of `<uid>`."""
    found = (UUID.search(part.lower()) for part in reversed(path.parts[:-1]))
    return next((uid.group() for uid in found if uid), None)


_LEMMA = re.compile(r"(.+)[/_](?:fpv|P)[12]")


def _lemma(path: PurePosixPath) -> str | None:
    """What two wearers of LEMMA recorded together: `<recording>/fpv1`, `<recording>_P2`."""
    found = _LEMMA.fullmatch(path.with_suffix("").as_posix())
    return found.group(1) if found else None


def _charades(path: PurePosixPath) -> str | None:
    """`<id>EGO.mp4` and `<id>.mp4` show one performance, from both sides."""
    found = re.fullmatch(r"([A-Z0-9]{5})(EGO)?", path.stem)
    inside = any("charades" in part.lower() for part in path.parts[:-1])
    return found.group(1) if found and (found.group(2) or inside) else None


def _ego_exo4d(path: PurePosixPath) -> str | None:
    """All cameras of a take: `takes/<take>/frame_aligned_videos/...`."""
    parts = path.parts
    at = parts.index("frame_aligned_videos") if "frame_aligned_videos" in parts else 0
    return parts[at - 1] if at else None


RULES: dict[str, Rule] = {
    "Ego4D or EgoExoLearn uid in the name": _uid_in_name,
    "EPIC-KITCHENS video": _stem(r"(P\d\d_\d{2,3})(?!\d)", r"\1"),
    "Ego4D uid of the folder": _uid_of_folder,
    "Ego-Exo4D take": _ego_exo4d,
    "EGTEA session": _stem(r"(O?P\d{2}-R\d{2}-[A-Za-z]+)(?:-\d+)*", r"\1"),
    "EgoLife hour (six wearers together)": _stem(r"(DAY\d+)_A\d_[A-Z]+_(\d{2})\d{6}$", r"EgoLife_\1_\2h"),
    "EgoLife day (six wearers together)": _stem(r"(DAY\d+)_A\d_[A-Z]+$", r"EgoLife_\1"),
    "Charades-Ego performance": _charades,
    "GoPro chapters": _chapters(r"G([HXS])\d{2}(\d{4})$", r"GoPro_G\1_\2"),
    "GoPro chapters (HERO5 and older)": _chapters(r"(?:GOPR|GP\d{2})(\d{4})$", r"GoPro_GP_\1"),
    "LEMMA recording (two wearers)": _lemma,
}
"""Name of the rule -> the rule; the first that knows a name counts."""
