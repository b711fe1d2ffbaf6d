"""The command: help, one-line errors, exit codes, JSON; `python -m pipeline` is the same."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import build_app, main

COMMANDS = {
    "doctor", "init", "profile", "frames", "keyframes", "ask", "submit", "run", "compare", "promote", "rollback",
    "push", "runs",
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
        (
            ["ask", "https://example.org/x.mp4", "what?"],
            1,
            "is a web address, but egovlm reads files: download it first",
        ),
        (["frames", "."], 1, "not_a_file: . is a folder: name one video file"),
        (["ask", "s3://bucket/x.mp4", "what?"], 1, "is a web address"),
        (["ask", "README.md", "what?"], 1, "not_a_video: 'README.md': Invalid data found"),
        (["keyframes", "missing.mp4"], 1, "missing_file"),
        (["submit", "missing.json"], 1, "no submission file"),
        (["profile", "nope"], 1, "unknown profile 'nope'"),
        (["ask", "README.md", "what \udcff?"], 2, r"'what \udcff?' is not UTF-8 text: convert it"),
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


def test_what_cannot_be_written_is_one_line(repository: Path, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = str(repository / "params.yaml")
    assert main(["frames", str(video), "--out", "/proc/x.jpg", "--params", params]) == 1
    assert capsys.readouterr().err == "egovlm: /proc/x.jpg: No such file or directory\n"


def test_outside_a_checkout_the_file_is_looked_at_first_and_the_way_in_is_named(
    tmp_path: Path,
    repository: Path,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EGOVLM_PROJECT", raising=False)
    assert main(["frames", "missing.mp4"]) == 1
    assert "missing_file" in capsys.readouterr().err
    assert main(["frames", str(video)]) == 1
    assert "set EGOVLM_PROJECT to one, or name a file with --params" in capsys.readouterr().err
    monkeypatch.setenv("EGOVLM_PROJECT", str(repository))
    assert main(["frames", str(video), "--json"]) == 0
    assert (tmp_path / "jump.frames.jpg").is_file()


def test_the_shell_completes_commands_and_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {**os.environ, "_EGOVLM_COMPLETE": "complete_bash", "COMP_WORDS": "egovlm ro", "COMP_CWORD": "1"}
    code = "import sys; from pipeline.cli import main; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["rollback"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("egovlm 0.")
