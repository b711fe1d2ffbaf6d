"""The model registry: GTO's git tags on experiment commits (`dvc artifacts get . egovlm-policy --stage champion`).

egovlm-policy@v3.0.0         version 3 is this commit (its dvc.lock names the weights)
egovlm-policy#champion#4     the fourth time a champion was named; the last one counts
egovlm-policy#champion!#5    version 3 was forgotten as champion (`egovlm rollback --forget`)

The champion tags in order are a stack: a promotion pushes a version; a rollback, which names one that lies in it, pops
what lies above. What was popped is withdrawn.
`flows/promotion/memory.py` keeps the tags from getting lost.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gto.api
from gto.exceptions import GTOException

from flows.dvc.project import Project
from flows.dvc.publishing import Destination
from pipeline.errors import StageError

MODEL = "egovlm-policy"
STAGE = "champion"
REFSPEC = f"refs/tags/{MODEL}*:refs/tags/{MODEL}*"
FORGET = "or start anew without a champion: `egovlm rollback --forget`"
_EVENT = re.compile(rf"{MODEL}#{STAGE}(?P<forgotten>!?)#(?P<number>\d+)")


class ChampionUnresolvable(StageError):
    """There is a champion but what it is cannot be found out: nothing may replace it then."""


@dataclass(frozen=True)
class Version:
    """A registered model: `name` such as `v2.0.0`, and the commit whose dvc.lock describes it."""

    name: str
    commit: str


def fetch_registry(project: Project, to: Destination | None) -> None:
    """Learn what others registered where this project publishes; None: nobody is asked.

    Raises:
        ChampionUnresolvable: the git remote cannot be asked, or names other models by the same tags.
    """
    if to is None:
        return
    try:
        project.git("fetch", "--quiet", "--no-prune", to.git_remote, REFSPEC)
    except StageError as error:
        remedy = "mend the remote, or set publish.git_remote to null to judge by this machine alone"
        if "clobber" in str(error):
            remedy = "this machine and the remote name different models so: `git tag --delete` those of this machine"
        raise ChampionUnresolvable(f"the champion is not known: {error}; {remedy}") from error


def champion(project: Project) -> Version | None:
    """The model that is champion now by the tags; None if none ever was, or it was forgotten.

    Raises:
        ChampionUnresolvable: there are champion tags, but GTO does not resolve them to one commit that is here.
    """
    tags = events(project)
    if not tags or is_forgetting(tags[-1]):
        return None
    commit, shown = _commit_of(project, tags[-1]), _shown_by_gto(project)
    version = next((v for v in versions(project) if v.commit == commit), None)
    if version is None or shown != commit:
        raise ChampionUnresolvable(
            f"tag {tags[-1]} and `gto show '{MODEL}#{STAGE}'` do not agree on a registered version: fetch the "
            f"tags from a remote that has them (`git fetch REMOTE '{REFSPEC}'`), {FORGET}"
        )
    return version


def describe(project: Project, version: Version) -> str:
    """Which champion this is: who registered it when, and whether it came from elsewhere."""
    tag = f"refs/tags/{MODEL}@{version.name}"
    who = project.git("for-each-ref", "--format=%(taggername) on %(creatordate:short)", tag)
    known = f"{version.name} ({version.commit[:10]}), registered by {who}"
    if project.git("for-each-ref", "--count=1", "--points-at", version.commit, "refs/exps"):
        return known
    return f"{known}; its run is not in this checkout: it came with the clone or from a remote"


def _shown_by_gto(project: Project) -> str | None:
    """Commit of what `gto show 'NAME#champion'` shows first. (GTO's `find_versions_in_stage` gives the highest version,
    which after a rollback is the wrong one.)"""
    try:
        shown = gto.api.show(str(project.root), name=f"{MODEL}#{STAGE}")
    except GTOException:
        return None
    return next((str(version["commit_hexsha"]) for version in shown), None)


def events(project: Project) -> list[str]:
    """Tags that name or forget a champion, oldest first."""
    return sorted((tag for tag in registry_tags(project) if _EVENT.fullmatch(tag)), key=number_of)


def number_of(tag: str) -> int:
    """The number of an event; 0 for a version."""
    match = _EVENT.fullmatch(tag)
    return int(match["number"]) if match else 0


def is_forgetting(tag: str) -> bool:
    """Whether an event takes the champion's place away instead of giving it."""
    match = _EVENT.fullmatch(tag)
    return match is not None and bool(match["forgotten"])


