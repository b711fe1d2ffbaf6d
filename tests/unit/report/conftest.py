"""A small run of the pipeline, made once."""

from pathlib import Path

import pytest

from pipeline.report.inputs import ReportInputs, read_inputs
from tests.support.report_run import make_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the run."""
    root = tmp_path_factory.mktemp("run")
    make_run(root)
    return root


@pytest.fixture
def inputs(run_folder: Path) -> ReportInputs:
    """What the report reads of it."""
    return read_inputs(run_folder)
