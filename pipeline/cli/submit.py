"""`egovlm submit`: post a saved EgoSchema submission, only on request."""

import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.layout import BENCHMARK_QUESTIONS, SUBMISSION


def submit(
    file: Annotated[Path, typer.Argument(help="submission.json or submission.csv.")] = Path(
        f"{SUBMISSION}/policy/submission.json"
    ),
    questions: Annotated[
        Path | None,
        typer.Option(help="EgoSchema's question file, which lists every id; default: what download_videos read."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Post it without asking.")] = False,
) -> None:
    """Check an EgoSchema submission and post it.

    It goes to the official validation server; nothing is sent before you confirm. It must contain every question of the
    pinned question file. evaluate_egoschema writes it (benchmark: egoschema_full). The server's reply is saved
    beside it.

    \b
    Examples:
      egovlm submit
      egovlm submit data/predictions/submission/base/submission.json --yes
    """
    from pipeline.evaluation import submission

    answers = submission.read_submission(file)
    expected = _expected(questions)
    submission.validate_submission(answers, expected)
    unanswered = sum(answer == submission.UNANSWERED for answer in answers.values())
    answered = len(answers) - unanswered
    typer.echo(f"{file}: {answered} of {len(expected)} questions answered, {unanswered} not (counted as wrong)")
    if not yes:
        typer.confirm(f"Post it to {submission.SERVER}?", abort=True)
    typer.echo(submission.submit(file, expected, submission.post_json, time.sleep))


def _expected(questions: Path | None) -> set[str]:
    """Ids of all of EgoSchema's questions, from the named file or from the checkout's last download."""
    from pipeline.cli.place import checkout
    from pipeline.errors import ParamsError
    from pipeline.evaluation.benchmarks import BENCHMARKS
    from pipeline.evaluation.benchmarks.size import whole_of
    from pipeline.sources.egoschema import ids_of

    ids = (
        whole_of(BENCHMARKS["egoschema_full"], checkout() / BENCHMARK_QUESTIONS).ids
        if questions is None
        else ids_of(questions)
    )
    if not ids:
        raise ParamsError(
            "it is unknown which questions a submission needs: the last download had no source of kind egoschema; "
            "name EgoSchema's question file with --questions"
        )
    return set(ids)


def register(app: typer.Typer) -> None:
    """Add `submit` to the command."""
    app.command()(submit)
