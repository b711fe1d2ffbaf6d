"""A real wandb run, offline: numbers of every step, completions beside their frames, and where the report finds it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from pipeline.grpo.rewards.rollout import Rollout
from pipeline.grpo.samples import Sample
from pipeline.grpo.tracking import Wandb, run_id
from pipeline.params import load_params

ORIGIN = {"seed": 0, "data": "abc"}


@pytest.fixture
def trainer(repository: Path) -> SimpleNamespace:
    """What the callback reads of a trainer: settings, frames by clip, and a batch of two groups of two."""
    settings = load_params(repository / "params.yaml").train_grpo
    frames = SimpleNamespace(images=np.zeros((3, 8, 8, 3), np.uint8), pts_seconds=np.array([1.0, 2.0, 3.0]))
    samples = [Sample(f"q{i}", "clip", "taken", [], ("cup", "plate"), i, (1.5,), (1.5,), 0.5) for i in range(2)]
    texts = ["<think>a cup</think><keyframes>1.5</keyframes><answer>A</answer>", "nothing <b>"]
    rollouts = [Rollout(t, 9, True, s, settings.reward_settings, 0.5, None) for s in samples for t in texts]
    return SimpleNamespace(settings=settings, rollouts=rollouts, clips=SimpleNamespace(load=lambda clip: frames))


@pytest.fixture
def kept(tmp_path: Path, trainer: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a run of two steps with a table on the first."""
    monkeypatch.delenv("WANDB_MODE", raising=False)  # offline is the default
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb"))
    callback = Wandb(trainer, "egovlm", ORIGIN, tmp_path / "wandb", table_every=20)
    args: Any = TrainingArguments(output_dir=str(tmp_path / "out"), report_to=[])
    control = TrainerControl()
    callback.on_train_begin(args, TrainerState(is_world_process_zero=True), control)
    for step in (1, 2):
        state = TrainerState(global_step=step, is_world_process_zero=True)
        callback.on_step_end(args, state, control)
        callback.on_log(args, state, control, logs={"reward": 0.5, "step": step})
    callback.on_train_end(args, TrainerState(), control)
    yield tmp_path / "wandb"


def _wait_for(holds: Callable[[], bool]) -> None:
    """wandb's own process writes behind `finish`: slowly if the machine is busy."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_an_offline_run_holds_completions_beside_their_frames(kept: Path, trainer: SimpleNamespace) -> None:
    """The run has to be found by the pattern that the report names."""
    found = Wandb(trainer, "egovlm", ORIGIN, kept, 1).where(Path("data/checkpoints/wandb"))
    assert found["project"] == "egovlm"
    pattern = found["sync"].rpartition("/")[2]
    (folder,) = (kept / "wandb").glob(pattern)
    _wait_for(lambda: next(folder.glob("*.wandb")).stat().st_size > 500)
    assert len(list((folder / "files/media/table").glob("*.json"))) == 1  # step 2 has no table
    staged = [path.read_bytes() for path in (kept / "artifacts/staging").iterdir()]
    assert sum(content.startswith(b"\x89PNG") for content in staged) >= 1  # the same frames twice are one file
    tables = [json.loads(content) for content in staged if content.startswith(b"{") and b"image-file" in content]
    made = next(table for table in tables if isinstance(table.get("data"), list))
    assert made["columns"] == [
        "step",
        "question",
        "frames",
        "completion",
        "right letter",
        "format",
        "accuracy",
        "keyframe",
    ]
    assert [row[:2] for row in made["data"]] == [[1, "q0"], [1, "q1"]]
    assert made["data"][0][3].endswith("<answer>A</answer>")
    assert made["data"][0][4:] == ["A", 1.0, 1.0, 1.0]
    assert made["data"][1][4:6] == ["B", 1.0]
    image = made["data"][0][2]
    assert (image["width"], image["height"]) == (24, 8)
    assert "key times 1.5 s" in image["caption"]
    assert image["path"].startswith("media/images/")


def test_a_resumed_run_keeps_its_name_and_another_gets_another() -> None:
    assert run_id(ORIGIN) == run_id(dict(reversed(ORIGIN.items())))
    assert run_id(ORIGIN) != run_id({**ORIGIN, "seed": 1})


def test_on_another_process_nothing_is_started(tmp_path: Path, trainer: SimpleNamespace) -> None:
    callback = Wandb(trainer, "egovlm", ORIGIN, tmp_path / "wandb", table_every=1)
    callback.on_train_begin(None, TrainerState(is_world_process_zero=False), None)
    callback.on_log(None, TrainerState(), None, logs={"reward": 1.0})
    assert callback.run is None
    assert not (tmp_path / "wandb").exists()
