"""The command: help, one-line errors, exit codes, JSON; `python -m pipeline` is the same."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import build_app, main

COMMANDS = {
    "doctor", "profile", "frames", "keyframes", "ask", "submit", "run", "compare", "promote", "rollback",
}  # fmt: skip


def _names() -> set[str]:
    app = build_app()
    return {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}


def test_every_command_is_there_and_helps_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert _names() == COMMANDS
    for name in sorted(COMMANDS):
        assert main([name, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"egovlm {name}" in text.partition("Examples:")[2], name


def test_help_is_quick_and_the_module_is_the_same_command() -> None:
    heavy = "set(sys.modules) & {'torch', 'av', 'dvc', 'prefect', 'great_expectations'}"
    code = f"import sys; from pipeline.cli import main; main(['--help']); sys.exit(', '.join({heavy}))"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    direct = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1  # CPU seconds
    assert direct.stderr.strip() == ""
    module = subprocess.run([sys.executable, "-m", "pipeline"], capture_output=True, text=True, check=False)
    assert (module.returncode, module.stdout) == (0, direct.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope"], 2, "No such command 'nope'. (`egovlm --help` shows how)"),
        (["frames"], 2, "Missing argument 'VIDEO'. (`egovlm frames --help` shows how)"),
        (["ask", "missing.mp4", "what?"], 1, "missing_file"),
        (["ask", "https://example.org/x.mp4", "what?"], 1, "download the address first"),
        (["frames", "."], 1, "not_a_file"),
        (["keyframes", "missing.mp4"], 1, "missing_file"),
        (["submit", "missing.json"], 1, "no submission file"),
        (["profile", "nope"], 1, "unknown profile 'nope'"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    repository: Path,
) -> None:
    monkeypatch.chdir(repository)
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("egovlm: ")
    assert error.count("\n") == 1
    assert words in error
