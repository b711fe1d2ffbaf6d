"""docs/your_videos.md: its commands, by the letter, on a folder of five clips and nineteen questions."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import TOY
from tests.support.data_world import clip
from tests.toy.project import make_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CLIPS = ("noodles", "counter", "wheel", "tyre", "pan")


def test_five_clips_go_through_and_the_score_says_that_so_few_show_nothing(repository: Path, tmp_path: Path) -> None:
    project = make_project(repository, tmp_path / "own")
    project.change({key: value for key, value in TOY.items() if "sources" not in key})
    folder = project.root / "inputs/clips"
    rows = []
    for seed, name in enumerate(CLIPS):
        clip(folder / f"{name}.mp4", seed=seed)
        for number in range(4 if name != "pan" else 3):
            options = [f"the {word} of {name} {number}" for word in ("lid", "cup", "jar", "pot", "pan")]
            row = {"id": f"{name}-{number}", "video": f"{name}.mp4", "question": f"What is taken, {number}?"}
            rows.append({**row, "options": options, "answer": (number + seed) % 5})
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    page = (repository / "docs/your_videos.md").read_text()
    lines = "".join(re.findall(r"```bash\n(.*?)```", page, re.S)).splitlines()
    lines.remove("egovlm push OWNER/NAME")  # leaves the machine: tests/unit/report/test_push.py
    told = {line: project.run(*shlex.split(line, comments=True)).stdout for line in lines}
    assert len(told) == 4
    said, out = told["egovlm init inputs/clips"], told["egovlm run"]
    assert "questions  19: 16 for training (recordings: 4), 3 for the score (recordings: 1)" in said
    assert sorted(path.suffix for path in project.root.glob("noodles*")) == [".jpg", ".jpg"]
    assert "9 stages up to date" in out and "saved as experiment run-" in out
    metrics = json.loads((project.root / "data/reports/metrics.json").read_text())
    assert metrics["questions"] == 3 and "detectable_gain" not in metrics
    page = (project.root / "data/reports/index.html").read_text()
    assert "3 questions are too few to show any difference" in page
