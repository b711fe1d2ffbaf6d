"""Results between machines: DVC's run cache, one stage at a time, in a process of its own so that a cancel ends it.

`python -m flows.remote.runcache push STAGE` on the machine that ran the stage; `... restore STAGE DIGEST` on
the one that wants the result. Restoring never runs the stage: what did not arrive is an error, not an hour of
training on the wrong machine. Metrics that git keeps (`cache: false`) travel as well: the run cache holds them.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import dvc.stage.cache
import dvc.stage.run
import yaml
from dvc.repo import Repo, lock_repo

from flows.dvc.errors import RunCacheMiss
from flows.dvc.project import Project, find_project
from pipeline.errors import EgovlmError

MISS = 3  # exit code of a restore that found nothing


def result_digest(project: Project, stage: str) -> str:
    """Digest of the outputs of `stage` as dvc.lock has them: by this both machines know that they mean one result."""
    lock = yaml.safe_load((project.root / "dvc.lock").read_text(encoding="utf-8"))
    return _digest(lock["stages"][stage])


def _digest(entry: dict[str, Any]) -> str:
    outs = sorted((out["path"], out["md5"]) for out in entry.get("outs", []))
    return hashlib.sha256(repr(outs).encode()).hexdigest()[:16]


def push(project: Project, stage_name: str) -> None:
    """Send the run-cache entry of `stage_name` and every object of its result to the DVC remote.

    Raises:
        RunCacheMiss: the stage has not run here with its present inputs.
    """
    with _repo(project) as repo, lock_repo(repo), _persisted_too():
        stage = repo.stage.load_one(str(project.root / "dvc.yaml"), stage_name)
        repo.stage_cache.save(stage)  # DVC has not, where an output is `persist: true`
        entry = repo.stage_cache._load(stage)
        if entry is None:
            raise RunCacheMiss(f"{stage_name} has no entry in the run cache: its outputs are not those of dvc.lock")
        result = repo.stage_cache._create_stage(entry, wdir=stage.wdir)
        for objects in result.get_used_objs().values():
            failed = repo.cloud.push(objects).failed
            if failed:
                raise RunCacheMiss(f"{len(failed)} files of {stage_name} could not be sent to the DVC remote")
        repo.stage_cache.push(None)


def restore(project: Project, stage_name: str, digest: str) -> None:
    """Take the result `digest` of `stage_name` from the DVC remote into the workspace and dvc.lock.

    Raises:
        RunCacheMiss: the remote has no such result for the present inputs.
    """
    miss = f"the result of {stage_name} ({digest}) is not in the DVC remote for the present inputs"
    with _repo(project) as repo, _persisted_too():
        repo.stage_cache.pull(None)
        _prefer(project, digest)
        _make_room(project, repo, stage_name, miss)

        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise RunCacheMiss(f"{miss}; it is not run here instead. Did code or inputs change meanwhile?")

        with _replaced(dvc.stage.run, "cmd_run", refuse), _replaced(repo.stage_cache, "pull", lambda remote: None):
            repo.reproduce([stage_name], single_item=True, pull=True)
    if result_digest(project, stage_name) != digest:
        raise RunCacheMiss(f"{miss}: found {result_digest(project, stage_name)}")


def _make_room(project: Project, repo: Repo, stage_name: str, miss: str) -> None:
    """Remove the outputs that DVC keeps for a resumed run (`persist: true`), once it is sure that others will come."""
    with lock_repo(repo):
        stage = repo.stage.load_one(str(project.root / "dvc.yaml"), stage_name)
        stage.save_deps()
        if repo.stage_cache._load(stage) is None:
            raise RunCacheMiss(miss)
        stage.remove_outs(ignore_remove=True, force=True)


def _persisted_too() -> AbstractContextManager[None]:
    """Let the run cache hold stages with `persist: true` outputs. DVC leaves them out because such a stage may build on
    what it finds; a result that travels is taken whole, so that does not matter here."""
    return _replaced(dvc.stage.cache, "_can_hash", _can_hash)


def _can_hash(stage: Any) -> bool:
    complete = stage.cmd and stage.deps and stage.outs and not stage.is_callback and not stage.always_changed
    local = all(dep.protocol == "local" and dep.def_path and dep.get_hash() for dep in stage.deps)
    return bool(complete and local and all(out.protocol == "local" and out.is_in_repo for out in stage.outs))


def _prefer(project: Project, digest: str) -> None:
    """Make the entry with `digest` the newest of its key: DVC takes the newest where a stage ran more than once."""
    now = time.time() + 1
    for path in (project.root / ".dvc/cache/runs").rglob("*"):
        if path.is_file() and _digest(yaml.safe_load(path.read_text(encoding="utf-8"))) == digest:
            os.utime(path, (now, now))


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def _repo(project: Project) -> Iterator[Any]:
    repo = Repo(str(project.root))
    try:
        yield repo
    finally:
        repo.close()


def main(arguments: Sequence[str]) -> int:
    """Entry point; 0, MISS where the result is not there, 1 for another expected error."""
    try:
        match arguments:
            case ["push", stage]:
                push(find_project(Path.cwd()), stage)
            case ["restore", stage, digest]:
                restore(find_project(Path.cwd()), stage, digest)
            case _:
                raise SystemExit(__doc__)
    except EgovlmError as error:
        print(f"egovlm: {error}", file=sys.stderr)
        return MISS if isinstance(error, RunCacheMiss) else 1
    except Exception as error:
        cause = error.__cause__ or error
        print(f"egovlm: {cause}", file=sys.stderr)
        return MISS if isinstance(cause, RunCacheMiss) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
