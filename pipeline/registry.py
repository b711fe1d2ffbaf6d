"""What can be chosen by name in params.yaml: our own entries, and those that installed packages provide.

A package registers an entry by a Python entry point (docs/extend.md, "From a package of your own"). It is imported
only if params.yaml names it, and only in the version that the section's `plugins` pins. DVC watches params.yaml, so
another version of the code runs the stage again. Installed packages that are not named are never imported.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from pipeline.errors import ParamsError

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries by name: `own` in their order, then those of packages, sorted.

    Args:
        kind: what an entry is, for messages ("reward").
        group: the entry point group that packages use ("egovlm.rewards").
    """

    def __init__(self, kind: str, group: str, own: Mapping[str, Entry]) -> None:
        self.kind, self.group = kind, group
        self.own = dict(own)

    def __getitem__(self, name: str) -> Entry:
        if name in self.own:
            return self.own[name]
        entry: Entry = self._point(name).load()
        return entry

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in entry_points(group=self.group).names

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from sorted(set(entry_points(group=self.group).names) - set(self.own))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def package_of(self, name: str) -> tuple[str, str] | None:
        """Name and version of the package that provides an entry; None for our own."""
        return None if name in self.own else owner(self._point(name))

    def check(self, names: Iterable[str], key: str, plugins: Mapping[str, str]) -> None:
        """Refuse unusable names before any work starts.

        Args:
            key: where params.yaml has them, for messages (`train_grpo.rewards`).
            plugins: the section's `plugins`, the pinned version by package.

        Raises:
            ParamsError: the entry does not exist (the known ones are listed), two packages claim the name, or its
                package is not pinned at the installed version.
        """
        for name in names:
            points = entry_points(group=self.group, name=name)
            if len(points) + (name in self.own) > 1:
                owners = [*(["egovlm"] if name in self.own else []), *sorted({owner(point)[0] for point in points})]
                raise ParamsError(f"{key}: {self.kind} {name!r} is registered by {' and by '.join(owners)}: remove one")
            if name not in self.own:
                _check_pin(self._point(name, key), f"{key}: {self.kind} {name!r}", key.partition(".")[0], plugins)

    def _point(self, name: str, key: str = "") -> EntryPoint:
        found = next(iter(entry_points(group=self.group, name=name)), None)
        if found is None:
            start = f"{key}: " if key else ""
            raise ParamsError(f"{start}no {self.kind} {name!r}; choose from {', '.join(self)}")
        return found


def owner(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the package that registers an entry."""
    if point.dist is None:  # only if it was made by hand
        raise ParamsError(f"entry point {point.name} of {point.group} belongs to no installed package")
    return point.dist.name, point.dist.version


def _check_pin(point: EntryPoint, what: str, section: str, plugins: Mapping[str, str]) -> None:
    name, version = owner(point)
    pinned = plugins.get(name)
    if pinned == version:
        return
    found = "does not pin" if pinned is None else f"pins at {pinned}"
    wanted = json.dumps({**plugins, name: version})
    raise ParamsError(
        f"{what} comes from {name} {version}, which params.yaml {found}: set {section}.plugins to {wanted} (its "
        "results then belong to this version)"
    )
