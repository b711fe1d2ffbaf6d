"""Every command of the README and of the pages for users exists, and names things that exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from dvc.cli.parser import get_main_parser
from typer.main import get_command

from flows.run import _parse
from pipeline.cli import build_app

PAGES = ("README.md", "docs/start.md", "docs/your_videos.md", "docs/full_scale.md")


def _blocks(repository: Path, language: str) -> list[str]:
    text = "".join((repository / page).read_text(encoding="utf-8") for page in PAGES)
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def commands(repository: Path) -> list[list[str]]:
    joined = "".join(_blocks(repository, "bash")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in joined.splitlines()]
    found = [words for words in lines if words]
    assert len(found) > 12
    return found


def test_make_verbs(repository: Path, commands: list[list[str]]) -> None:
    verbs = {words[1] for words in commands if words[0] == "make"}
    assert {"run", "test", "ui"} <= verbs
    targets = set(re.findall(r"^([a-z]+):", (repository / "Makefile").read_text(), flags=re.MULTILINE))
    assert verbs <= targets


def test_egovlm_commands_and_their_options(commands: list[list[str]]) -> None:
    known = get_command(build_app()).commands  # type: ignore[attr-defined]
    used = [words for words in commands if words[0] == "egovlm"]
    assert len(used) >= 5
    for words in used:
        assert words[1] in known, words
        if words[1] == "run":  # hands its arguments on to flows.run
            continue
        options = {option for parameter in known[words[1]].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


def test_every_line_is_of_a_program_whose_lines_are_checked_here(commands: list[list[str]]) -> None:
    assert {words[0] for words in commands} == {".", "make", "egovlm", "dvc", "prefect"}


def test_dvc_understands_its_lines(commands: list[list[str]]) -> None:
    parser = get_main_parser()
    used = [words[1:] for words in commands if words[0] == "dvc"]
    assert len(used) >= 4
    for words in used:
        assert parser.parse_args(words).func is not None, words


def test_runs_name_stages(repository: Path, commands: list[list[str]]) -> None:
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    runs = [_parse(words[2:]) for words in commands if words[:2] == ["egovlm", "run"]]
    assert len(runs) >= 2
    assert {target for run in runs for target in run.targets} <= set(stages)
    assert all("=" in setting for run in runs for setting in run.set)


def test_deployments(repository: Path, commands: list[list[str]]) -> None:
    declared = {d["name"] for d in yaml.safe_load((repository / "prefect.yaml").read_text())["deployments"]}
    runs = [words for words in commands if words[:3] == ["prefect", "deployment", "run"]]
    assert runs
    for words in runs:
        flow, _, name = words[3].partition("/")
        assert flow.startswith("egovlm")
        assert name in declared


def test_params_named_exist(repository: Path, commands: list[list[str]]) -> None:
    params = yaml.safe_load((repository / "params.yaml").read_text())
    settings = [words[i + 1] for words in commands for i, word in enumerate(words[:-1]) if word in ("-S", "--set")]
    assert settings
    for setting in settings:
        section, *path = setting.partition("=")[0].split(".")
        here = params[section]
        for part in path[:-1]:
            here = here[part]
        assert path[-1] in here or path[:-1] == ["sources"], setting


def test_links_lead_somewhere(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t]
    assert targets
    assert [t for t in targets if not (repository / t).exists()] == []