def register_champion(project: Project, commit: str, card: str) -> Version:
    """Make `commit` champion on this machine: as a new version with the model card as its tag's message, if it has none
    yet. Sending the tags is another step (`send_registry`).

    Raises:
        StageError: GTO refused: nothing is changed then.
    """
    with _all_or_nothing(project):
        known = versions(project)
        version = next((v for v in known if v.commit == commit), None)
        if version is None:
            number = max((_order(v)[0] for v in known), default=0) + 1
            version = Version(f"v{number}.0.0", commit)
            _gto(gto.api.register, project, ref=commit, version=version.name, message=card)
        _assign(project, version, f"{version.name} is champion")
    return version


@contextmanager
def _all_or_nothing(project: Project) -> Iterator[None]:
    """Tags made in the block are taken back if it fails: a version that no champion tag names is no registration."""
    before = set(registry_tags(project))
    try:
        yield
    except StageError:
        made = [tag for tag in registry_tags(project) if tag not in before]
        if made:
            project.git("tag", "--delete", *made)
        raise


def registry_tags(project: Project) -> dict[str, str]:
    """Object of each of the registry's tags."""
    lines = project.git("for-each-ref", "--format=%(refname:strip=2) %(objectname)", f"refs/tags/{MODEL}[@#]*")
    return dict(line.split(" ", 1) for line in lines.splitlines())


def versions(project: Project) -> list[Version]:
    """Every registered version, in order."""
    tags = project.git("tag", "--list", f"{MODEL}@v*").split()
    found = [Version(tag.partition("@")[2], _commit_of(project, tag)) for tag in tags]
    return sorted(found, key=_order)


def roll_back(project: Project, to: str | None = None) -> Version:
    """Make an earlier champion champion again on this machine: version `to`, or the one that the present champion
    replaced. Withdrawn versions are passed over.

    Raises:
        StageError: there is no such champion.
    """
    present, ever = champion(project), {version.name: version for version in past_champions(project)}
    if to is not None:
        if to not in ever:
            raise StageError(f"{to} never was champion; champions: {', '.join(ever) or 'none'}")
        chosen = ever[to]
    else:
        before = champion_stack(project)[:-1]
        if not before:
            name = present.name if present else "the first one"
            raise StageError(f"no champion came before {name}: there is nothing to go back to")
        chosen = before[-1]
    if chosen == present:
        raise StageError(f"{chosen.name} is champion already")
    with _all_or_nothing(project):
        _assign(project, chosen, f"rolled back to {chosen.name}")
    return chosen


def champion_stack(project: Project) -> list[Version]:
    """The champion (last) and, below it, what a rollback would bring back, step by step."""
    by_commit = {version.commit: version for version in versions(project)}
    standing: list[Version] = []
    for tag in events(project):
        version = by_commit.get(_commit_of(project, tag))
        if is_forgetting(tag):
            standing = [other for other in standing if other != version]
        elif version is not None:
            standing = standing[: standing.index(version) + 1] if version in standing else [*standing, version]
    return standing


def forget_champions(project: Project) -> list[Version]:
    """Take every version out of the champion's place, on this machine; which were taken out."""
    out = []
    for version in past_champions(project):
        tags = [tag for tag in events(project) if _commit_of(project, tag) == version.commit]
        if not is_forgetting(tags[-1]):
            _let_the_second_pass(project)
            message = f"{version.name} is forgotten"
            _gto(gto.api.unassign, project, stage=STAGE, ref=version.commit, message=message, force=True, simple=False)
            out.append(version)
    return out


def past_champions(project: Project) -> list[Version]:
    """Every version that ever was champion, in order."""
    commits = {_commit_of(project, tag) for tag in events(project)}
    return [version for version in versions(project) if version.commit in commits]


def withdrawn(project: Project) -> list[Version]:
    """Former champions that a rollback took away."""
    standing = champion_stack(project)
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
    tags = events(project)
    if tags:
        last = int(project.git("for-each-ref", "--format=%(creatordate:unix)", f"refs/tags/{tags[-1]}"))
        time.sleep(min(max(last + 1 - time.time(), 0.0), 2.0))


def _gto(action: object, project: Project, **arguments: object) -> None:
    assert callable(action)  # noqa: S101
    try:
        action(str(project.root), MODEL, **arguments)
    except GTOException as error:
        raise StageError(f"the registry refused: {error}") from error
