"""What records the champion besides its tags.

Tags alone are easily lost: `fetch.prune=true` deletes those that a remote lacks, and a shallow clone brings none. The
next model would then be promoted as "the first one". So every tag of the registry has a second ref that no fetch
touches, and every promotion is a line in champions.jsonl, a file to commit:

    {"number": 1, "champion": "v1.0.0", "commit": "3f2c...", "on": "2026-11-26"}
    {"number": 2, "champion": null, "on": "2026-11-27"}                             forgotten deliberately

A missing tag is restored from its second ref. If the file or a remote names a champion that cannot be restored, it is
unresolvable, never "none yet".
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flows.dvc.project import Project
from flows.promotion.registry import (
    FORGET,
    MODEL,
    REFSPEC,
    STAGE,
    ChampionUnresolvable,
    Version,
    champion,
    events,
    forget_champions,
    is_forgetting,
    number_of,
    registry_tags,
    versions,
)
from pipeline.errors import StageError
from pipeline.files import write_text

RECORD = "champions.jsonl"
SECOND = "refs/egovlm/registry"  # in no default refspec of git: fetches do not prune it, clones do not copy it
ASK_SECONDS = 15.0


@dataclass(frozen=True)
class ChampionLine:
    """One line of champions.jsonl: the champion tag's number, and version and commit (None: forgotten)."""

    number: int
    version: str | None
    commit: str | None
    on: str = field(default="", compare=False)  # the day


def known_champion(project: Project, say: Callable[[str], object]) -> Version | None:
    """The champion according to everything that records one; None if there never was one, or it was forgotten.

    Args:
        say: called with what was restored.

    Raises:
        ChampionUnresolvable: there was one, but this checkout cannot say which, or no longer has it.
    """
    back = restore_tags(project)
    if back:
        say(f"git had lost {', '.join(back)} (a fetch that prunes?): restored")
    _refuse_missing(project)
    found = champion(project)
    if found is None and not _lines(project):
        _ask_remotes(project, say)
    return found


def restore_tags(project: Project) -> list[str]:
    """Restore every tag of the registry that was recorded and is missing; returns their names."""
    kept, here = _second(project), registry_tags(project)
    lost = sorted(tag for tag in kept if tag not in here)
    for tag in lost:
        project.git("update-ref", f"refs/tags/{tag}", kept[tag])
    return lost


def remember(project: Project) -> None:
    """Give every tag of the registry its second ref, and every champion tag its line in champions.jsonl."""
    tags, kept = registry_tags(project), _second(project)
    for tag, target in tags.items():
        if kept.get(tag) != target:
            project.git("update-ref", f"{SECOND}/{tag}", target)
    lines, here = _lines(project), {line.number: line for line in _lines_of_tags(project)}
    kept_lines = [line for line in lines if line.number not in here]  # the tags decide what a number means
    if set(lines) != {*kept_lines, *here.values()}:
        _write(project, [*kept_lines, *here.values()])


def unremember(project: Project, tags: Iterable[str]) -> None:
    """Forget tags that were withdrawn here because a remote has different ones with these names."""
    gone = set(tags)
    for tag in gone & set(_second(project)):
        project.git("update-ref", "-d", f"{SECOND}/{tag}")
    numbers = {number_of(tag) for tag in gone} - {0}
    lines = _lines(project)
    if any(line.number in numbers for line in lines):
        _write(project, [line for line in lines if line.number not in numbers])


def forget(project: Project) -> list[Version]:
    """Start again without a champion, on this machine; returns the versions that were champion. A champion that
    cannot be resolved, because no tag is left, is forgotten too."""
    restore_tags(project)
    out = forget_champions(project)
    tags = events(project)
    if tags and not is_forgetting(tags[-1]):  # names no version, so GTO has nothing to remove
        project.git("tag", "--delete", tags[-1])
        unremember(project, [tags[-1]])
    remember(project)
    lines = _lines(project)
    if not lines or lines[-1].commit is not None:
        number = max((line.number for line in lines), default=0) + 1
        _write(project, [*lines, ChampionLine(number, None, None, time.strftime("%Y-%m-%d", time.gmtime()))])
    return out


def _refuse_missing(project: Project) -> None:
    here = {number_of(tag) for tag in events(project)}
    for line in _since_forgotten(_lines(project)):
        if line.number not in here:
            raise ChampionUnresolvable(
                f"{RECORD} names {line.version} ({str(line.commit)[:10]}) as champion, but the tag "
                f"{MODEL}#{STAGE}#{line.number} is not here: `git fetch REMOTE '{REFSPEC}'` from a remote that has it, "
                f"{FORGET}"
            )


def _since_forgotten(lines: list[ChampionLine]) -> list[ChampionLine]:
    last = max((line.number for line in lines if line.commit is None), default=0)
    return [line for line in lines if line.number > last]


def _ask_remotes(project: Project, say: Callable[[str], object]) -> None:
    """Nothing here records a champion: make sure that no remote does (a shallow clone brings no tags)."""
    for remote in project.git("remote").split():
        try:
            pattern = f"refs/tags/{MODEL}#{STAGE}#*"
            found = project.git("ls-remote", "--refs", remote, pattern, seconds=ASK_SECONDS).splitlines()
        except StageError:
            say(f"{remote} does not answer: it is unknown whether it has a champion")
            continue
        if found:
            tag = found[-1].split("refs/tags/")[1]
            raise ChampionUnresolvable(
                f"{remote} has a champion ({tag}) that this checkout lacks: "
                f"`git fetch {remote} '{REFSPEC}'` brings it, {FORGET}"
            )


def _second(project: Project) -> dict[str, str]:
    lines = project.git("for-each-ref", "--format=%(refname) %(objectname)", f"{SECOND}/").splitlines()
    return {ref.removeprefix(f"{SECOND}/"): target for ref, target in (line.split() for line in lines)}


def _lines_of_tags(project: Project) -> list[ChampionLine]:
    """The champion tags as lines, in order."""
    names = {version.commit: version.name for version in versions(project)}
    lines = []
    for tag in events(project):
        day = project.git("for-each-ref", "--format=%(creatordate:short)", f"refs/tags/{tag}")
        commit = None if is_forgetting(tag) else project.git("rev-parse", f"{tag}^{{commit}}")
        lines.append(ChampionLine(number_of(tag), names.get(commit or ""), commit, day))
    return lines


def _lines(project: Project) -> list[ChampionLine]:
    """champions.jsonl.

    Raises:
        ChampionUnresolvable: it cannot be read (for example, it holds merge conflict markers).
    """
    path = project.root / RECORD
    if not path.is_file():
        return []
    try:
        rows = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text]
        lines = [ChampionLine(row["number"], row["champion"], row.get("commit"), row.get("on", "")) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ChampionUnresolvable(
            f"{RECORD} cannot be read ({error}): expected one JSON object per line; after a merge keep the lines of "
            "both sides"
        ) from error
    return sorted(lines, key=_number)


def _number(line: ChampionLine) -> int:
    return line.number


def _write(project: Project, lines: Iterable[ChampionLine]) -> None:
    rows = []
    for line in sorted(set(lines), key=_number):
        named = {"champion": line.version} | ({"commit": line.commit} if line.commit else {})
        rows.append({"number": line.number, **named, "on": line.on})
    write_text(project.root / RECORD, "".join(json.dumps(row) + "\n" for row in rows))
