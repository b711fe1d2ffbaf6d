"""What is edited while a stage runs: the stage computes with what it started from, and never records anything else."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.errors import ArtifactError
from pipeline.picture import VARIABLE, read_picture, watching
from pipeline.provenance import disagreements, dvc_digest, refuse_disagreements

STAGE = "download_videos"
DVC_YAML = f"""stages:
  {STAGE}:
    cmd: python -m pipeline.stages {STAGE}
    deps: [pipeline/stages/{STAGE}.py, pipeline/sources, inputs]
    params: [seed, download_videos]
    outs: [data/raw]
"""
READER = """
  prepare_questions:
    cmd: python -m pipeline.stages prepare_questions
    deps: [data/raw/videos.parquet]
    outs: [data/questions]"""
WAITING = f"""
import time
from pathlib import Path


def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.01)


def run(params, root, report):
    (root / "data/checkpoints/{STAGE}").mkdir(parents=True)
    report.state.append(root / "data/checkpoints/{STAGE}")
    Path("started").touch()
    wait_for("import")
    from pipeline.sources.late import VALUE

    Path("imported").touch()
    wait_for("end")
    report.values["late"] = VALUE
"""


class Running:
    """A stage that runs in its own project, held at three points by files."""

    def __init__(self, root: Path, *command: str) -> None:
        self.root = root
        command = command or (sys.executable, "-W", "ignore", "-m", "pipeline.stages", STAGE)
        environment = {**os.environ, "DVC_STAGE": STAGE, "PYTHONPATH": ""}
        self.process = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True)
        self._until("started")

    def imports(self) -> None:
        """Let it import what it has not imported yet."""
        (self.root / "import").touch()
        self._until("imported")

    def ends(self) -> tuple[int, str]:
        """Let it come to its end; exit code and what it said."""
        for name in ("import", "end"):
            (self.root / name).touch()
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said

    def _until(self, name: str) -> None:
        while not (self.root / name).exists():
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.01)


@pytest.fixture
def root(tmp_path: Path, repository: Path) -> Path:
    shutil.copytree(repository / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / f"pipeline/stages/{STAGE}.py").write_text(WAITING)
    (tmp_path / "pipeline/sources/late.py").write_text("VALUE = 1\n")
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs/list.txt").write_text("a\n")
    return tmp_path


@pytest.fixture
def start(root: Path) -> Iterator[Callable[[], Running]]:
    started: list[Running] = []
    yield lambda: started.append(Running(root)) or started[-1]
    for running in started:
        running.process.kill()
        running.process.communicate()


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_what_nobody_touched_says_what_it_ran_from(root: Path, start: Callable[[], Running]) -> None:
    (root / f"data/.locks/{STAGE}.999999999/pipeline").mkdir(parents=True)  # left by a killed run
    code, said = start().ends()
    report = json.loads((root / f"data/reports/{STAGE}.json").read_text())
    assert (code, said, report["values"]) == (0, "", {"late": 1})
    assert report["ran_from"]["params"]["seed"] == yaml.safe_load((root / "params.yaml").read_text())["seed"]
    assert report["ran_from"]["code"]["pipeline/sources"] == dvc_digest(root / "pipeline/sources")
    assert [path.name for path in (root / "data/.locks").iterdir()] == [STAGE]  # no picture is left
    assert not (root / f"data/checkpoints/{STAGE}").exists()


@pytest.mark.parametrize(
    ("path", "before", "after", "message"),
    [
        ("params.yaml", "seed: 0", "seed: 7", "params.yaml: seed changed from 0 to 7"),
        ("pipeline/sources/late.py", "1", "2", "pipeline/sources/late.py changed"),
        ("inputs/list.txt", "a", "ab", "inputs/list.txt changed"),
    ],
)
def test_a_change_that_dvc_would_record_fails_the_stage(
    root: Path, start: Callable[[], Running], path: str, before: str, after: str, message: str
) -> None:
    running = start()
    replace(root / path, before, after)
    code, said = running.ends()
    assert code == 1
    assert f"egovlm {STAGE}: StageError: {message} while {STAGE} ran. The result is not recorded" in said
    assert not (root / f"data/reports/{STAGE}.json").exists()
    assert (root / f"data/checkpoints/{STAGE}").is_dir()  # it can go on


def test_a_change_that_is_undone_or_not_the_stages_own_is_harmless(root: Path, start: Callable[[], Running]) -> None:
    running, late = start(), root / "pipeline/sources/late.py"
    replace(late, "1", "2")
    running.imports()
    replace(late, "2", "1")
    replace(root / "params.yaml", "\ntrain_grpo:", "\ntrain_grpo:  # somebody else's section")
    replace(root / "pipeline/grpo/run.py", '"""', '"""Edited. ')
    assert running.ends()[0] == 0
    report = json.loads((root / f"data/reports/{STAGE}.json").read_text())
    assert report["values"] == {"late": 1}  # imported while the file said 2


def test_a_change_is_told_when_it_happens(
    root: Path, start: Callable[[], Running], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    running = start()
    picture = root / f"data/.locks/{STAGE}.{running.process.pid}"
    monkeypatch.setenv(VARIABLE, str(picture))
    with watching(read_picture(STAGE), root, seconds=0.01):
        replace(root / "params.yaml", "seed: 0", "seed: 7")
        said = ""
        while "will fail at its end unless you undo the change" not in said:
            said += capfd.readouterr().err
            time.sleep(0.01)
    assert said.count("params.yaml: seed changed from 0 to 7 while it runs") == 1


def test_a_lock_that_names_another_value_or_code_is_found(root: Path, start: Callable[[], Running]) -> None:
    assert start().ends()[0] == 0
    seed = {"seed": 0}
    code = {path: dvc_digest(root / path) for path in ("pipeline/sources", f"pipeline/stages/{STAGE}.py")}

    def lock(code: dict[str, str], params: dict[str, int]) -> None:
        deps = [{"path": path, "md5": digest} for path, digest in code.items()]
        stages = {STAGE: {"deps": deps, "params": {"params.yaml": params}}}
        (root / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))

    lock(code, seed)
    assert disagreements(root) == {}
    lock({**code, "pipeline/sources": "0" * 32 + ".dir"}, {"seed": 9})
    found = ["the code of pipeline/sources differs", "seed was 0, dvc.lock says 9"]
    assert disagreements(root) == {STAGE: found}
    with pytest.raises(ArtifactError, match=f"seed was 0, dvc.lock says 9.*egovlm run {STAGE} --force"):
        refuse_disagreements(root)
    refuse_disagreements(root, ["prepare_questions"])
    (root / "dvc.yaml").write_text(DVC_YAML.replace("stages:", f"stages:{READER}"))  # what reads it does not start
    command = [sys.executable, "-W", "ignore", "-m", "pipeline.stages", "prepare_questions"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and f"ArtifactError: dvc.lock does not match what {STAGE} ran from" in done.stderr

    (root / "dvc.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(ArtifactError, match=r"dvc\.lock cannot be read"):
        disagreements(root)


def test_dvc_itself_writes_no_lock_for_a_stage_that_was_edited(root: Path) -> None:
    for command in (["git", "init", "-q"], [sys.executable, "-W", "ignore", "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # dvc.yaml says `python`
    repro = ("env", f"PATH={path}", sys.executable, "-W", "ignore", "-m", "dvc", "repro")
    running = Running(root, *repro)
    try:
        replace(root / "params.yaml", "seed: 0", "seed: 7")
        code, said = running.ends()
        assert code != 0 and "params.yaml: seed changed from 0 to 7 while download_videos ran" in said
        assert not (root / "dvc.lock").exists()
    finally:
        running.process.kill()
