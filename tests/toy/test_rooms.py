"""What is made again when one file changes: the rooms are cut by who reads them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.toy.project import Project

EXTRACT, MINE, VALIDATE = "extract_frames", "mine_keyframes", "validate_dataset"
DOWNLOAD, QUESTIONS, MODEL = "download_videos", "prepare_questions", "prepare_model"
TRAIN, EVALUATE, REPORT = "train_grpo", "evaluate_egoschema", "write_report"

# A comment in this file -> the stages whose code has changed. Nothing else may be named.
READERS = {
    "pipeline/sources/ego4d.py": {DOWNLOAD},
    "pipeline/synthetic/render.py": {DOWNLOAD, MODEL},
    "pipeline/video/index.py": {DOWNLOAD, EXTRACT, MINE},
    "pipeline/decode/plan.py": {EXTRACT, MINE},
    "pipeline/extraction/broken_clips.py": {EXTRACT},
    "pipeline/clips/incremental.py": {EXTRACT, MINE},
    "pipeline/work/parallel.py": {DOWNLOAD, EXTRACT, MINE, VALIDATE},
    "pipeline/frames/store.py": {EXTRACT, MINE, VALIDATE, TRAIN, EVALUATE, REPORT},
    "pipeline/pictures/sheets.py": {EXTRACT, REPORT},
    "pipeline/questions/distractors.py": {QUESTIONS},
    "pipeline/text/duplicates.py": {QUESTIONS, VALIDATE},
    "pipeline/keyframes/signals.py": {MINE},
    "pipeline/checks/leakage.py": {VALIDATE},
    "pipeline/tiny_base/muon.py": {MODEL},
    "pipeline/answers/parser.py": {MODEL, TRAIN, EVALUATE},
    "pipeline/models/generate.py": {MODEL, TRAIN, EVALUATE},
    "pipeline/engine/requests.py": {TRAIN, EVALUATE},
    "pipeline/grpo/logprobs.py": {TRAIN},
    "pipeline/evaluation/scores.py": {EVALUATE},
    "pipeline/comparison/gate.py": set(),
    "pipeline/report/page.py": {REPORT},
    "pipeline/cli/ask.py": set(),
    "pipeline/preflight/budget.py": set(),
    "flows/run.py": set(),
    "pipeline/stages/train_grpo.py": {TRAIN},
}


def test_every_room_is_in_the_table(repository: Path) -> None:
    rooms = {path.parent.name for path in (repository / "pipeline").glob("*/__init__.py")}
    assert len(rooms) > 15
    assert rooms == {Path(name).parts[1] for name in READERS if name.startswith("pipeline")}


def test_a_comment_makes_exactly_its_readers_again(whole_road: Project) -> None:
    """`dvc status` after a comment in one file of each room."""
    status = _statuses(whole_road, [f"{name}\0# a comment" for name in READERS])
    assert dict(zip(READERS, status, strict=True)) == READERS


def test_values_of_the_machine_make_nothing_again(whole_road: Project) -> None:
    with _kept(whole_road.root / "params.yaml"):
        values = {"workers": 7, "feature_cache_megabytes": 9, "save_steps": 1, "wandb_project": "elsewhere"}
        whole_road.change({f"machine.{name}": value for name, value in values.items()})
        assert _statuses(whole_road, ["params.yaml\0"]) == [set()]
        whole_road.change({"train_grpo.learning_rate": 0.5})
        assert _statuses(whole_road, ["params.yaml\0"]) == [{TRAIN}]


@contextmanager
def _kept(path: Path) -> Iterator[None]:
    before = path.read_bytes()
    try:
        yield
    finally:
        path.write_bytes(before)


STATUS = """
import json, sys
from pathlib import Path
from dvc.repo import Repo

found = []
for change in sys.argv[1:]:
    name, _, text = change.partition("|")
    path, before = Path(name), Path(name).read_bytes()
    try:
        path.write_bytes(before + f"\\n{text}\\n".encode())
        with Repo() as repo:
            status = repo.status()
    finally:
        path.write_bytes(before)
    found.append([
        stage for stage, parts in status.items()
        if any("changed deps" in part and any(not dep.startswith("data/") for dep in part["changed deps"])
               for part in parts)
    ])
print(json.dumps(found))
"""


def _statuses(project: Project, changes: list[str]) -> list[set[str]]:
    """Stages whose code or params differ, after each change alone: `file NUL text to append`."""
    result = project.run("python", "-c", STATUS, *(change.replace("\0", "|") for change in changes))
    return [set(stages) for stages in json.loads(result.stdout.splitlines()[-1])]
