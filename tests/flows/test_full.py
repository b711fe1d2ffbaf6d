"""Flow egovlm against a real server and worker."""

import json

import pytest

from tests.flows.service import Service, stage_processes, until
from tests.flows.toy import STAGES, behave, git

ALL = [name for name, _, _ in STAGES]


def test_a_run_completes_a_second_one_is_cached_and_a_third_is_cancelled(service: Service) -> None:
    root = service.project.root
    text = (root / "params.yaml").read_bytes()
    overrides = {"train_grpo.learning_rate": 6e-4}
    first = service.run(experiment="first", overrides=overrides)
    assert first.state is not None and first.state.name == "Completed", first.state
    service.expect_tasks(first.id, dict.fromkeys([*ALL, "save_experiment"], "Completed"))
    assert first.name == f"first-{service.project.short_sha()}"
    assert "accuracy 0.600 [0.510, 0.690] on 120 questions" in (first.state.message or "")
    report = json.loads((root / "data/reports/train_grpo.json").read_text())
    assert report["values"] == {"learning_rate": 6e-4}
    assert (root / "params.yaml").read_bytes() == text
    artifact = service.artifact("egovlm-summary")
    assert "| accuracy | 0.6 |" in artifact and "| extract_frames | Completed | 1 clip torn |" in artifact

    second = service.run(overrides=overrides)
    service.expect_tasks(second.id, dict.fromkeys([*ALL, "save_experiment"], "Cached"))
    assert second.state_name == "Cached"

    behave(root, "train_grpo", "sleep=200")
    run_id = service.start(overrides={"train_grpo.learning_rate": 1e-6})
    until(lambda: stage_processes("train_grpo", root), 120, "the trainer runs")
    service.cancel(run_id)
    until(lambda: not stage_processes("train_grpo", root), 100, "the trainer is gone, long before it would end")
    assert service.wait(run_id, 60).state_name == "Cancelled"
    until(lambda: (root / "params.yaml").read_bytes() == text, 60, "params.yaml is the user's again")
    assert git(root, "for-each-ref", "--format=%(refname)", "refs/exps").count("/first-") == 1  # of complete runs only
    assert git(root, "for-each-ref", "--format=%(refname)", "refs/exps").count("/run-") == 0


@pytest.mark.faults
def test_a_failed_stage_says_what_and_what_next_and_the_next_run_goes_on(service: Service) -> None:
    behave(service.project.root, "extract_frames", "fail")
    run = service.run()
    service.expect_tasks(run.id, {"download_videos": "Completed", "extract_frames": "Failed"})
    assert run.state is not None and run.state.is_failed()
    message = run.state.message or ""
    assert message == (
        "extract_frames: clip a@1 has no frames; run extract_frames. Then run again: finished stages are kept"
    )
    behave(service.project.root, "extract_frames", None)
    again = service.run()
    expected = {
        **dict.fromkeys([*ALL, "save_experiment"], "Completed"),
        "download_videos": "Cached",
    }
    service.expect_tasks(again.id, expected)


@pytest.mark.faults
def test_a_wrong_parameter_is_one_clear_line_and_changes_nothing(service: Service) -> None:
    before = (service.project.root / "params.yaml").read_bytes()
    run = service.run(overrides={"train_grpo.learning_rat": 1e-6})
    assert run.state is not None and run.state.is_failed()
    assert run.state.message == "params.yaml: unknown key train_grpo.learning_rat; did you mean learning_rate?"
    assert (service.project.root / "params.yaml").read_bytes() == before
    lonely = service.run(train_on="gpu")
    assert lonely.state is not None and lonely.state.is_failed() and service.tasks(lonely.id) == {}
    assert "name remotes that both machines reach, as publish.git_remote and publish.dvc_remote" in (
        lonely.state.message or ""
    )
