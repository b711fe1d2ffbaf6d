"""docs/extend.md's steps by the letter: its new files are written and its diffs applied, in a copy of the code."""

import re
import shutil
from pathlib import Path

STEP = re.compile(r"^`(?P<path>[\w/.]+)`(?P<new>, new)?:\n\n```(?:python|diff)\n(?P<body>.*?)^```$", re.M | re.S)
COPIED = ("pipeline", "flows", "tests", "benchmarks", "profiles", "docs")
FILES = ("params.yaml", "dvc.yaml", "pyproject.toml", "prefect.yaml", "constraints.txt")


def copy_code(repository: Path, target: Path) -> Path:
    """The code in a folder of its own."""
    for name in COPIED:
        shutil.copytree(repository / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(repository / name, target / name)
    return target


def follow(page: str, root: Path) -> list[str]:
    """Execute every step of `page` in `root`; the files that were made or changed."""
    done = []
    for step in STEP.finditer(page):
        path = root / step["path"]
        if step["new"]:
            assert not path.exists(), f"{path} is there already"
            path.write_text(step["body"], encoding="utf-8")
        else:
            path.write_text(_patched(path.read_text(encoding="utf-8"), step["body"]), encoding="utf-8")
        done.append(step["path"])
    return done


def _patched(text: str, diff: str) -> str:
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines()
        before = "".join(line[1:] + "\n" for line in lines if line[:1] in " -")
        after = "".join(line[1:] + "\n" for line in lines if line[:1] in " +")
        assert text.count(before) == 1, f"stands {text.count(before)} times in the file:\n{before}"
        text = text.replace(before, after)
    return text
