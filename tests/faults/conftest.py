"""A finished tiny project, made once, for the tests that disturb stages."""

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.campaign import make_tiny, undisturbed
from tests.faults.harness import Stages, stages_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make faults` runs all of this folder: the quick tests too, with as many generated inputs as budget.py says."""
    for item in items:
        if os.environ.get("EGOVLM_SLOW") and item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.faults)


@dataclass(frozen=True)
class Campaign:
    """The project's stages, how long each takes, and where random moments come from."""

    stages: Stages
    seconds: dict[str, float]
    random: random.Random


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """All stages have run once, undisturbed."""
    if sys.platform != "linux":
        pytest.skip("kills are tested on Linux: the kernel ends orphans there")
    folder: Path = tmp_path_factory.mktemp("campaign")
    with stages_of(make_tiny(folder / "project")) as stages:
        yield Campaign(stages, undisturbed(stages), random.Random(0))
