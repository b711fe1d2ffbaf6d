"""Every stage, disturbed at random moments, is whole after the next run."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.campaign import clear, disturb
from tests.faults.conftest import Campaign
from tests.faults.forked import STAGES
from tests.faults.harness import leftovers, products

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("stage", STAGES)
def test_ten_kills_of_a_stage_leave_no_trace(campaign: Campaign, stage: str) -> None:
    outcomes = disturb(campaign.stages, stage, campaign.seconds[stage], 10, signal.SIGKILL, campaign.random)
    print(outcomes)
    assert (outcomes.hit, outcomes.recovered, outcomes.problems) == (10, 10, [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_ends_soon_when_told_to_and_goes_on(campaign: Campaign, stage: str, number: signal.Signals) -> None:
    outcomes = disturb(campaign.stages, stage, campaign.seconds[stage], 3, number, campaign.random)
    print(outcomes)
    assert (outcomes.recovered, outcomes.problems) == (outcomes.hit, [])


def test_dvc_repro_finishes_after_dvc_itself_was_killed(campaign: Campaign) -> None:
    """No orphan of the first goes on writing, and the second needs no hand."""
    project = campaign.stages.project
    project.run("dvc", "commit", "--force", "--quiet")
    wanted = products(project.root)
    for stage in ("extract_frames", "train_grpo"):
        clear(project.root, stage)
        # forced: DVC would take what is in its cache, and nothing would run
        command = [sys.executable, "-m", "dvc", "repro", "--single-item", "--force", "--no-run-cache", stage]
        first = subprocess.Popen(command, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_at_work(first, project.root / "data/.locks" / stage)
        time.sleep(campaign.seconds[stage] / 3)
        assert first.poll() is None, f"{stage} was over before it could be killed"
        first.kill()
        first.wait()
        project.run("dvc", "repro")
        assert products(project.root) == wanted
        assert leftovers(project.root) == []


def wait_until_at_work(dvc: "subprocess.Popen[bytes]", lock: Path) -> None:
    """Until a process below `dvc` holds the stage's lock: before that nothing is running."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        below = {str(process.pid) for process in psutil.Process(dvc.pid).children(recursive=True)}
        if lock.read_text() in below:
            return
        time.sleep(0.02)
    raise AssertionError(f"no process took {lock}")
