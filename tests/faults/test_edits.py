"""A reduced form of the campaign of edits: two stages, two random moments for each kind of edit."""

from pathlib import Path

import pytest

from tests.faults.edits import campaign, instrumented

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


def test_no_edit_makes_a_false_record_or_costs_a_checkpoint(tmp_path: Path) -> None:
    results = campaign(instrumented(tmp_path / "finished"), ("prepare_questions", "train_grpo"), moments=2, seed=4)
    assert sum(result.tries for result in results) == 10
    assert [str(result) for result in results if result.false or result.lost or result.problems] == []
    assert sum(result.refused for result in results) > 0  # it did hit
