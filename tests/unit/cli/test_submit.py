"""`egovlm submit` holds a file to the benchmark's own questions, never to the file itself. Nothing is sent here."""

import json
from pathlib import Path

import pytest
import typer

from pipeline.cli import main
from pipeline.files import write_json

IDS = ["q0", "q1", "q2"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EGOVLM_PROJECT", raising=False)


def _submit(answers: dict[str, int], *more: str) -> int:
    Path("s.json").write_text(json.dumps(answers))
    return main(["submit", "s.json", *more])


def test_a_part_of_the_questions_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(Path("data/raw/benchmarks.json"), {"egoschema": {"questions": IDS, "answered": []}})
    assert _submit({"q0": 1}) == 1
    assert "submission of 1: missing 2 ids (q1, q2 ...)" in capsys.readouterr().err


def test_every_question_is_counted_before_anybody_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(Path("data/raw/benchmarks.json"), {"egoschema": {"questions": IDS, "answered": []}})
    monkeypatch.setattr("typer.confirm", _says_no)
    assert _submit({"q0": 1, "q1": -1, "q2": -1}) != 0
    assert "s.json: 1 of 3 questions answered, 2 not (counted as wrong)" in capsys.readouterr().out


def _says_no(*_: object, **__: object) -> bool:
    raise typer.Abort


def test_without_a_benchmark_the_question_file_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert _submit({"q0": 1}) == 1
    assert "run `dvc repro download_videos`" in capsys.readouterr().err
    write_json(Path("data/raw/benchmarks.json"), {})
    assert _submit({"q0": 1}) == 1
    assert "name EgoSchema's question file with --questions" in capsys.readouterr().err
    Path("questions.json").write_text(json.dumps([{"q_uid": uid} for uid in IDS]))
    assert _submit({"q0": 1}, "--questions", "questions.json") == 1
    assert "missing 2 ids" in capsys.readouterr().err
