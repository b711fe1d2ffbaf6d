"""Commands of `egovlm` that need DVC or Prefect. The pipeline's command line finds them through its entry point.

Nothing heavy is imported before a command runs, so `egovlm --help` stays fast.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.dvc.explain import one_line
from pipeline.cli import doctor
from pipeline.cli.output import AsJson, emit
from pipeline.cli.place import checkout
from pipeline.preflight.findings import Finding


def run(
    targets: Annotated[list[str] | None, typer.Argument(help="Stages to bring up to date; default: all.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run stages even if nothing changed.")] = False,
    experiment: Annotated[str | None, typer.Option(help="Name of the run in `dvc exp show`.")] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Start even if the preflight check finds a problem.")
    ] = False,
    profile: Annotated[str | None, typer.Option(help="Apply profiles/PROFILE.yaml to this run only.")] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a value of params.yaml for this run only."),
    ] = None,
) -> None:
    """Bring the pipeline up to date, as `make run` does.

    A preflight check looks at files, device, disk and model first, and refuses a run that cannot finish here.
    A finished run is saved as a DVC experiment on this machine. It is sent elsewhere only if `publish` in params.yaml
    names remotes.

    \b
    Examples:
      egovlm run
      egovlm run evaluate_egoschema --set train_grpo.learning_rate=1e-4
    """
    from flows.run import main

    arguments = [*(targets or []), *(["--force"] if force else []), *(["--unchecked"] if unchecked else [])]
    for name, value in (("--experiment", experiment), ("--profile", profile)):
        arguments += [name, value] if value else []
    code = main([*arguments, *(part for value in override or [] for part in ("--set", value))])
    if code:
        raise typer.Exit(code)


def compare(
    first: Annotated[
        str, typer.Argument(metavar="REV_A", help="A git revision, an experiment, a file, or `workspace`.")
    ],
    second: Annotated[str, typer.Argument(metavar="REV_B", help="The same; default: this checkout.")] = "workspace",
    run_name: Annotated[str, typer.Option("--run", help="One of evaluate_egoschema.runs.")] = "reasoning/video",
    models: Annotated[str, typer.Option(help="Whose answers to compare: of REV_A, of REV_B.")] = "policy,policy",
    most: Annotated[int, typer.Option(min=0, help="How many flipped questions to list.")] = 20,
    pictures: Annotated[
        Path | None, typer.Option(help="Write the frames of the listed questions to this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Is one run better than another, and on which questions?

    Prints a paired test of REV_B against REV_A, and the questions whose answers flipped.

    \b
    Examples:
      egovlm compare main workspace
      egovlm compare exp-a exp-b --pictures flips
      egovlm compare workspace workspace --models base,policy
    """
    from flows.dvc.comparison import predictions_of, questions_here, save_pictures
    from flows.dvc.project import find_project
    from pipeline.comparison.compare import compare as compare_predictions
    from pipeline.comparison.compare import render
    from pipeline.evaluation.scores import IntervalSettings
    from pipeline.params import load_params

    project = find_project()
    params = load_params(project.root / "params.yaml")
    intervals = IntervalSettings.of(params)
    before, after = (predictions_of(project, where) for where in (first, second))
    names = models.partition(",")
    found = compare_predictions(before, after, intervals, run_name, (names[0], names[2] or names[0]))
    questions = questions_here(project)
    if pictures is not None:
        save_pictures(project, found.flips[:most], questions, pictures)
    emit(_comparison(found), render(found, questions, most), as_json)


def _comparison(found: Any) -> dict[str, Any]:
    """A comparison as JSON types; flips as question ids."""
    from dataclasses import asdict

    value: dict[str, Any] = {
        name: asdict(part) for name, part in vars(found).items() if name in ("first", "second", "gain")
    }
    value |= {name: part for name, part in vars(found).items() if isinstance(part, int | float | str)}
    for name in (True, False):
        ids = [flip.after.question_id for flip in found.flips if flip.gained is name]
        value["gained_questions" if name else "lost_questions"] = ids
    return value


