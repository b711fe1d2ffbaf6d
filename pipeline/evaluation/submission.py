"""EgoSchema submission files: write, validate, and post them only on request.

`submission.json` is `{q_uid: int 0-4}`, the body that the benchmark's own `validate.py` posts; `submission.csv` has the
header `q_uid,answer` (the Kaggle form). Every question of the pinned file must be there. A question that was not
asked, or got no answer, is written as -1. That names no option, so it can never count as right. It is never a random
letter.
"""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import StageError
from pipeline.files import replacing, write_json
from pipeline.records import Prediction

UNANSWERED = -1
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SERVER = "https://validation-server.onrender.com/api/upload/"
COLD_START_SECONDS = (5.0, 15.0, 45.0, 90.0)
"""Pauses before repeated attempts: the server sleeps when unused and takes about a minute to wake."""


class SubmissionError(StageError):
    """A submission file is invalid, or the server refused it."""


def q_uid(question_id: str) -> str:
    """The benchmark's id of a question: the UUID in ours, or all of it if there is none."""
    found = _UUID.search(question_id)
    return found.group() if found else question_id


def answers_of(predictions: Iterable[Prediction], expected: Collection[str]) -> dict[str, int]:
    """One answer per question from one run's predictions (the first sample), -1 if none was given; -1 for those of
    `expected` that were not asked."""
    given = {q_uid(p.question_id): UNANSWERED if p.option is None else p.option for p in predictions if p.sample == 0}
    return {q_uid(uid): UNANSWERED for uid in expected} | given


def validate_submission(answers: Mapping[str, Any], expected: Collection[str], unanswered_allowed: bool = True) -> None:
    """Check that each expected id occurs once, without others, with an integer from 0 to 4 (or -1 if allowed).

    Raises:
        SubmissionError: naming up to three offenders of the first kind found.
    """
    wanted = set(expected)
    missing, unknown = sorted(wanted - set(answers)), sorted(set(answers) - wanted)
    least = UNANSWERED if unanswered_allowed else 0
    bad = sorted(k for k, v in answers.items() if type(v) is not int or not least <= v <= 4)
    for problem, ids in (("missing", missing), ("unknown", unknown), (f"no integer from {least} to 4 for", bad)):
        if ids:
            raise SubmissionError(f"submission of {len(answers)}: {problem} {len(ids)} ids ({', '.join(ids[:3])} ...)")


def write_submission(answers: Mapping[str, int], expected: Collection[str], folder: Path) -> tuple[Path, Path]:
    """Validate, then write submission.json and submission.csv, ids sorted; returns both paths.

    Raises:
        SubmissionError: see `validate_submission`; nothing is written then.
    """
    validate_submission(answers, expected)
    ordered = dict(sorted(answers.items()))
    write_json(folder / "submission.json", ordered)
    table = folder / "submission.csv"
    with replacing(table) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["q_uid", "answer"])
        writer.writerows(ordered.items())
    return folder / "submission.json", table


def read_submission(path: Path) -> dict[str, int]:
    """Answers of a submission.json or submission.csv.

    Raises:
        SubmissionError: the file cannot be read, or names an id twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        pairs = _csv_pairs(text) if path.suffix == ".csv" else json.loads(text, object_pairs_hook=list)
        ids = [key for key, _ in pairs]
    except OSError as error:
        hint = "evaluate_egoschema writes one with benchmark: egoschema_full"
        raise SubmissionError(f"no submission file {path} ({error.strerror}): {hint}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise SubmissionError(f"{path} is not a submission file: {error}") from error
    twice = sorted({key for key in ids if ids.count(key) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise SubmissionError(f"{path} names {twice[0]} more than once")
    return dict(pairs)


def _csv_pairs(text: str) -> list[tuple[str, int]]:
    return [(row["q_uid"], int(row["answer"])) for row in csv.DictReader(text.splitlines())]


Post = Callable[[str, Any], tuple[int, str]]
"""(address, JSON) to (status, text); raises OSError if the server cannot be reached."""


def post_json(address: str, body: Any) -> tuple[int, str]:
    """POST with httpx, waiting up to two minutes for an answer."""
    import httpx

    try:
        response = httpx.post(address, json=body, timeout=120.0)
    except httpx.HTTPError as error:
        raise OSError(str(error)) from error
    return response.status_code, response.text


def submit(path: Path, expected: Collection[str], post: Post, pause: Callable[[float], None]) -> str:
    """Post a saved submission.json to EgoSchema's validation server and save its reply beside it; returns the reply.

    A server that cannot be reached or answers 5xx or 429 is asked again after `COLD_START_SECONDS`.

    Raises:
        SubmissionError: the file is not valid (nothing is sent), or no attempt succeeded.
    """
    answers = read_submission(path)
    validate_submission(answers, expected)
    last = ""
    for wait in (*COLD_START_SECONDS, None):
        status, last = _attempt(post, answers)
        if status == 200:
            path.with_suffix(".reply.txt").write_text(last, encoding="utf-8")
            return last
        if wait is None or (status not in (0, 429) and status < 500):
            break
        pause(wait)
    raise SubmissionError(f"{SERVER} did not accept {path} ({last[:200]}); the file is valid: try again later")


def _attempt(post: Post, answers: Mapping[str, int]) -> tuple[int, str]:
    try:
        return post(SERVER, dict(answers))
    except OSError as error:
        return 0, str(error)
