"""A complete run becomes a DVC experiment, so that `dvc exp show` lays scheduled runs side by side.

`dvc exp save` commits whatever is there, finished or not; so it is only called after every stage has finished and
`dvc status` finds nothing to do.
"""

import contextlib
import re
import sys
from collections.abc import Sequence

from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.processes.process import OnLine, run_streaming
from pipeline.errors import ParamsError, StageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
_UNSENT = "unsent_experiments"
_KNOWN_BY = ("params.yaml", "dvc.yaml", "dvc.lock")


def check_name(name: str | None) -> None:
    """Refuse what cannot name an experiment (it becomes part of a git ref).

    Raises:
        ParamsError: the name has other characters than letters, digits, `-` and `_`, or is too long.
    """
    if name is not None and _NAME.fullmatch(name) is None:
        raise ParamsError(f"experiment must be 1 to 61 letters, digits, - or _, found {name!r}")


def save_experiment(graph: Graph, name: str, message: str) -> tuple[str, bool]:
    """Save the workspace as experiment `name`; (its commit, whether it is new). The same params and results as an
    experiment of this commit already has are not saved twice.

    Raises:
        StageError: a stage is unfinished or something changed since: nothing is saved.
    """
    unfinished = graph.status()
    if unfinished:
        raise StageError(
            f"experiment {name} is not saved: {', '.join(sorted(unfinished))} changed while the run lasted"
        )
    known = find_experiment(graph.project)
    if known:
        return known, False
    reports = graph.project.git("ls-files", "--others", "--exclude-standard", "data/reports").splitlines()
    with contextlib.chdir(graph.project.root):  # DVC's save looks for dvc.yaml in the working directory
        commit: str = graph.repo.experiments.save(name=name, force=True, include_untracked=reports, message=message)
    return commit, True


def find_experiment(project: Project) -> str | None:
    """Commit of an experiment with the very params, graph and results of the workspace; None where there is none."""
    lines = project.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    refs = [line.split()[0] for line in lines if "refs/exps/exec/" not in line]  # git before 2.42 has no --exclude
    here = project.git("hash-object", *_KNOWN_BY).split()
    for ref in dict.fromkeys(refs):
        if _blobs(project, ref) == here:
            return ref
    return None


def _blobs(project: Project, commit: str) -> list[str]:
    try:
        return project.git("rev-parse", *(f"{commit}:{path}" for path in _KNOWN_BY)).split()
    except StageError:  # an experiment from before one of the files
        return []


def push_experiments(project: Project, names: Sequence[str], on_line: OnLine, has_dvc_remote: bool) -> bool:
    """Send experiments to the git remote, and their data to the DVC remote where there is one. False without a git
    remote.

    Raises:
        StageError: the remote did not take one; it and those after it are sent by the next run.
    """
    remote = project.git_remote()
    if remote is None:
        return False
    for number, name in enumerate(names):
        _note_unsent(project, names[number:])  # before the attempt: it may be killed
        _push(project, remote, name, on_line, has_dvc_remote)
    _note_unsent(project, [])
    return True


def unsent(project: Project) -> list[str]:
    """Names of experiments that the git remote should have and has not, without those that somebody removed since."""
    note = project.private / _UNSENT
    names = note.read_text(encoding="utf-8").split() if note.is_file() and project.git_remote() else []
    refs = project.git("for-each-ref", "--format=%(refname)", "refs/exps").split() if names else []
    return [name for name in names if any(ref.endswith(f"/{name}") for ref in refs)]


def _note_unsent(project: Project, names: Sequence[str]) -> None:
    project.private.mkdir(parents=True, exist_ok=True)
    (project.private / _UNSENT).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _push(project: Project, remote: str, name: str, on_line: OnLine, has_dvc_remote: bool) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "dvc", "--wait-for-lock", "exp", "push", remote, name]
    code = run_streaming([*command, *([] if has_dvc_remote else ["--no-cache"])], project.root, on_line)
    if code:
        raise StageError(
            f"experiment {name} is saved here but {remote} or the DVC remote did not take it (see the lines above); "
            f"the next run tries again"
        )