def runs(
    sort: Annotated[str, typer.Option(help="accuracy, gain, key_f1, unread or created.")] = "accuracy",
    page: Annotated[str | None, typer.Option(metavar="RUN", help="Write the report page of this run.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the page goes; default: RUN.html.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the finished runs, the best first.

    One row for each experiment that DVC keeps, of every commit: accuracy, gain over the base at its best, what the gate
    said, and the params that differ between the runs.

    \b
    Examples:
      egovlm runs
      egovlm runs --sort created --json
      egovlm runs --page run-1a2b3c4d
    """
    from flows.dvc import runs as kept
    from flows.dvc.project import find_project

    project = find_project()
    if page is not None:
        target = out or Path(f"{page}.html")
        kept.save_page(project, page, target)
        emit({"page": str(target)}, f"{target}", as_json)
        return
    found = kept.finished_runs(project, sort)
    emit(kept.as_json(found), kept.as_text(found), as_json)


def promote(
    revision: Annotated[
        str | None,
        typer.Argument(help="Experiment or commit of the finished run in this checkout; default: found automatically."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let the gate judge the model of this checkout.

    It becomes the champion if it is significantly better than the current one. A promotion is a set of git tags on this
    machine. They are sent elsewhere only if `publish` in params.yaml names a git remote. The exit code is 0 if the
    model was promoted and 3 if the champion was kept; the reasons are printed.

    \b
    Examples:
      egovlm promote
      egovlm promote --json | jq .against
    """
    from flows.dvc.experiments import commit_of, saved_run
    from flows.dvc.project import find_project
    from flows.promotion.promote import promote as judge_and_register

    project = find_project()
    commit = commit_of(project, revision) if revision else saved_run(project)
    verdict = judge_and_register(project, commit, _aside)
    value = {"promoted": verdict.promote, "rival": verdict.rival, "against": list(verdict.against), "commit": commit}
    emit({**value, "sent": _send_tags(project)}, str(verdict), as_json)
    if not verdict.promote:
        raise typer.Exit(3)


def _aside(text: str) -> None:
    typer.echo(text, err=True)


def _send_tags(project: Any) -> list[str]:
    """Send the registry's tags if a remote is named; returns what was sent. A refusal is reported, and undoes
    nothing here."""
    from flows.dvc.publishing import destination, sent
    from flows.promotion.sending import send_registry
    from pipeline.errors import EgovlmError

    try:
        to = destination(project)
        if to is None:
            return []
        refs = send_registry(project, to.git_remote)
    except EgovlmError as error:
        _aside(f"registered on this machine, but not sent: {error}")
        return []
    _aside(sent(refs, to))
    return refs


def rollback(
    to: Annotated[
        str | None, typer.Option(help="A version that was champion (v2.0.0); default: the previous one.")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove the champion: the next model is compared with its own base.")
    ] = False,
) -> None:
    """Roll back to the previous champion.

    This changes tags on this machine. They are sent elsewhere only if `publish` in params.yaml names a git remote. Use
    --forget if the champion can no longer be identified or fetched.

    \b
    Examples:
      egovlm rollback
      egovlm rollback --to v2.0.0
      egovlm rollback --forget
    """
    from flows.dvc.project import find_project
    from flows.dvc.publishing import destination
    from flows.promotion import memory
    from flows.promotion.registry import fetch_registry, roll_back
    from pipeline.errors import ParamsError

    project = find_project()
    if forget:
        if to is not None:
            raise ParamsError("--forget removes the champion and --to names one: use only one of them")
        names = ", ".join(version.name for version in memory.forget(project)) or "none"
        typer.echo(f"there is no champion any more; removed: {names}")
    else:
        fetch_registry(project, destination(project))
        memory.restore_tags(project)
        version = roll_back(project, to)
        memory.remember(project)
        typer.echo(f"{version.name} ({version.commit[:10]}) is champion")
    _send_tags(project)


def check_dvc() -> Iterator[Finding]:
    """Is a DVC remote configured?"""
    import configparser

    config = configparser.ConfigParser()
    root = checkout()
    config.read([root / ".dvc/config", root / ".dvc/config.local"])
    remotes = [section for section in config.sections() if "remote" in section]
    if not (root / ".dvc").is_dir():
        mend = "run egovlm in a checkout, or set EGOVLM_PROJECT to one"
        yield Finding("dvc", "fail", f"no .dvc folder in {root.resolve()}", mend)
    elif not remotes:
        mend = "fine on one machine; to share data: `dvc remote add -d store s3://...`"
        yield Finding("dvc remote", "info", "none", mend)
    else:
        yield Finding(
            "dvc remote", "ok", f"{len(remotes)} configured, default {config.get('core', 'remote', fallback='none')}"
        )


def check_publishing() -> Iterator[Finding]:
    """What is sent from this machine, and where to."""
    from flows.dvc.project import find_project
    from flows.dvc.publishing import destination
    from pipeline.errors import EgovlmError

    try:
        to = destination(find_project())
    except EgovlmError as error:
        yield Finding(
            "publishing", "warn", str(error), "correct the section `publish` of params.yaml, or set it to null"
        )
        return
    if to is None:
        yield Finding("publishing", "ok", "off: runs and promotions stay on this machine", "")
        return
    data = f", data to {to.dvc_remote}" if to.dvc_remote else ", no data"
    yield Finding("publishing", "info", f"runs and promotions are sent to {to.git_remote}{data}", "")


def check_prefect() -> Iterator[Finding]:
    """Does the configured Prefect server answer?"""
    import os

    import httpx

    address = os.environ.get("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    try:
        healthy = httpx.get(f"{address}/health", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        healthy = False
    mend = "`make ui` starts one; `make run` and `dvc repro` need none"
    yield Finding(
        "prefect server",
        "ok" if healthy else "info",
        f"{address} {'answers' if healthy else 'is silent'}",
        "" if healthy else mend,
    )


def check_git() -> Iterator[Finding]:
    """Does git know who commits? Experiments and promotions make commits and tags."""
    import shutil

    from flows.dvc.project import find_project
    from pipeline.errors import EgovlmError

    if shutil.which("git") is None:
        mend = "install git (`apt-get install git`, `brew install git`): DVC and experiments need it"
        yield Finding("git", "fail", "git is not on the PATH", mend)
        return
    try:
        project = find_project()
    except EgovlmError:
        return  # check_dvc says it
    try:
        project.git("var", "GIT_COMMITTER_IDENT")
    except EgovlmError as error:
        mend = "`git config user.name ...` and `git config user.email ...`: experiments are commits"
        yield Finding("git", "warn", str(error), mend)


def register(app: typer.Typer) -> None:
    """Add the commands and the doctor's checks."""
    for command in (run, runs, compare, promote, rollback):
        app.command()(one_line(command))
    for check in (check_git, check_dvc, check_publishing, check_prefect):
        if check not in doctor.CHECKS:
            doctor.CHECKS.append(check)
