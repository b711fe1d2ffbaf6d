"""Finished runs side by side: one row for each experiment that DVC keeps, from DVC's own data.

`dvc exp show` prints the same numbers for the current commit. This table has those of every commit, sorted, with what
DVC does not know: the gate's verdict, the interval in one column, the wandb run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem
from dvc.repo import Repo
from dvc.utils.flatten import flatten

from flows.dvc.project import Project
from pipeline.cli.output import columns
from pipeline.errors import ArtifactError, ParamsError, StageError
from pipeline.files import replacing
from pipeline.layout import PAGE, RESULT, cost_of, report_of

VERDICTS = "egovlm/verdicts"  # git notes on the commits of runs; they stay on this machine
SORTED_BY = ("accuracy", "gain", "key_f1", "unread", "created")
UNIMPORTANT = ("machine.", "publish.", "promotion.", "write_report.")  # params that change no result


@dataclass(frozen=True)
class Run:
    """One finished run: `result` by the names of result.json, `params` flat, `changed` those that differ among runs."""

    name: str
    commit: str
    below: str  # the commit that it was made on
    created: str
    result: Mapping[str, float]
    seconds: float | None  # of training
    verdict: str | None
    wandb: str | None
    params: Mapping[str, Any] = field(repr=False)
    changed: Mapping[str, Any] = field(default_factory=dict)


def finished_runs(project: Project, sort: str = "accuracy") -> list[Run]:
    """Every experiment of every commit, the best first (by `created`: the newest first).

    Raises:
        ParamsError: `sort` is no name of `SORTED_BY`.
    """
    if sort not in SORTED_BY:
        raise ParamsError(f"--sort must be one of {', '.join(SORTED_BY)}, found {sort!r}")
    with Repo(str(project.root)) as repo:
        known = repo.experiments.ls(all_commits=True)
        states = repo.experiments.show(revs=list(known), hide_queued=True, hide_workspace=True) if known else []
        runs = [_run(project, state.rev, one.revs[0]) for state in states for one in state.experiments or []]
    varying = _varying([run.params for run in runs])
    runs = [Run(**{**vars(run), "changed": {key: run.params.get(key) for key in varying}}) for run in runs]
    return sorted(runs, key=lambda run: _rank(run, sort))


def _rank(run: Run, sort: str) -> tuple[float, str]:
    sign = 1.0 if sort == "unread" else -1.0
    value = float(run.created.replace("-", "").replace(":", "").replace("T", "")) if sort == "created" else None
    value = run.result.get(sort, float("-inf") * sign * -1) if value is None else value
    return sign * value, run.name


def _run(project: Project, below: str, found: Any) -> Run:
    data = found.data
    if data is None:
        raise ArtifactError(f"experiment {found.name} cannot be read: `dvc exp show` says why")
    params: dict[str, Any] = {}
    for part in data.params.values():
        params |= flatten(part.get("data") or {})
    train = _json_at(project, found.rev, report_of("train_grpo"))
    return Run(
        name=found.name or found.rev[:7],
        commit=found.rev,
        below=below,
        created=data.timestamp.strftime("%Y-%m-%dT%H:%M"),
        result=(data.metrics.get(RESULT) or {}).get("data") or {},
        seconds=_json_at(project, found.rev, cost_of("train_grpo")).get("wall_seconds"),
        verdict=_verdict(project, found.rev),
        wandb=(train.get("values") or {}).get("wandb"),
        params=params,
    )


def _json_at(project: Project, commit: str, path: str) -> dict[str, Any]:
    """A JSON file as git holds it at `commit`; empty if it does not."""
    try:
        value = json.loads(project.git("show", f"{commit}:{path}"))
    except (StageError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _varying(params: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of params that change a result and differ between runs."""
    keys = sorted({key for one in params for key in one if not key.startswith(UNIMPORTANT)})
    return [key for key in keys if len({repr(one.get(key)) for one in params}) > 1]


def note_verdict(project: Project, commit: str, verdict: str) -> None:
    """Keep what the gate said of a run beside its commit."""
    project.git("notes", "--ref", VERDICTS, "add", "--force", "-m", verdict, commit)


def _verdict(project: Project, commit: str) -> str | None:
    try:
        return project.git("notes", "--ref", VERDICTS, "show", commit)
    except StageError:
        return None


def as_text(runs: Sequence[Run]) -> str:
    """The table for a terminal; every column of a changed param is named by its last part if that is enough."""
    if not runs:
        return "no finished run is kept here yet: `egovlm run` makes one"
    changed = list(runs[0].changed)
    heads = (
        "run",
        "commit",
        "created",
        "accuracy",
        "gain [interval]",
        "agree",
        "key F1",
        "unread",
        "n",
        "train s",
        "gate",
    )
    rows = [(*heads, *_short(changed), "wandb"), *(_cells(run, changed) for run in runs)]
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    return columns([tuple(row[i] for i in kept) for row in rows])


def _short(names: Sequence[str]) -> list[str]:
    last = [name.rpartition(".")[2] for name in names]
    return [short if last.count(short) == 1 else name for name, short in zip(names, last, strict=True)]


def _cells(run: Run, changed: Sequence[str]) -> tuple[str, ...]:
    r = run.result
    span = f"{100 * r['gain']:+.1f} [{100 * r['low']:+.1f}, {100 * r['high']:+.1f}]" if "low" in r else ""
    return (
        run.name,
        run.below[:7],
        run.created[5:].replace("T", " "),
        _percent(r.get("accuracy")),
        span,
        _percent(r.get("agree")),
        f"{r['key_f1']:.3f}" if "key_f1" in r else "",
        _percent(r.get("unread")),
        str(r.get("n", "")),
        f"{run.seconds:.0f}" if run.seconds is not None else "",
        (run.verdict or "not asked").partition(":")[0].removesuffix(" the champion"),
        *(str(run.changed[name]) for name in changed),
        run.wandb or "",
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def as_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The table for scripts."""
    return [asdict(run) for run in runs]


def save_page(project: Project, name: str, target: Path) -> None:
    """Write the report page of the run called `name`, from DVC's cache or remote, to `target`.

    Raises:
        ParamsError: there is no such run.
        ArtifactError: neither cache nor remote holds its page.
    """
    runs = {run.name: run for run in finished_runs(project)}
    if name not in runs:
        raise ParamsError(f"no run is called {name!r}; there are {', '.join(runs) or 'none'}")
    try:
        with replacing(target) as partial:
            DVCFileSystem(str(project.root), rev=runs[name].commit).get_file(PAGE, str(partial))
    except Exception as error:  # DVC's many errors: no cache, no remote
        raise ArtifactError(f"the page of {name} is not in DVC's cache or remote ({error}): `dvc pull`") from error
