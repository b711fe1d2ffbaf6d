"""Submission files: whole, validated, and sent only on demand to a server that may be asleep."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.submission import (
    COLD_START_SECONDS,
    SERVER,
    SubmissionError,
    answers_of,
    q_uid,
    read_submission,
    submit,
    validate_submission,
    write_submission,
)
from tests.unit.evaluation.making import make_prediction

ANSWERS = {"b": 4, "a": 0, "c": -1}


def test_both_files_hold_every_id_once_in_order(tmp_path: Path) -> None:
    paths = write_submission(ANSWERS, ANSWERS, tmp_path)
    assert json.loads(paths[0].read_text()) == {"a": 0, "b": 4, "c": -1}
    assert paths[1].read_text() == "q_uid,answer\na,0\nb,4\nc,-1\n"
    assert read_submission(paths[0]) == read_submission(paths[1]) == {"a": 0, "b": 4, "c": -1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["submission.csv", "submission.json"]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"a": 0, "b": 4}, r"missing 1 ids \(c"),
        (ANSWERS | {"d": 1}, r"unknown 1 ids \(d"),
        (ANSWERS | {"a": 5}, "no integer from -1 to 4"),
        (ANSWERS | {"a": -2}, "no integer from -1 to 4"),
        (ANSWERS | {"a": "0"}, "no integer"),
        (ANSWERS | {"a": True}, "no integer"),
        (ANSWERS | {"a": 1.0}, "no integer"),
        (ANSWERS | {"a": None}, "no integer"),
    ],
)
def test_what_the_server_would_not_take_is_not_written(tmp_path: Path, answers: dict[str, Any], problem: str) -> None:
    with pytest.raises(SubmissionError, match=problem):
        write_submission(answers, {"a", "b", "c"}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unanswered_can_be_refused() -> None:
    with pytest.raises(SubmissionError, match="no integer from 0 to 4"):
        validate_submission(ANSWERS, ANSWERS, unanswered_allowed=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.json", '{"a": 0, "a": 1}'),
        ("s.csv", "q_uid,answer\na,0\na,1\n"),
        ("s.json", "{"),
        ("s.json", "[1, 2]"),
        ("s.csv", "id,answer\na,0\n"),
        ("s.csv", "q_uid,answer\na,x\n"),
    ],
)
def test_files_that_are_no_submission(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SubmissionError):
        read_submission(tmp_path / name)


def test_answers_come_from_the_first_sample_and_none_is_minus_one() -> None:
    rows = [make_prediction(0, 3), make_prediction(0, 1, sample=1), make_prediction(1, None)]
    assert answers_of(rows, ["q0", "q1"]) == {"q0": 3, "q1": -1}
    assert answers_of(rows, ["q9", "q1", "q0"]) == {"q9": -1, "q0": 3, "q1": -1}  # one was not asked


def test_the_benchmarks_ids() -> None:
    uid = "00b9a0de-c59e-49cb-a127-6081e2fb8c8e"
    assert q_uid(uid) == q_uid(f"egoschema:{uid}") == q_uid(f"egoschema.{uid}") == uid
    assert q_uid("q7") == "q7"


class Server:
    """Answers with given statuses in turn and remembers what it got."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[Any] = []

    def __call__(self, address: str, body: Any) -> tuple[int, str]:
        assert address == SERVER
        self.bodies.append(body)
        status = self.statuses.pop(0)
        if status == 0:
            raise OSError("connection refused")
        return status, f"status {status}"


def test_a_sleeping_server_is_asked_again(tmp_path: Path) -> None:
    path, _ = write_submission(ANSWERS, ANSWERS, tmp_path)
    server, pauses = Server(0, 502, 503, 200), []
    assert submit(path, ANSWERS, server, pauses.append) == "status 200"
    assert pauses == list(COLD_START_SECONDS[:3])
    assert server.bodies == [{"a": 0, "b": 4, "c": -1}] * 4
    assert (tmp_path / "submission.reply.txt").read_text() == "status 200"


def test_a_server_that_never_wakes_leaves_the_file(tmp_path: Path) -> None:
    path, _ = write_submission(ANSWERS, ANSWERS, tmp_path)
    with pytest.raises(SubmissionError, match="the file is valid: try again later"):
        submit(path, ANSWERS, Server(*[503] * 5), lambda seconds: None)
    assert read_submission(path) == ANSWERS


def test_a_refusal_is_not_repeated_and_a_bad_file_is_not_sent(tmp_path: Path) -> None:
    path, _ = write_submission(ANSWERS, ANSWERS, tmp_path)
    refusing = Server(400)
    with pytest.raises(SubmissionError, match="status 400"):
        submit(path, ANSWERS, refusing, lambda seconds: None)
    with pytest.raises(SubmissionError, match="missing"):
        submit(path, {*ANSWERS, "d"}, refusing, lambda seconds: None)
    assert len(refusing.bodies) == 1


def test_all_5031_real_questions_make_a_valid_submission(shared: Path, tmp_path: Path) -> None:
    """Answers by a rule that looks at nothing (the longest option), on the real ids and options."""
    rows = pq.read_table(shared / "egoschema/questions_mc_5031.parquet").to_pylist()
    answers = {row["video_idx"]: max(range(5), key=lambda i, o=row["option"]: len(o[i])) for row in rows}
    paths = write_submission(answers, [row["video_idx"] for row in rows], tmp_path)
    for path in paths:
        kept = read_submission(path)
        validate_submission(kept, answers, unanswered_allowed=False)
        assert len(kept) == 5031
    assert set(kept.values()) == {0, 1, 2, 3, 4}
