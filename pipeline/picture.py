"""A stage runs from a snapshot ("picture") of its code and params, and checks at its end whether the originals changed.

DVC writes dvc.lock after a stage has ended, from the files as they are *then*. People edit during hours of training,
or a `git pull` happens during a scheduled run. The lock would then name params and code that never ran. Therefore:

* the process runs from its own copy of the code and of params.yaml. Late imports, and workers that start an hour later,
  still get the code of the start;
* before the stage succeeds, the files are compared with that copy. A difference fails the stage with its name. DVC then
  writes nothing, and the state for resuming is kept;
* the stage's report records what it ran from, with the same digests as dvc.lock. The two are compared wherever a result
  counts.

Values under `machine:` may change at any time: no stage lists them.
"""

import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.errors import StageError
from pipeline.layout import LOCKS
from pipeline.provenance import CODE, Listed, code_files, differences, display_value, listed, value_at

VARIABLE = "EGOVLM_PICTURE"  # folder of the picture that this process and its children run from
WATCH_SECONDS = 5.0
_SHOWN = 3


def start_from_picture(root: Path, stage: str) -> None:
    """Take the picture and restart this process from it under the same process id; returns at once if that is done.

    Only for a stage that DVC runs: by hand, nothing is recorded.
    """
    folder = (root / LOCKS / f"{stage}.{os.getpid()}").absolute()
    if picture_folder() == folder or not listed(root, stage).code:
        return
    _clear_dead(folder.parent, stage)
    _copy(root, folder, signatures(root, listed(root, stage).data))
    path = [str(folder), str(root.absolute()), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Without PYTHONSAFEPATH, `python -m` would look first in the working directory, where the files change.
    changed = {VARIABLE: str(folder), "PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **changed})  # noqa: S606


def _copy(root: Path, folder: Path, data: Mapping[str, Sequence[int]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path in _all_files(root / CODE):
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)  # keep the time, so that compiled files stay valid
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy2(root / name, folder / name)
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")


def _clear_dead(locks: Path, stage: str) -> None:
    """Remove pictures left by killed runs."""
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
    """At the end, remove the picture that this process runs from, if any."""
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


@dataclass(frozen=True)
class Picture:
    """What a stage started from, in memory: params.yaml and its listed code as bytes, size and time of its data."""

    stage: str
    listed: Listed
    params: bytes
    code: Mapping[str, bytes]
    data: Mapping[str, Sequence[int]]

    def changes(self, root: Path, data: bool = True) -> list[str]:
        """What differs in `root` now, one phrase each. Without `data` this takes milliseconds."""
        now = _code(root, self.listed)
        files = sorted(name for name in self.code.keys() | now.keys() if self.code.get(name) != now.get(name))
        return [
            *self._changed_params(root),
            *(f"{name} changed" for name in files),
            *(self._changed_data(root) if data else ()),
        ]

    def refuse_changes(self, root: Path) -> None:
        """Make sure that DVC will record what really ran.

        Raises:
            StageError: params, code or data changed; the message names key and both values, or the file.
        """
        found = self.changes(root)
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise StageError(
                f"{'; '.join(found[:_SHOWN])}{more} while {self.stage} ran. The result is not recorded, because "
                "dvc.lock would name inputs that never ran. Undo the change and run again to resume, or keep it and "
                "run again to start over"
            )

    def _changed_params(self, root: Path) -> list[str]:
        now = _bytes(root / "params.yaml")
        if now == self.params:
            return []
        try:
            before, after = yaml.safe_load(self.params), yaml.safe_load(now or b"")
        except yaml.YAMLError:
            return ["params.yaml can no longer be read"]
        return [
            f"params.yaml: {leaf} changed from {display_value(was)} to {display_value(is_now)}"
            for key in self.listed.params
            for leaf, was, is_now in differences(value_at(before, key), value_at(after, key), key)
        ]

    def _changed_data(self, root: Path) -> list[str]:
        now = signatures(root, self.listed.data)
        names = sorted(self.data.keys() | now.keys())
        return [f"{name} changed" for name in names if list(self.data.get(name, ())) != list(now.get(name, ()))]


def read_picture(stage: str) -> Picture | None:
    """The picture this process runs from; None if it runs from the checkout."""
    folder = picture_folder()
    if folder is None:
        return None
    entry = listed(folder, stage)
    data = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    return Picture(stage, entry, (folder / "params.yaml").read_bytes(), _code(folder, entry), data)


@contextmanager
def watching(picture: Picture | None, root: Path, seconds: float = WATCH_SECONDS) -> Iterator[None]:
    """Report a change of params or code once, as soon as it happens: hours before the stage would fail because of
    it."""
    if picture is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(seconds):
            found = picture.changes(root, data=False)
            if found:
                text = "it continues from its own copy, but will fail at its end unless you undo the change"
                told = f"egovlm {picture.stage}: {'; '.join(found[:_SHOWN])} while it runs: {text}"
                print(told, file=sys.stderr, flush=True)
                return

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _code(home: Path, entry: Listed) -> dict[str, bytes]:
    files = (file for path in entry.code for file in code_files(home / path))
    return {file.relative_to(home).as_posix(): _bytes(file) or b"" for file in files}


def signatures(root: Path, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Size and time of every data file; reading them whole would take minutes."""
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
