"""A complete run becomes a DVC experiment, so that `dvc exp show` shows scheduled runs side by side.

`dvc exp save` commits whatever is there, finished or not. It is therefore called only after every stage has finished
and `dvc status` finds nothing to do.
"""

import contextlib
import hashlib
import re
import sys
from collections.abc import Sequence

from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from flows.dvc.graph import Graph
from flows.dvc.project import Project
from flows.dvc.publishing import Destination
from flows.processes.process import LastLine, OnLine, run_streaming
from pipeline.errors import ParamsError, StageError
from pipeline.layout import REPORTS
from pipeline.provenance import refuse_disagreements

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")
_UNSENT = "unsent_experiments"
_KNOWN_BY = ("dvc.yaml", "dvc.lock")  # the lock holds the params of every stage; others change no result


def check_name(name: str | None) -> None:
    """Refuse a name that cannot be part of a git ref, as an experiment's must.

    Raises:
        ParamsError: the name is too long, or has characters other than letters, digits, `-` and `_`.
    """
    if name is not None and _NAME.fullmatch(name) is None:
        raise ParamsError(f"an experiment's name must be 1 to 61 letters, digits, - or _, found {name!r}")


def save_experiment(graph: Graph, name: str, message: str) -> tuple[str, bool]:
    """Save the workspace as experiment `name`; returns (its commit, whether it is new). Params and results that an
    experiment of this commit already holds are not saved twice.

    Raises:
        StageError: a stage is unfinished, or something changed since. Nothing is saved.
        ArtifactError: dvc.lock names other params or code than those that ran.
    """
    refuse_disagreements(graph.project.root)
    unfinished = {stage.name for stage in graph.stages} & set(graph.status())  # other .dvc files are not part of a run
    if unfinished:
        raise StageError(
            f"experiment {name} was not saved: {', '.join(sorted(unfinished))} did not finish, or changed since"
        )
    known = find_experiment(graph.project)
    if known:
        return known, False
    reports = graph.project.git("ls-files", "--others", "--exclude-standard", REPORTS).splitlines()
    try:
        with contextlib.chdir(graph.project.root):  # DVC's save looks for dvc.yaml in the working directory
            commit: str = graph.repo.experiments.save(
                targets=[stage.name for stage in graph.stages],
                name=name,
                force=True,
                include_untracked=reports,
                message=message,
            )
    except (DvcException, SCMError) as error:  # no git, no commit yet, no name to commit under
        raise StageError(f"experiment {name} was not saved: {' '.join(str(error).split())}") from error
    return commit, True


def experiment_name(given: str | None, mark: str) -> str:
    """`<given>-<mark>`: unique and short; DVC shows it below the commit that it belongs to."""
    return f"{given or 'run'}-{mark[:8]}"


def name_of(project: Project, commit: str) -> str:
    """Name of an experiment's commit in `dvc exp show`."""
    refs = project.git("for-each-ref", "--format=%(refname)", "--points-at", commit, "refs/exps").split()
    return next((ref.rsplit("/", 1)[1] for ref in refs if "/exec/" not in ref), commit[:10])


def commit_of(project: Project, where: str) -> str:
    """Commit of an experiment, by its name in `dvc exp show`, or of a git revision.

    Raises:
        StageError: there is neither.
    """
    refs = project.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    named = {ref.rsplit("/", 1)[1]: ref.split()[0] for ref in refs if "refs/exps/exec/" not in ref}
    return named.get(where) or project.git("rev-parse", "--verify", f"{where}^{{commit}}")


def find_experiment(project: Project) -> str | None:
    """Commit of an experiment with exactly the workspace's graph, stage params and results; None if there is none."""
    lines = project.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    refs = [line.split()[0] for line in lines if "refs/exps/exec/" not in line]  # git before 2.42 has no --exclude
    here = project.git("hash-object", *_KNOWN_BY).split()
    for ref in dict.fromkeys(refs):
        if _blobs(project, ref) == here:
            return ref
    return None


def saved_run(project: Project) -> str:
    """Commit of the experiment that holds the finished run in the workspace; it is saved first if necessary.

    Raises:
        StageError: there is no finished run, or it cannot be saved.
    """
    if not (project.root / "dvc.lock").is_file():
        raise StageError("nothing has run in this checkout: `egovlm run` first")
    known = find_experiment(project)
    if known:
        return known
    graph = Graph(project)
    try:
        return save_experiment(graph, *unnamed(project))[0]
    finally:
        graph.close()


def unnamed(project: Project, given: str | None = None) -> tuple[str, str]:
    """(name, message) for a run that no flow started; the mark is a digest of its results."""
    mark = hashlib.sha256((project.root / "dvc.lock").read_bytes()).hexdigest()
    name = experiment_name(given, mark)
    return name, f"egovlm {name}"


def _blobs(project: Project, commit: str) -> list[str]:
    try:
        return project.git("rev-parse", *(f"{commit}:{path}" for path in _KNOWN_BY)).split()
    except StageError:  # an older experiment that lacks one of the files
        return []


def send_experiments(project: Project, names: Sequence[str], to: Destination, on_line: OnLine) -> list[str]:
    """Send experiments, and their data if `to` says so; returns the refs that were sent.

    Raises:
        StageError: a remote refused one. The next run sends it and those after it.
    """
    refs = []
    for number, name in enumerate(names):
        _note_unsent(project, names[number:])  # before the attempt: it may be killed
        refs += _send(project, name, to, on_line)
    _note_unsent(project, [])
    return refs


def unsent(project: Project) -> list[str]:
    """Names of experiments that a remote should have but does not, without those removed since."""
    note = project.private / _UNSENT
    names = note.read_text(encoding="utf-8").split() if note.is_file() else []
    return [name for name in names if _refs(project, name)]


def _refs(project: Project, name: str) -> list[str]:
    refs = project.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    return [ref for ref in refs if ref.endswith(f"/{name}")]


def _note_unsent(project: Project, names: Sequence[str]) -> None:
    project.private.mkdir(parents=True, exist_ok=True)
    (project.private / _UNSENT).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _send(project: Project, name: str, to: Destination, on_line: OnLine) -> list[str]:
    """Data first: a ref in the remote promises that its data are there."""
    refs = _refs(project, name)
    try:
        for ref in refs if to.dvc_remote else []:
            _send_data(project, project.git("rev-parse", ref), str(to.dvc_remote), on_line)
        project.git("push", "--quiet", to.git_remote, *(f"{ref}:{ref}" for ref in refs))
    except StageError as error:
        raise StageError(f"experiment {name} is saved here but was not sent: {error}; the next run sends it") from error
    return refs


def _send_data(project: Project, commit: str, remote: str, on_line: OnLine) -> None:
    said = LastLine(on_line)
    command = [sys.executable, "-W", "ignore", "-m", "flows.dvc.send_data", remote, commit]
    if run_streaming(command, project.root, said):
        raise StageError(f"DVC remote {remote} refused its data ({said.line})")
