"""The model registry: GTO's git tags on experiment commits (`dvc artifacts get . egovlm-policy --stage champion`).

egovlm-policy@v3.0.0         version 3 is this commit (its dvc.lock names the weights)
egovlm-policy#champion#4     the fourth champion event; the last one counts
egovlm-policy#champion!#5    version 3 was forgotten as champion (`egovlm rollback --forget`)

The champion tags form a stack. A promotion pushes a version; a rollback to a version in the stack pops everything above
it. Popped versions are withdrawn.
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
FORGET = "or start again without a champion: `egovlm rollback --forget`"
_EVENT = re.compile(rf"{MODEL}#{STAGE}(?P<forgotten>!?)#(?P<number>\d+)")


class ChampionUnresolvable(StageError):
    """There is a champion, but it cannot be determined. Nothing may replace it then."""


@dataclass(frozen=True)
class Version:
    """A registered model: `name` such as `v2.0.0`, and the commit whose dvc.lock describes it."""

    name: str
    commit: str


def fetch_registry(project: Project, to: Destination | None) -> None:
    """Fetch what others registered in the git remote that this project publishes to; None: no remote is asked.

    Raises:
        ChampionUnresolvable: the git remote cannot be reached, or uses the same tags for other models.
    """
    if to is None:
        return
    try:
        project.git("fetch", "--quiet", "--no-prune", to.git_remote, REFSPEC)
    except StageError as error:
        remedy = "fix the remote, or set publish.git_remote to null to use this machine's registry alone"
        if "clobber" in str(error):
            remedy = (
                "this machine and the remote use these tags for different models: `git "
                "tag --delete` those of this machine"
            )
        raise ChampionUnresolvable(f"the champion is unknown: {error}; {remedy}") from error


def champion(project: Project) -> Version | None:
    """The current champion according to the tags; None if there never was one, or it was forgotten.

    Raises:
        ChampionUnresolvable: there are champion tags, but GTO does not resolve them to a commit in this repository.
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
    """Who registered this champion and when, and whether it came from elsewhere."""
    tag = f"refs/tags/{MODEL}@{version.name}"
    who = project.git("for-each-ref", "--format=%(taggername) on %(creatordate:short)", tag)
    known = f"{version.name} ({version.commit[:10]}), registered by {who}"
    if project.git("for-each-ref", "--count=1", "--points-at", version.commit, "refs/exps"):
        return known
    return f"{known}; its run is not in this checkout, so it came with the clone or from a remote"


def _shown_by_gto(project: Project) -> str | None:
    """Commit of what `gto show 'NAME#champion'` shows first. (GTO's `find_versions_in_stage` gives the highest version,
    which is wrong after a rollback.)"""
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
    """Whether an event removes a champion instead of naming one."""
    match = _EVENT.fullmatch(tag)
    return match is not None and bool(match["forgotten"])


def register_champion(project: Project, commit: str, card: str) -> Version:
    """Make `commit` the champion on this machine. If it has no version yet, a new one gets the model card as its
    tag's message. Sending the tags is a separate step (`send_registry`).

    Raises:
        StageError: GTO refused. Nothing is then changed.
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
    """Delete the tags made in the block if it fails: a version without a champion tag is not registered."""
    before = set(registry_tags(project))
    try:
        yield
    except StageError:
        made = [tag for tag in registry_tags(project) if tag not in before]
        if made:
            project.git("tag", "--delete", *made)
        raise


def registry_tags(project: Project) -> dict[str, str]:
    """The git object of each of the registry's tags."""
    lines = project.git("for-each-ref", "--format=%(refname:strip=2) %(objectname)", f"refs/tags/{MODEL}[@#]*")
    return dict(line.split(" ", 1) for line in lines.splitlines())


def versions(project: Project) -> list[Version]:
    """Every registered version, in order."""
    tags = project.git("tag", "--list", f"{MODEL}@v*").split()
    found = [Version(tag.partition("@")[2], _commit_of(project, tag)) for tag in tags]
    return sorted(found, key=_order)


def roll_back(project: Project, to: str | None = None) -> Version:
    """Roll back on this machine: to version `to`, or to the one that the current champion replaced. Withdrawn
    versions are skipped.

    Raises:
        StageError: there is no such champion.
    """
    present, ever = champion(project), {version.name: version for version in past_champions(project)}
    if to is not None:
        if to not in ever:
            raise StageError(f"{to} was never champion; champions: {', '.join(ever) or 'none'}")
        chosen = ever[to]
    else:
        before = champion_stack(project)[:-1]
        if not before:
            name = present.name if present else "the first one"
            raise StageError(f"there is no champion before {name} to roll back to")
        chosen = before[-1]
    if chosen == present:
        raise StageError(f"{chosen.name} is already champion")
    with _all_or_nothing(project):
        _assign(project, chosen, f"rolled back to {chosen.name}")
    return chosen


def champion_stack(project: Project) -> list[Version]:
    """The champion (last) and, below it, what each rollback would restore."""
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
    """Remove every version as champion, on this machine; returns those removed."""
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
    """Every version that was ever champion, in order."""
    commits = {_commit_of(project, tag) for tag in events(project)}
    return [version for version in versions(project) if version.commit in commits]


def withdrawn(project: Project) -> list[Version]:
    """Former champions that a rollback withdrew."""
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
    """GTO orders assignments by whole seconds, so two in one second would leave the champion undefined."""
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
