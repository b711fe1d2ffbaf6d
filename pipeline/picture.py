"""A stage runs from a picture of its code and params, taken when it starts, and looks at its end whether they changed.

DVC writes dvc.lock after a stage has ended, from the files as they are *then*. People edit while a training of hours
runs, and a scheduled run meets a `git pull`: the lock would name params and code that never ran. So

* the process goes on from its own copy of the code and of params.yaml. What is imported late, or by a worker that
  starts an hour later, is the code of the start;
* before the stage succeeds the files are compared with that copy. A difference fails the stage with its name, so that
  DVC writes nothing, and its state for resuming is kept;
* the stage's report says what it ran from, in the digests of dvc.lock: the two are compared wherever a result counts.

What is listed under `machine:` may change at any time: no stage lists it.
"""

import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from pipeline.provenance import CODE, code_files, differences, listed, shown, value_at

VARIABLE = "EGOVLM_PICTURE"  # folder of the picture that this process and all it starts run from
WATCH_SECONDS = 5.0
_SHOWN = 3


def start_from_picture(root: Path, stage: str) -> None:
    """Take the picture and start this process anew from it, under its own number; at once back if that is done.

    Only for a stage that DVC runs: by hand nobody writes a record.
    """
    folder = (root / "data/.locks" / f"{stage}.{os.getpid()}").absolute()
    if picture_folder() == folder or not listed(root, stage).code:
        return
    _clear_dead(folder.parent, stage)
    _copy(root, folder, _signatures(root, listed(root, stage).data))
    path = [str(folder), str(root.absolute()), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Without PYTHONSAFEPATH `python -m` would look into the working directory first, where the files change.
    changed = {VARIABLE: str(folder), "PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **changed})  # noqa: S606


def _copy(root: Path, folder: Path, data: Mapping[str, Sequence[int]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path in _all_files(root / CODE):
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)  # with its time: compiled files stay valid
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy2(root / name, folder / name)
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")


def _clear_dead(locks: Path, stage: str) -> None:
    """Remove the pictures of killed runs."""
    for folder in locks.glob(f"{stage}.*"):
        if folder.suffix[1:].isdigit() and not _lives(int(folder.suffix[1:])):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def drop_picture() -> None:
    """Remove the picture that this process runs from, if any, at its end."""
    folder = picture_folder()
    if folder is not None and folder.suffix == f".{os.getpid()}":
        shutil.rmtree(folder, ignore_errors=True)


def picture_folder() -> Path | None:
    """This process's copy of `pipeline/`, params.yaml and dvc.yaml; None if it runs from the checkout."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder else None


def home_of(root: Path) -> Path:
    """Where code and params.yaml of this run are: the picture if it runs from one, else `root`."""
    return picture_folder() or root


def changes(root: Path, stage: str, data: bool = True) -> list[str]:
    """What differs between the picture and `root` now, one phrase each; [] if nothing does or there is no picture.

    Without `data` only params and code are compared, which takes milliseconds.
    """
    folder = picture_folder()
    if folder is None:
        return []
    entry = listed(folder, stage)
    found = _changed_params(folder, root, entry.params)
    for path in entry.code:
        found += [f"{name} changed" for name in _changed_files(folder, root, path)]
    return found + (_changed_data(folder, root, entry.data) if data else [])


@contextmanager
def watching(root: Path, stage: str, seconds: float = WATCH_SECONDS) -> Iterator[None]:
    """Say a change of params or code as soon as it happens, once: hours before the stage would fail of it."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(seconds):
            found = changes(root, stage, data=False)
            if found:
                print(f"egovlm {stage}: {'; '.join(found[:_SHOWN])} while it runs: it goes on from its own copy, but "
                      "fails at its end if that is not undone by then", file=sys.stderr, flush=True)  # fmt: skip
                return

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    if picture_folder() is not None:
        watcher.start()
    try:
        yield
    finally:
        ended.set()
        if watcher.is_alive():
            watcher.join()


def refusal(found: Sequence[str], stage: str) -> str:
    """The one line with which a stage fails whose code, params or data changed."""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"{'; '.join(found[:_SHOWN])}{more} while {stage} ran: the result is not recorded, dvc.lock would name what "
        "never ran. Undo the change to go on (a training from its checkpoint), or keep it and begin anew: run it again"
    )


def _changed_params(folder: Path, root: Path, keys: Sequence[str]) -> list[str]:
    if (folder / "params.yaml").read_bytes() == _bytes(root / "params.yaml"):
        return []
    before = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    try:
        now = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ["params.yaml cannot be read any more"]
    return [
        f"params.yaml: {leaf} changed from {shown(was)} to {shown(is_now)}"
        for key in keys
        for leaf, was, is_now in differences(value_at(before, key), value_at(now, key), key)
    ]


def _changed_files(folder: Path, root: Path, path: str) -> list[str]:
    names = {file.relative_to(home).as_posix() for home in (folder, root) for file in code_files(home / path)}
    return [name for name in sorted(names) if _bytes(folder / name) != _bytes(root / name)]


def _changed_data(folder: Path, root: Path, paths: Sequence[str]) -> list[str]:
    before = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    now = {name: list(value) for name, value in _signatures(root, paths).items()}
    return [f"{name} changed" for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]


def _signatures(root: Path, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Size and time of every file of the data: read whole they would cost minutes."""
    found = {}
    for path in paths:
        for file in _all_files(root / path):
            stat = file.stat()
            found[file.relative_to(root).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    return found


def _all_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
