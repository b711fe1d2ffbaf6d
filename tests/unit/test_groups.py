"""With several processes, tests that share a costly fixture stay in one of them."""

import os
import subprocess
import sys
from pathlib import Path

TEST = """
import os
import pytest

@pytest.mark.xdist_group("costly")
@pytest.mark.parametrize("i", range(3))
def test_here(i):
    with open({log!r}, "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def test_a_group_stays_in_one_process(tmp_path: Path) -> None:
    """pytest 9.2 makes xdist 3.8 ignore groups without a word (pytest-xdist #1386): servers are then made twice."""
    log = tmp_path / "log"
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(TEST.format(log=str(log)), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    workers = log.read_text(encoding="utf-8").split()
    assert len(workers) == 6 and len(set(workers)) == 1
