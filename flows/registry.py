"""The model registry: GTO's git tags on experiment commits (`dvc artifacts get . egovlm-policy --stage champion`).

egovlm-policy@v3.0.0         version 3 is this commit (its dvc.lock names the weights)
egovlm-policy#champion#4     the fourth time a champion was named; the last one counts
"""

import re
from dataclasses import dataclass

import gto.api
from gto.exceptions import GTOException

from flows.project import Project
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
    commit, shown = project.git("rev-parse", f"{tags[-1]}^{{commit}}"), _shown_by_gto(project)
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
    """Make `commit` champion: as a new version with the model card as its tag's message, where it has none yet."""
    known = versions(project)
    version = next((v for v in known if v.commit == commit), None)
    if version is None:
        number = max((_order(v)[0] for v in known), default=0) + 1
        version = Version(f"v{number}.0.0", commit)
        _gto(gto.api.register, project, ref=commit, version=version.name, message=card)
    _assign(project, version, f"{version.name} is champion")
    return version


def versions(project: Project) -> list[Version]:
    """Every registered version, in order."""
    tags = project.git("tag", "--list", f"{MODEL}@v*").split()
    found = [Version(tag.partition("@")[2], project.git("rev-parse", f"{tag}^{{commit}}")) for tag in tags]
    return sorted(found, key=_order)


def roll_back(project: Project, to: str | None = None) -> Version:
    """Make an earlier champion champion again: version `to`, or the one before the present champion.

    Raises:
        StageError: there is no such champion.
    """
    present = champion(project)
    earlier = past_champions(project)
    names = [version.name for version in earlier]
    if to is None:
        before = [v for v in earlier if present and _order(v) < _order(present)]
        if not before:
            raise StageError(
                f"no champion came before {present.name if present else 'the first one'}; there were: {names}"
            )
        chosen = max(before, key=_order)
    elif to in names:
        chosen = earlier[names.index(to)]
    else:
        raise StageError(f"{to} never was champion; champions: {', '.join(names) or 'none'}")
    _assign(project, chosen, f"rolled back to {chosen.name}")
    return chosen


def past_champions(project: Project) -> list[Version]:
    """Every version that ever was champion, in order."""
    commits = {project.git("rev-parse", f"{tag}^{{commit}}") for tag in assignments(project)}
    return [version for version in versions(project) if version.commit in commits]


def _order(version: Version) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.name))


def _assign(project: Project, version: Version, message: str) -> None:
    _gto(gto.api.assign, project, stage=STAGE, ref=version.commit, message=message, force=True, simple=False)


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
    project.git("push", "--quiet", remote, f"refs/tags/{MODEL}*:refs/tags/{MODEL}*")
    return True
