"""The model registry: GTO's git tags on experiment commits (`dvc artifacts get . egovlm-policy --stage champion`).

egovlm-policy@v3.0.0         version 3 is this commit (its dvc.lock names the weights)
egovlm-policy#champion#4     the fourth time a champion was named; the last one counts

The champion tags in order are a history that can be undone: naming a new version comes on top of a pile, naming one
that lies in the pile (a rollback) takes off what lies above it. What was taken off has been withdrawn.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gto.api
from gto.exceptions import GTOException

from flows.dvc.project import Project
from pipeline.errors import StageError

MODEL = "egovlm-policy"
STAGE = "champion"
_ASSIGNED = re.compile(rf"{MODEL}#{STAGE}#(\d+)")


class ChampionUnresolvable(StageError):
    """There is a champion but what it is cannot be found out: nothing may replace it then."""


@dataclass(frozen=True)
class Version:
    """A registered model: `name` such as `v2.0.0`, and the commit whose dvc.lock describes it."""

    name: str
    commit: str


def fetch_registry(project: Project) -> None:
    """Learn what others registered.

    Raises:
        ChampionUnresolvable: the git remote cannot be asked.
    """
    remote = project.git_remote()
    if remote is None:
        return
    try:
        project.git("fetch", "--quiet", remote, f"refs/tags/{MODEL}*:refs/tags/{MODEL}*")
    except StageError as error:
        raise ChampionUnresolvable(f"the champion is not known: {error}") from error


def champion(project: Project) -> Version | None:
    """The model that is champion now; None where none ever was.

    Raises:
        ChampionUnresolvable: there are champion tags, but GTO does not resolve them to one commit that is here.
    """
    tags = assignments(project)
    if not tags:
        return None
    commit, shown = _commit_of(project, tags[-1]), _shown_by_gto(project)
    version = next((v for v in versions(project) if v.commit == commit), None)
    if version is None or shown != commit:
        raise ChampionUnresolvable(
            f"tag {tags[-1]} and `gto show '{MODEL}#{STAGE}'` do not agree on a registered version"
        )
    return version


def _shown_by_gto(project: Project) -> str | None:
    """Commit of what `gto show 'NAME#champion'` shows first. (GTO's `find_versions_in_stage` gives the highest version,
    which after a rollback is the wrong one.)"""
    try:
        shown = gto.api.show(str(project.root), name=f"{MODEL}#{STAGE}")
    except GTOException:
        return None
    return next((str(version["commit_hexsha"]) for version in shown), None)


def assignments(project: Project) -> list[str]:
    """Champion tags, oldest first."""
    tags = project.git("tag", "--list", f"{MODEL}#{STAGE}#*").split()
    return sorted(tags, key=_number)


def _number(tag: str) -> int:
    match = _ASSIGNED.fullmatch(tag)
    return int(match.group(1)) if match else 0


def register_champion(project: Project, commit: str, card: str) -> Version:
    """Make `commit` champion, here and on the git remote: as a new version with the model card as its tag's message,
    where it has none yet.

    Raises:
        StageError: the remote did not take it (somebody registered meanwhile): nothing is changed here then.
    """
    with _all_or_nothing(project):
        known = versions(project)
        version = next((v for v in known if v.commit == commit), None)
        if version is None:
            number = max((_order(v)[0] for v in known), default=0) + 1
            version = Version(f"v{number}.0.0", commit)
            _gto(gto.api.register, project, ref=commit, version=version.name, message=card)
        _assign(project, version, f"{version.name} is champion")
        push_registry(project)
    return version


@contextmanager
def _all_or_nothing(project: Project) -> Iterator[None]:
    """Tags made in the block are taken back where it fails: one that only this machine has would stand in the way of
    the remote's own tag of that name for ever."""
    before = set(_tags(project))
    try:
        yield
    except StageError:
        made = [tag for tag in _tags(project) if tag not in before]
        if made:
            project.git("tag", "--delete", *made)
        raise


def _tags(project: Project) -> list[str]:
    return project.git("tag", "--list", f"{MODEL}[@#]*").split()


def versions(project: Project) -> list[Version]:
    """Every registered version, in order."""
    tags = project.git("tag", "--list", f"{MODEL}@v*").split()
    found = [Version(tag.partition("@")[2], _commit_of(project, tag)) for tag in tags]
    return sorted(found, key=_order)


def roll_back(project: Project, to: str | None = None) -> Version:
    """Make an earlier champion champion again, here and on the git remote: version `to`, or the one that the present
    champion replaced. Withdrawn versions are passed over.

    Raises:
        StageError: there is no such champion, or the remote did not take it.
    """
    present, ever = champion(project), {version.name: version for version in past_champions(project)}
    if to is not None:
        if to not in ever:
            raise StageError(f"{to} never was champion; champions: {', '.join(ever) or 'none'}")
        chosen = ever[to]
    else:
        before = pile(project)[:-1]
        if not before:
            name = present.name if present else "the first one"
            raise StageError(f"no champion came before {name}: there is nothing to go back to")
        chosen = before[-1]
    if chosen == present:
        raise StageError(f"{chosen.name} is champion already")
    with _all_or_nothing(project):
        _assign(project, chosen, f"rolled back to {chosen.name}")
        push_registry(project)
    return chosen


def pile(project: Project) -> list[Version]:
    """The champion (last) and, below it, what a rollback would bring back, step by step."""
    by_commit = {version.commit: version for version in versions(project)}
    standing: list[Version] = []
    for tag in assignments(project):
        version = by_commit.get(_commit_of(project, tag))
        if version is None:
            continue
        standing = standing[: standing.index(version) + 1] if version in standing else [*standing, version]
    return standing


def past_champions(project: Project) -> list[Version]:
    """Every version that ever was champion, in order."""
    commits = {_commit_of(project, tag) for tag in assignments(project)}
    return [version for version in versions(project) if version.commit in commits]


def withdrawn(project: Project) -> list[Version]:
    """Former champions that a rollback took away."""
    standing = pile(project)
    return [version for version in past_champions(project) if version not in standing]


def _commit_of(project: Project, tag: str) -> str:
    return project.git("rev-parse", f"{tag}^{{commit}}")


def _order(version: Version) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.name))


def _assign(project: Project, version: Version, message: str) -> None:
    _let_the_second_pass(project)
    _gto(gto.api.assign, project, stage=STAGE, ref=version.commit, message=message, force=True, simple=False)


def _let_the_second_pass(project: Project) -> None:
    """GTO orders assignments by their second: two in one would leave open who is champion."""
    tags = assignments(project)
    if tags:
        last = int(project.git("for-each-ref", "--format=%(creatordate:unix)", f"refs/tags/{tags[-1]}"))
        time.sleep(min(max(last + 1 - time.time(), 0.0), 2.0))


def _gto(action: object, project: Project, **arguments: object) -> None:
    assert callable(action)  # noqa: S101
    try:
        action(str(project.root), MODEL, **arguments)
    except GTOException as error:
        raise StageError(f"the registry refused: {error}") from error


def push_registry(project: Project) -> bool:
    """Send the registry's tags to the git remote; False where there is none.

    Raises:
        StageError: the remote did not take them (somebody registered meanwhile).
    """
    remote = project.git_remote()
    if remote is None:
        return False
    project.git("push", "--quiet", "--atomic", remote, f"refs/tags/{MODEL}*:refs/tags/{MODEL}*")
    return True
