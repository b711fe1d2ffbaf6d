"""Move a stage's result between machines with DVC's public commands alone.

The worker writes what git would keep (the entry of dvc.lock, the reports with `cache: false`) into one small file. It
pushes that file with the stage's outputs; the file's MD5 is the run's message. The sender pulls exactly this file
and takes entry and reports from it. `dvc pull STAGE` then brings the outputs, `persist: true` or not. Nothing here
can run the
stage: a missing result is an error, not an hour of training on the wrong machine.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flows.dvc.errors import ResultMissing
from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.processes.process import LastLine, OnLine, run_streaming
from pipeline.errors import StageError
from pipeline.files import write_text
from pipeline.provenance import refuse_disagreements

FOLDER = "egovlm-result"  # exists only during a transfer; not in data/: DVC refuses .dvc files that git ignores
_DIGEST = re.compile(r"\bresult ([0-9a-f]{32})\b")


def push_result(graph: Graph, stage: str, on_line: OnLine) -> str:
    """Send the result of `stage` to the default DVC remote; returns the digest that names it.

    Raises:
        StageError: the remote refused it.
    """
    project, small = graph.project, graph.stage(stage).small
    content = {
        "entry": _yaml().load((project.root / "dvc.lock").read_text(encoding="utf-8"))["stages"][stage],
        "files": {path: (project.root / path).read_text(encoding="utf-8") for path in small},
    }
    with _folder(project) as folder:
        name = f"{FOLDER}/{stage}.json"
        write_text(folder / f"{stage}.json", json.dumps(content, sort_keys=True))
        failure = "its result could not be sent to the DVC remote"
        dvc(project, ["add", "--quiet", name], on_line, failure, stage)
        dvc(project, ["push", f"{name}.dvc", stage], on_line, failure, stage)
        digest: str = _yaml().load((folder / f"{stage}.json.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]
    return digest


def restore_result(graph: Graph, stage: str, message: str, remote: str, on_line: OnLine) -> None:
    """Fetch the result that the worker's `message` names from the DVC remote `remote`.

    Raises:
        ResultMissing: it is not there, the message names none, or code or inputs changed here meanwhile. dvc.lock is
            then unchanged.
        ArtifactError: it was made from other params or code than its entry of dvc.lock says.
    """
    found = _DIGEST.search(message)
    if found is None:
        raise ResultMissing(f"{stage}: the GPU run finished without naming its result: {message!r}")
    content = _pull_content(graph.project, stage, found[1], remote, on_line)
    with _lock_file_kept(graph.project) as path:
        _take_entry(path, stage, content["entry"])
        dvc(
            graph.project,
            ["pull", "--force", "--remote", remote, stage],
            on_line,
            _miss(found[1]),
            stage,
            ResultMissing,
        )
        for name in graph.stage(stage).small:  # no other path is written, whatever the file says
            write_text(graph.project.root / name, content["files"][name])
        changed = graph.changes(stage)
        if changed:
            raise ResultMissing(f"{stage}: its result arrived, but code or inputs changed here meanwhile: {changed[0]}")
        refuse_disagreements(graph.project.root, [stage])


def dvc(
    project: Project,
    arguments: list[str],
    on_line: OnLine,
    failure: str,
    stage: str,
    kind: type[StageError] = StageError,
) -> None:
    """Run a DVC command in a separate process, which a cancel ends.

    Raises:
        StageError: of class `kind`, with `failure` and DVC's last line.
    """
    said = LastLine(on_line)
    if run_streaming([sys.executable, "-W", "ignore", "-m", "dvc", "--wait-for-lock", *arguments], project.root, said):
        raise kind(f"{stage}: {failure}: {said.line}")


def _pull_content(project: Project, stage: str, digest: str, remote: str, on_line: OnLine) -> dict[str, Any]:
    with _folder(project) as folder:
        name = f"{FOLDER}/{stage}.json.dvc"
        write_text(project.root / name, f"outs:\n- md5: {digest}\n  hash: md5\n  path: {stage}.json\n")
        dvc(project, ["pull", "--remote", remote, name], on_line, _miss(digest), stage, ResultMissing)
        content: dict[str, Any] = json.loads((folder / f"{stage}.json").read_text(encoding="utf-8"))
    return content


def _miss(digest: str) -> str:
    return f"its result ({digest}) is not in the DVC remote; the stage is not run here instead"


@contextmanager
def _folder(project: Project) -> Iterator[Path]:
    folder = project.root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed run
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock_file_kept(project: Project) -> Iterator[Path]:
    """Restore dvc.lock if the block fails."""
    path = project.root / "dvc.lock"
    before = path.read_text(encoding="utf-8")
    try:
        yield path
    except BaseException:
        write_text(path, before)
        raise


def _take_entry(path: Path, stage: str, entry: Any) -> None:
    lock = _yaml().load(path.read_text(encoding="utf-8"))
    lock["stages"][stage] = entry
    text = StringIO()
    _yaml().dump(lock, text)
    write_text(path, text.getvalue())


def _yaml() -> YAML:
    """YAML 1.2 as DVC writes it: `1e-05` is a number."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    return yaml
