"""The stages of dvc.yaml in the order they run, read from DVC itself so that a flow cannot drift from the graph."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from dvc.lock import LockError
from dvc.repo import Repo, lock_repo

from flows.dvc.project import Project
from pipeline.errors import ParamsError

DOWNLOAD, TRAIN, EVALUATE = "download_videos", "train_grpo", "evaluate_egoschema"  # stages with special treatment
LOCK_ATTEMPTS = 10  # DVC itself tries for 3 s each time

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A node: its name, the stages it reads from, and the inputs and outputs that DVC keeps (paths from the root)."""

    name: str
    upstream: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    small: tuple[str, ...]  # outputs that git keeps (`cache: false`)


class Graph:
    """The DVC graph of a project, with an open repository for in-process checks (0.1 s to build)."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.is_patient = False  # a stage of this run has DVC's lock now and then: wait for it, however long
        self.repo = Repo(str(project.root))
        self.stages = _stages(self.repo)

    def select(self, targets: Collection[str] | None) -> list[Stage]:
        """The stages to run for `targets` (all if None or empty), in order: the targets and everything they need.

        Raises:
            ParamsError: a target is not a stage.
        """
        names = {stage.name for stage in self.stages}
        unknown = sorted(set(targets or ()) - names)
        if unknown:
            raise ParamsError(f"unknown stage {', '.join(unknown)}; stages: {', '.join(s.name for s in self.stages)}")
        return [stage for stage in self.stages if not targets or stage.name in self._needed(targets)]

    def stage(self, name: str) -> Stage:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def _needed(self, targets: Collection[str]) -> set[str]:
        upstream = {stage.name: stage.upstream for stage in self.stages}
        needed, queue = set(targets), list(targets)
        while queue:
            fresh = set(upstream[queue.pop()]) - needed
            needed |= fresh
            queue.extend(fresh)
        return needed

    def changes(self, name: str) -> list[str]:
        """Why DVC would run stage `name` now; [] if it is up to date. Reads dvc.lock and the files afresh."""
        with self._locked():
            stage = self.repo.stage.load_one(str(self.project.root / "dvc.yaml"), name)
            if not stage.changed():
                return []
            return _explain(stage.status()) if any(dep.hash_info for dep in stage.deps) else ["never run here"]

    def stale_outputs(self, paths: Collection[str]) -> list[str]:
        """Which of `paths` (outputs, or files and folders in them) differ in the workspace from dvc.lock."""
        with self._locked():
            full = {path: str(self.project.root / path) for path in paths}
            made = [(path, out) for path, here in full.items() for out in self.repo.index.outs if _holds(out, here)]
            return [path for path, out in made if _is_stale(out, full[path])]

    def status(self) -> dict[str, Any]:
        """What `dvc status --json` says: {} if every stage is finished and nothing has changed since."""
        with contextlib.chdir(self.project.root), self._locked():  # DVC names stages relative to the working directory
            result: dict[str, Any] = self.repo.status()
        return result

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold DVC's own lock, and wait for another command that holds it. After a `kill -9` DVC needs seconds to
        end."""
        with ExitStack() as stack:
            for attempt in count(1):
                try:
                    stack.enter_context(lock_repo(self.repo))
                    break
                except LockError:
                    if self.is_patient:
                        continue
                    if attempt == LOCK_ATTEMPTS:
                        raise
                    if attempt == 1:
                        logger.warning("waiting: another DVC command is running in %s", self.project.root)
            yield

    def close(self) -> None:
        """Release the repository's database handles."""
        self.repo.close()


def _stages(repo: Repo) -> list[Stage]:
    graph = repo.index.graph  # an edge leads from a stage to what it needs
    written = [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
    waiting = [_stage(node, graph, written) for node in written]
    ordered: list[Stage] = []
    while waiting:  # always the first in dvc.yaml whose dependencies are done; DVC has refused cycles
        done = {stage.name for stage in ordered}
        ready = next(stage for stage in waiting if done.issuperset(stage.upstream))
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _stage(node: Any, graph: Any, written: list[Any]) -> Stage:
    upstream = [stage for stage in written if graph.has_edge(node, stage)]
    made = [out for stage in upstream for out in stage.outs if out.use_cache]
    return Stage(
        name=node.name,
        upstream=tuple(stage.name for stage in upstream),
        inputs=tuple(dep.def_path for dep in node.deps if any(_holds(out, dep.fs_path) for out in made)),
        outputs=tuple(out.def_path for out in node.outs if out.use_cache),
        small=tuple(out.def_path for out in node.outs if not out.use_cache),
    )


def _holds(out: Any, path: str) -> bool:
    return path == out.fs_path or path.startswith(out.fs_path + os.sep)


def _is_stale(out: Any, path: str) -> bool:
    if path == out.fs_path:
        return bool(out.status())
    inside = Path(path).relative_to(out.fs_path).parts  # part of an output folder: compare with the folder's manifest
    wanted = {key: entry.value for key, _, entry in out.get_obj() if key[: len(inside)] == inside}
    return not wanted or any(_md5(Path(out.fs_path, *key)) != value for key, value in wanted.items())


def _md5(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()  # DVC's own key, no secret


def _explain(status: dict[str, list[str | dict[str, Any]]]) -> list[str]:
    """`stage.status()` as short texts: {"changed deps": {"params.yaml": {"seed": "modified"}}} -> "seed modified"."""
    reasons: list[str] = []
    for entry in next(iter(status.values()), []):
        parts = [entry] if isinstance(entry, str) else [_leaves(changed) for changed in entry.values()]
        reasons += [text for part in parts for text in ([part] if isinstance(part, str) else part)]
    return reasons or ["changed"]


def _leaves(changed: dict[str, Any]) -> list[str]:
    nested = ((name, what) for name, what in changed.items())
    return [text for name, what in nested for text in (_leaves(what) if isinstance(what, dict) else [f"{name} {what}"])]
