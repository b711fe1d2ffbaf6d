"""Edits while a stage runs, at random moments: what dvc.lock then says, and what ran. A table by stage and kind.

    python -m tests.faults.edits [--moments 10] [--stages ...]

Every try starts from a finished project, runs `dvc repro --single-item --force STAGE`, and edits one file at some
moment while it runs. The edit is a value of the stage's own params, the stage's own code, or other code. What ran is
witnessed from outside: the project's copy of `run_stage` prints the params it works with, and the edited code prints
a line when it is imported. A record is false if DVC wrote one that names another value or code than those.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.provenance import disagreements, dvc_digest, value_at
from tests.faults.campaign import make_tiny
from tests.faults.forked import STAGES
from tests.toy.project import Project

KINDS = ("params", "code", "other code")
NEW_CODE = "WITNESS new code"
_LOADED = '    params = load_params(home_of(root) / "params.yaml")\n'
_WITNESS = """\
    print("WITNESS params " + __import__("json").dumps(params.model_dump(mode="json")), file=sys.stderr, flush=True)
"""
_REFUSED = "The result is not recorded"


@dataclass
class Edits:
    """What became of the edits of one kind during one stage."""

    stage: str
    kind: str
    refused: int = 0  # the stage failed and said why; nothing was recorded
    before: int = 0  # the edit was there before the stage took its picture: it ran with it
    after: int = 0  # the stage had ended with the old one
    caught: int = 0  # DVC wrote a record that is not true; the comparison with the report finds it
    false: int = 0  # such a record, and nothing finds it
    lost: int = 0  # a refused training whose checkpoints are gone
    tries: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = "  ".join(f"{name} {getattr(self, name):>2}" for name in ("refused", "before", "after", "caught"))
        return f"{self.stage:<19} {self.kind:<11} {counts}  FALSE {self.false}  lost {self.lost}  {self.problems or ''}"


@dataclass(frozen=True)
class Edit:
    """One edit: the file, its text before and after, and for params the key and both values."""

    path: Path
    old: str
    new: str
    key: str = ""
    values: tuple[float, float] = (0.0, 0.0)


def instrumented(folder: Path) -> Project:
    """A finished tiny project whose stages say which params they work with."""
    project = make_tiny(folder)
    main = project.root / "pipeline/stages/__main__.py"
    text = main.read_text(encoding="utf-8")
    assert text.count(_LOADED) == 1
    main.write_text(text.replace(_LOADED, _LOADED + _WITNESS), encoding="utf-8")
    project.run("git", "commit", "-qam", "witness")
    project.run("dvc", "repro", "-q")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "a finished run")
    return project


def edit_of(root: Path, stage: str, kind: str) -> Edit:
    """The edit of a kind that matters (or must not matter) to a stage."""
    if kind == "params":
        return _param_edit(root, stage)
    other = STAGES[(STAGES.index(stage) + 1) % len(STAGES)]
    path = root / f"pipeline/stages/{stage if kind == 'code' else other}.py"
    text = path.read_text(encoding="utf-8")
    return Edit(path, text, text + f'\n__import__("sys").stderr.write("{NEW_CODE}\\n")\n')


def _param_edit(root: Path, stage: str) -> Edit:
    path = root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    listed = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["params"]
    key, old = next(_numbers(value_at(values, listed[-1]), listed[-1]))
    new = old * 1.25 if isinstance(old, float) else old + 1
    *parents, last = key.split(".")
    section = values
    for part in parents:
        section = section[part]
    section[last] = new
    return Edit(path, text, yaml.safe_dump(values, sort_keys=False), key, (old, new))


def _numbers(value: Any, key: str) -> Any:
    """(key, number) of every number that may be a little larger."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, f"{key}.{name}")
    elif isinstance(value, int | float) and not isinstance(value, bool) and value:
        yield key, value


def try_once(finished: Path, stage: str, kind: str, moment: float, result: Edits) -> None:
    """One edit at `moment` (a share of the stage's time), and what came of it."""
    with tempfile.TemporaryDirectory(prefix="edits-") as folder:
        root = Path(folder, "project")
        shutil.copytree(finished, root, symlinks=True)
        edit = edit_of(root, stage, kind)
        result.tries += 1
        said, code = _run(root, stage, moment * _seconds[stage], edit)
        ran_new = _ran_new(said, edit, stage)
        locked_new = _locked_new(root, stage, edit, kind)
        if code:
            result.refused += _REFUSED in said
            if _REFUSED not in said:
                result.problems.append(said.strip().splitlines()[-1][-200:])
            result.lost += stage == "train_grpo" and not (root / "data/checkpoints/train_grpo").is_dir()
        elif kind != "other code" and ran_new != locked_new:
            found = stage in disagreements(root)
            result.caught += found
            result.false += not found
        else:
            result.before += ran_new
            result.after += not ran_new


_seconds: dict[str, float] = {}


def _run(root: Path, stage: str, seconds: float, edit: Edit | None) -> tuple[str, int]:
    command = [sys.executable, "-W", "ignore", "-m", "dvc", "repro", "--single-item", "--force", stage]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=root, stdout=output, stderr=subprocess.STDOUT, env=_environment(root))
        if edit is not None:
            time.sleep(seconds)
            edit.path.write_text(edit.new, encoding="utf-8")
        code = process.wait()
        output.seek(0)
        return output.read(), code


def _environment(root: Path) -> dict[str, str]:
    import os

    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}


def _ran_new(said: str, edit: Edit, stage: str) -> bool:
    if not edit.key:
        return NEW_CODE in said
    witness = re.search(r"^WITNESS params (.*)$", said, re.MULTILINE)
    return witness is not None and float(value_at(json.loads(witness[1]), edit.key)) == float(edit.values[1])


def _locked_new(root: Path, stage: str, edit: Edit, kind: str) -> bool:
    entry = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"][stage]
    if kind == "params":
        return float(value_at(entry["params"]["params.yaml"], edit.key)) == float(edit.values[1])
    own = edit.path.relative_to(root).as_posix()
    return any(dep["path"] == own and dep["md5"] == dvc_digest(edit.path) for dep in entry["deps"])


def campaign(project: Project, stages: Sequence[str], moments: int, seed: int = 0) -> list[Edits]:
    """Edit every kind of file at `moments` random moments of every stage."""
    rng, results = random.Random(seed), []
    for stage in stages:
        with tempfile.TemporaryDirectory(prefix="edits-") as folder:
            root = Path(folder, "project")
            shutil.copytree(project.root, root, symlinks=True)
            started = time.monotonic()
            said, code = _run(root, stage, 0.0, None)
            assert code == 0, said[-3000:]
            _seconds[stage] = time.monotonic() - started
        for kind in KINDS:
            result = Edits(stage, kind)
            for _ in range(moments if kind != "other code" else max(1, moments // 5)):  # nothing can come of it
                try_once(project.root, stage, kind, rng.random(), result)
            print(f"{result}  ({_seconds[stage]:.1f} s)", flush=True)
            results.append(result)
    return results


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=10)
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edits-") as folder:
        results = campaign(instrumented(Path(folder, "finished")), options.stages, options.moments)
    false, lost = sum(r.false for r in results), sum(r.lost for r in results)
    print(f"{sum(r.tries for r in results)} edits: {false} false records, {lost} lost checkpoints")


if __name__ == "__main__":
    main()
