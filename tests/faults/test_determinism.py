"""Same params, same hashes: whatever the number of workers, locale, time zone, hash seed, clock and directory."""

from pathlib import Path

import pytest

from tests.faults.campaign import make_tiny, undisturbed
from tests.faults.conftest import Campaign
from tests.faults.harness import products, stages_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

# The clock jumps by days, back and forth, at every look at it.
JUMPING_CLOCK = """
import itertools, time
_real, _jumps = time.time, itertools.cycle((0.0, 86400.0, -86400.0, 3.0e7))
time.time = lambda: _real() + next(_jumps)
"""


def test_another_machine_makes_the_same_bytes(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"LC_ALL": "C", "LANG": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "4711"}
    for name, value in other.items():
        monkeypatch.setenv(name, value)
    project = make_tiny(tmp_path / "some where else" / "ünïcode")
    project.change({"machine.workers": 1})
    (project.root / "sitecustomize.py").write_text(JUMPING_CLOCK)
    with stages_of(project) as stages:
        undisturbed(stages)
    first, second = products(campaign.stages.project.root), products(project.root)
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    assert differing == []
    assert len(first) > 50
