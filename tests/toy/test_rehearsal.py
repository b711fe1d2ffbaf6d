"""The core of `make rehearse`, smaller: the full profile's nine stages on a stand-in that a loopback hub serves."""

from pathlib import Path

import pytest

from benchmarks.rehearsal.__main__ import rehearse
from benchmarks.rehearsal.place import Place, Scale
from benchmarks.rehearsal.plan import CORE, OPENED


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_full_profile_runs_on_a_stand_in(tmp_path: Path) -> None:
    """Everything is made here: what lies beside the repository is not read."""
    place = Place(tmp_path, None, Scale(clips=3, shorts=6, longs=1, clip_rate=2))
    assert rehearse(place, [*CORE, *OPENED]), place.log.read_text()[-4000:]
    assert "4 steps: 4 ok, 0 failed, 0 left out; 0 tracebacks" in (tmp_path / "page.md").read_text()
