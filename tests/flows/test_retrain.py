"""Scheduled retraining and the faults it has to live with, against a real server and workers."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Scheduled

from flows.dvc.lock import read_holder
from flows.service.automations import NAME
from flows.service.missed_runs import cancel_missed_runs
from flows.service.ui import POOLS
from pipeline.profiles import write_merged
from tests.flows.service import Service, kill_tree, stage_processes, until
from tests.flows.toy import RecordingRemote, behave, git

pytestmark = pytest.mark.faults

RETRAIN = "egovlm-retrain/nightly"


def _experiments(root: Path) -> set[str]:
    refs = git(root, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    return {ref.rsplit("/", 1)[1] for ref in refs if not ref.startswith("refs/exps/exec/")}


def test_retraining_runs_skips_promotes_and_keeps(service: Service) -> None:
    root = service.project.root
    first = service.run(RETRAIN)
    until(lambda: service.tasks(first.id).get("promotion") == "Promoted", 60, "promoted")
    assert "promoted: gain over its base model (there is no champion yet) +0.2" in (first.state.message or "")
    second = service.run(RETRAIN)
    assert second.state_name == "Skipped" and service.tasks(second.id) == {}
    assert (second.state.message or "").startswith("nothing changed in code, params or data; accuracy 0.500")
    worse = service.run(RETRAIN, overrides={"train_grpo.learning_rate": 4e-4})
    until(lambda: service.tasks(worse.id).get("promotion") == "Kept", 60, "kept")
    assert "kept the champion: gain over the champion -0." in (worse.state.message or "")
    assert len(_experiments(root)) == 2
    message = git(root, "log", "-1", "--format=%B", git(root, "rev-parse", "egovlm-policy@v1.0.0^{commit}"))
    assert str(first.id) in message and first.name.startswith("retrain-")


def test_two_schedules_do_not_overlap_and_a_stuck_run_is_ended(service: Service) -> None:
    root = service.project.root
    behave(root, "extract_frames", "sleep=60")
    slow = service.start()
    until(lambda: stage_processes("extract_frames", root), 120, "a run is at work")
    overlapping = service.run(RETRAIN)
    assert overlapping.state_name == "Skipped"
    assert f"run {slow} (process " in (overlapping.state.message or "")
    assert len(stage_processes("extract_frames", root)) == 1
    behave(root, "extract_frames", None)
    for process in stage_processes("extract_frames", root):
        process.suspend()  # stuck: alive and silent
    until(lambda: time.time() - (service.project.private / "alive").stat().st_mtime > 2.5, 60, "it has said nothing")
    taking_over = service.run(RETRAIN, stuck_minutes=2 / 60)
    assert taking_over.state is not None and taking_over.state.is_completed() and taking_over.state_name != "Skipped"
    assert not stage_processes("extract_frames", root)
    assert service.wait(slow, 60).state_name in ("Crashed", "Failed", "Cancelled")


def test_kill_9_of_flow_and_trainer_loses_no_finished_stage_and_training_resumes(service: Service) -> None:
    root = service.project.root
    behave(root, "train_grpo", "sleep=60")
    run_id = service.start()
    until(lambda: stage_processes("train_grpo", root), 120, "the trainer runs")
    holder = until(lambda: read_holder(service.project), 60, "the run holds the project")
    os.kill(holder.pid, signal.SIGKILL)
    until(lambda: not stage_processes("train_grpo", root), 60, "the guard ended the trainer")
    behave(root, "train_grpo", "resume=1")  # dies once more, with a checkpoint
    killed = service.run()
    assert killed.state is not None and killed.state.is_failed() and "ended by SIGKILL" in (killed.state.message or "")
    assert service.wait(run_id, 30).state_name == "Crashed"
    again = service.run()
    until(lambda: service.tasks(again.id).get("save_experiment") == "Completed", 60, "all states are known")
    tasks = service.tasks(again.id)
    assert tasks["download_videos"] == tasks["extract_frames"] == "Cached" and tasks["train_grpo"] == "Completed"
    assert "train_grpo: resumed from step 1" in service.logs(again.id)


def test_a_worker_and_a_server_that_die_are_survived(service: Service) -> None:
    root, machine = service.project.root, service.machine
    behave(root, "train_grpo", "sleep=8")
    run_id = service.start()
    until(lambda: stage_processes("train_grpo", root), 120, "the trainer runs")
    machine.processes["server"].kill()  # the API is gone for a while
    machine.processes["server"].wait()
    time.sleep(2)
    machine.start_server()
    run = service.wait(run_id, 90)
    assert run.state is not None and run.state.is_completed(), run.state

    behave(root, "extract_frames", "sleep=60")
    run_id = service.start(force=["extract_frames"])
    until(lambda: stage_processes("extract_frames", root), 120, "the stage runs")
    worker = machine.processes["worker-cpu"]
    kill_tree(worker)
    until(lambda: not stage_processes("extract_frames", root), 60, "nothing of it is left")
    machine.start_worker("cpu", root)
    behave(root, "extract_frames", None)
    after = service.run()
    assert after.state is not None and after.state.is_completed()
    assert service.read(run_id).state_name == "Crashed"  # the next run had the proof that it was dead


def test_a_worker_that_is_told_to_end_takes_its_trainer_with_it(service: Service) -> None:
    root, machine = service.project.root, service.machine
    behave(root, "train_grpo", "sleep=60")
    run_id = service.start()
    until(lambda: stage_processes("train_grpo", root), 60, "the trainer runs")
    worker = machine.processes["worker-cpu"]
    worker.terminate()
    until(lambda: not stage_processes("train_grpo", root), 15, "the trainer is gone")
    worker.wait(60)
    behave(root, "train_grpo", None)
    machine.start_worker("cpu", root)
    after = service.run()
    assert after.state is not None and after.state.is_completed(), after.state
    assert service.read(run_id).state_name in ("Crashed", "Cancelled", "Failed")  # and not Running for ever


def test_what_a_remote_did_not_take_is_sent_by_the_next_night(service: Service, tmp_path: Path) -> None:
    """Runs and promotions are complete before anything is sent; with the setting unset nothing ever is."""
    root = service.project.root
    origin = RecordingRemote(root, tmp_path / "origin.git")
    assert service.run().state_name == "Completed"
    promoted = service.run(RETRAIN)
    until(lambda: service.tasks(promoted.id).get("promotion") == "Promoted", 60, "promoted")
    assert "publish" not in service.tasks(promoted.id) and origin.pushed() == []

    write_merged(root, {"publish": {"git_remote": "origin"}})
    origin.refuses.touch()
    changed = {"train_grpo.learning_rate": 8e-4}
    failed = service.run(RETRAIN, overrides=changed)
    until(lambda: service.tasks(failed.id).get("promotion") == "Promoted", 60, "promoted without push rights")
    assert failed.state is not None and failed.state.is_failed()
    assert "not sent: experiment retrain-" in (failed.state.message or "") and origin.pushed() == []
    origin.refuses.unlink()
    sent = service.run(RETRAIN, overrides=changed)
    assert sent.state_name == "Cached" and "sent to origin: refs/exps/" in (sent.state.message or ""), sent.state
    announced = (sent.state.message or "").partition("sent to origin: ")[2].partition(", no data")[0].split()
    assert sorted(origin.pushed()) == sorted(announced) and len(announced) == 5  # the new run; both champions
    assert service.run(RETRAIN, overrides=changed).state_name == "Skipped"


def test_of_the_nights_that_were_missed_one_is_made_up_for(service: Service) -> None:
    root, machine = service.project.root, service.machine
    kill_tree(machine.processes["worker-cpu"])
    with get_client(sync_client=True) as client:
        nightly = client.read_deployment_by_name(RETRAIN).id
        nights = [Scheduled(scheduled_time=datetime.now(UTC) - timedelta(days=days)) for days in (3, 1, 2)]
        oldest, newest, other = (client.create_flow_run_from_deployment(nightly, state=night).id for night in nights)
    assert cancel_missed_runs() == 2
    machine.start_worker("cpu", root)
    assert service.wait(newest).state_name == "Completed"
    for run_id in (oldest, other):
        state = service.read(run_id).state
        assert state is not None and state.is_cancelled() and (state.message or "").startswith("missed while no worker")


def test_the_machine_has_pools_schedule_and_heartbeat_watch(service: Service) -> None:
    def prefect(*arguments: str) -> str:
        command = [sys.executable, "-m", "prefect", *arguments]
        return subprocess.run(
            command, env=service.machine.environment(), check=True, capture_output=True, text=True
        ).stdout

    pools = json.loads(prefect("work-pool", "ls", "--output", "json"))
    assert {pool["name"] for pool in pools} == set(POOLS)
    nightly = json.loads(prefect("deployment", "inspect", RETRAIN, "--output", "json"))
    assert nightly["schedules"][0]["schedule"]["cron"] == "0 2 * * *" and nightly["schedules"][0]["active"]
    assert NAME in prefect("automation", "ls")
