"""Training in the pool `gpu`: two clones on one machine as two hosts, a bare git remote, a DVC remote between them."""

import json
import shutil
from pathlib import Path

import pytest

from tests.flows.service import Service, kill_tree, stage_processes, until
from tests.flows.toy import STAGES, behave, git


@pytest.mark.faults  # minutes long
def test_training_travels_with_uncommitted_work_and_never_trains_on_stale_inputs(pair: Service) -> None:
    cpu, gpu = pair.project.root, pair.gpu_root
    head = git(cpu, "rev-parse", "HEAD")
    for stale in (gpu / "data/frames", gpu / "data/dataset"):  # the GPU clone has inputs of long ago
        stale.mkdir(parents=True)
        (stale / "out.json").write_text('"stale"')
    (cpu / "stage.py").write_text((cpu / "stage.py").read_text() + "# edited\n")  # work that nobody committed

    run = pair.run(train_on="gpu", seconds=280, overrides={"extract_frames.jpeg_quality": 77})
    assert run.state is not None and run.state.is_completed(), (run.state, pair.logs(run.id))
    names = [name for name, _, _ in STAGES]
    pair.expect_tasks(run.id, dict.fromkeys([*names, "save_experiment", "publish"], "Completed"))
    for stage, host in {"extract_frames": cpu, "train_grpo": gpu, "evaluate_egoschema": gpu}.items():
        assert (host / "ran" / stage).read_text() == f"in {host.name}\n"  # once, and there
        assert not ((cpu if host == gpu else gpu) / "ran" / stage).exists()

    policy = json.loads((cpu / "data/models/policy/out.json").read_text())
    assert '"jpeg_quality": 77' in policy["inputs"]["data/frames"]  # trained on the new inputs
    for report in ("train_grpo.json", "live.json", "metrics.json"):  # what git keeps came home as well
        assert (cpu / "data/reports" / report).read_bytes() == (gpu / "data/reports" / report).read_bytes()
    assert git(cpu, "rev-parse", "HEAD") == head and "edited" in git(cpu, "diff", "stage.py")
    assert git(cpu, "for-each-ref", "refs/egovlm") == "" == git(cpu, "ls-remote", "origin", "refs/egovlm/*")
    assert git(gpu, "for-each-ref", "refs/heads").split() == git(gpu, "for-each-ref", "refs/heads/main").split()
    assert git(gpu, "rev-parse", "main") == head  # the worker wrote no git


@pytest.mark.faults
def test_a_result_that_does_not_come_back_fails_the_run_and_nothing_trains_here(pair: Service, tmp_path: Path) -> None:
    cpu = pair.project.root
    behave(pair.gpu_root, "train_grpo", "sleep=8")
    run_id = pair.start(train_on="gpu")
    until(lambda: stage_processes("train_grpo", pair.gpu_root), 180, "the stage runs in the GPU clone")
    remote = tmp_path / "dvc-remote"
    until(lambda: (pair.gpu_root / "data/models/policy/out.json").exists(), 30, "trained")
    (cpu / "params.yaml").write_text((cpu / "params.yaml").read_text().replace("seed: 0", "seed: 0 "))
    (cpu / "stage.py").write_text((cpu / "stage.py").read_text() + "# edited while it trained\n")
    run = pair.wait(run_id)
    assert run.state is not None and run.state.is_failed()
    assert "code or inputs changed here meanwhile: stage.py modified" in (run.state.message or "")
    assert not (cpu / "ran" / "train_grpo").exists() and remote.exists()


@pytest.mark.faults
def test_a_failure_and_a_cancel_over_there_are_a_failure_and_a_cancel_here(pair: Service) -> None:
    behave(pair.gpu_root, "train_grpo", "fail")
    failed = pair.run(train_on="gpu")
    assert failed.state is not None and failed.state.is_failed()
    assert (failed.state.message or "").startswith("train_grpo: clip a@1 has no frames")
    behave(pair.gpu_root, "train_grpo", "sleep=200")
    run_id = pair.start(train_on="gpu")
    until(lambda: stage_processes("train_grpo", pair.gpu_root), 180, "the stage runs in the GPU clone")
    pair.cancel(run_id)
    until(lambda: not stage_processes("train_grpo", pair.gpu_root), 100, "the trainer over there is gone early")
    assert pair.wait(run_id, 20).state_name == "Cancelled"
    (child, *_) = pair.children(run_id)
    assert pair.wait(child, 20).state_name == "Cancelled"


@pytest.mark.faults
def test_a_checkout_that_was_not_made_for_a_worker_is_not_overwritten(pair: Service) -> None:
    shutil.rmtree(pair.gpu_root)
    git(pair.project.root, "clone", "--quiet", str(pair.project.root), str(pair.gpu_root))
    (pair.gpu_root / "stage.py").write_text("# somebody's work\n")
    run = pair.run(train_on="gpu")
    assert run.state is not None and run.state.is_failed()
    assert "is not a worker's checkout" in (run.state.message or "")
    assert (pair.gpu_root / "stage.py").read_text() == "# somebody's work\n"


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_the_death_of_a_gpu_worker_is_noticed_by_the_server_and_the_run_is_given_out_again(pair: Service) -> None:
    behave(pair.gpu_root, "train_grpo", "sleep=120")
    run_id = pair.start(train_on="gpu")
    until(lambda: stage_processes("train_grpo", pair.gpu_root), 180, "the stage runs in the GPU clone")
    kill_tree(pair.machine.processes["worker-gpu"])
    until(lambda: not stage_processes("train_grpo", pair.gpu_root), 15, "the guard ended the trainer over there")
    behave(pair.gpu_root, "train_grpo", None)
    pair.machine.start_worker("gpu", pair.gpu_root, limit=1)
    run = pair.wait(run_id, 600)
    assert run.state is not None and run.state.is_completed(), (run.state, pair.logs(run_id))
    states = [pair.read(child).state_name for child in pair.children(run_id)]
    assert "Crashed" in states and states.count("Completed") == 2, (states, pair.tasks(run_id), pair.logs(run_id))
    assert "starting it again" in pair.logs(run_id)
