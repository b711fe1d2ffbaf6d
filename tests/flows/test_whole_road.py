"""The real pipeline, not a toy graph, as a flow on a real server and worker."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.flows.service import Service
from tests.toy.project import Project

ROOT = Path(__file__).resolve().parents[2]
STAGES = tuple(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


@pytest.mark.faults  # minutes long
@pytest.mark.timeout(600)  # the first test to ask for the whole road waits for it
def test_what_dvc_repro_made_is_cached_for_the_flow(service: Service, whole_road: Project) -> None:
    root = service.project.root
    shutil.rmtree(root)
    shutil.copytree(whole_road.root, root, symlinks=True)
    run = service.run()
    assert run.state is not None and run.state.is_completed(), run.state
    # A source that this checkout has not looked at yet is looked at once; what it gives is what is there already.
    seen = {**dict.fromkeys(STAGES, "Cached"), "save_experiment": "Completed"}
    service.expect_tasks(run.id, {**seen, "download_videos": service.tasks(run.id)["download_videos"]})
    second = service.run()
    service.expect_tasks(second.id, dict.fromkeys([*STAGES, "save_experiment"], "Cached"))
    questions = json.loads((root / "data/reports/metrics.json").read_text())["questions"]
    assert f"on {questions} questions" in (run.state.message or "")
