"""`egovlm submit`: post a saved EgoSchema submission, only when asked."""

import time
from pathlib import Path
from typing import Annotated

import typer


def submit(
    file: Annotated[Path, typer.Argument(help="submission.json or submission.csv.")] = Path(
        "data/predictions/submission/policy/submission.json"
    ),
    questions: Annotated[
        Path | None, typer.Option(help="questions.parquet that names every id expected; default: the ids of the file.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Post it without asking.")] = False,
) -> None:
    """Check an EgoSchema submission and post it.

    It goes to the official validation server; nothing is sent before you agree. evaluate_egoschema writes the file
    (benchmark: egoschema_full); the server's reply is saved beside it.

    \b
    Examples:
      egovlm submit
      egovlm submit data/predictions/submission/base/submission.json --yes
    """
    from pipeline.evaluation import submission
    from pipeline.records import Question, read_rows

    answers = submission.read_submission(file)
    expected = (
        set(answers) if questions is None else {submission.q_uid(q.question_id) for q in read_rows(questions, Question)}
    )
    submission.validate_submission(answers, expected)
    unanswered = sum(answer == submission.UNANSWERED for answer in answers.values())
    typer.echo(f"{file}: {len(answers)} questions, {unanswered} without an answer (counted as wrong)")
    if not yes:
        typer.confirm(f"Post it to {submission.SERVER}?", abort=True)
    typer.echo(submission.submit(file, expected, submission.post_json, time.sleep))


def register(app: typer.Typer) -> None:
    """Add `submit` to the command."""
    app.command()(submit)
