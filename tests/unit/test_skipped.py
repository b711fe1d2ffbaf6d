"""A run says what it left out, and a run that must not leave a group out fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.skipped import MUST_RUN, VARIABLE, closing_line, left_out

RAN = [prefixes[0] + "test_a.py::test_b" for prefixes in MUST_RUN.values()]


def test_the_line_groups_by_reason() -> None:
    skips = [("a", "no CUDA device"), ("b", "no Chromium"), ("c", "no CUDA device")]
    assert closing_line(skips) == "Skipped, not passed: 3: 2 no CUDA device; 1 no Chromium"
    assert closing_line([]) == "Skipped: none"


def test_a_group_that_must_run() -> None:
    assert left_out(RAN, [("tests/gpu/test_a.py::b", "no CUDA device")]) == []
    assert left_out(RAN, [("tests/flows/test_s3.py::b", "needs dvc[s3] and EGOVLM_MOTO_SERVER, the path")]) == []
    assert left_out(RAN, [("tests/flows/test_a.py::b", "no server")]) == [
        "flows: 1 skipped, first tests/flows/test_a.py::b (no server)"
    ]
    assert left_out(RAN[1:], []) == ["contracts: no test ran"]


def test_every_group_exists(repository: Path) -> None:
    for prefixes in MUST_RUN.values():
        for prefix in prefixes:
            assert (repository / prefix).exists(), prefix


@pytest.mark.parametrize("must_run", ["", "1"])
def test_a_run_in_which_a_group_did_not_run(must_run: str, repository: Path) -> None:
    environment = {**os.environ, VARIABLE: must_run}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/unit/test_skipped.py", "-k", "the_line"],
        cwd=repository, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed" in done.stdout
    assert "Skipped: none" in done.stdout
    assert ("must run here: contracts: no test ran" in done.stdout) == bool(must_run)
    assert done.returncode == (1 if must_run else 0)
