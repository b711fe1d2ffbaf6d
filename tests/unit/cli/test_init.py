"""`egovlm init` on folders of somebody's own clips: what it writes, what it says, and when it writes nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import main
from pipeline.params import load_params

ROOT = Path(__file__).resolve().parents[3]
CLIPS = ("noodles", "counter", "wheel", "tyre", "pan")


def _question(clip: str, number: int, **changes: Any) -> dict[str, Any]:
    options = [f"the {word} of {clip} {number}" for word in ("lid", "cup", "jar", "pot", "pan")]
    values = {"options": options, "answer": (number + CLIPS.index(clip)) % 5, "question": f"What is taken, {number}?"}
    return {"id": f"{clip}-{number}", "video": f"{clip}.mp4", **values, **changes}


@pytest.fixture
def own(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's params.yaml and, in `inputs/clips`, five clips with four questions each."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    folder = tmp_path / "inputs/clips"
    folder.mkdir(parents=True)
    for name in CLIPS:
        shutil.copy(video, folder / f"{name}.mp4")
    _write(folder, [_question(clip, number) for clip in CLIPS for number in range(4)])
    monkeypatch.chdir(tmp_path)
    return folder


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_five_clips_become_the_source_and_both_sides_have_some(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("params.yaml").read_text()
    assert main(["init", "inputs/clips", "--licence", "mine"]) == 0
    said = capsys.readouterr().out
    params = load_params(Path("params.yaml"))
    mine = params.download_videos.sources["mine"]
    assert mine is not None and params.download_videos.sources["synthetic"] is None
    assert mine.model_dump() == {
        "kind": "local", "folder": "inputs/clips", "questions": "inputs/clips/questions.jsonl", "format": "native",
        "frame_rate": None, "split": "by_hash", "licence": "mine",
    }  # fmt: skip
    assert params.validate_dataset.egoschema_windows == "none"
    assert "questions  20: 16 for training (recordings: 4), 4 for the score (recordings: 1)" in said
    assert "score      4 questions are too few to show any difference" in said
    assert "words in your questions are unknown to it" in said and "well formed but meaningless" in said
    kept = [line for line in Path("params.yaml").read_text().splitlines() if line in before.splitlines()]
    assert len(kept) > len(before.splitlines()) - 16  # one source and two values are all that differs


def test_a_full_profile_names_its_model_and_keeps_the_data(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "inputs/clips", "--profile", "full"]) == 0
    params = yaml.safe_load(Path("params.yaml").read_text())
    assert params["prepare_model"]["recipe"] == "hub" and params["evaluate_egoschema"]["benchmark"] == "all"
    assert [name for name, source in params["download_videos"]["sources"].items() if source] == ["mine"]
    assert params["validate_dataset"]["egoschema_windows"] == "none"
    assert "model      Qwen/Qwen2.5-VL-3B-Instruct" in capsys.readouterr().out


def test_looking_changes_nothing_and_a_shortcut_is_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("params.yaml").read_bytes()
    rows = [_question(clip, number) for clip in CLIPS for number in range(4)]
    for row in rows:
        row["options"][row["answer"]] += " and this is much longer than the others"
    _write(own, rows)
    assert main(["init", "inputs/clips", "--check"]) == 0
    said = capsys.readouterr().out
    assert "`shortest option 5` answers 100% of 16 questions correctly (chance 20%): validate_dataset will stop" in said
    assert Path("params.yaml").read_bytes() == before


def test_bad_items_are_named(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [_question(clip, number) for clip in CLIPS for number in range(8)]
    _write(own, [*rows, _question("pan", 9, answer=7)])
    assert main(["init", "inputs/clips"]) == 0
    said = capsys.readouterr().out
    (told,) = [line for line in said.splitlines() if line.startswith("left out")]
    assert told == "left out   1 (1 answer_out_of_range): pan-9: answer 7, but there are 5 options, counted from 0"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda own: (own / "questions.jsonl").unlink(), "holds no questions.jsonl: write one question per line"),
        (lambda own: [p.unlink() for p in own.glob("*.mp4")], "holds no video file"),
        (lambda own: (own / "pan.mp4").write_bytes(b"no video"), "1 of 5 video items of source mine are bad"),
        (
            lambda own: _write(own, [_question("pan", n) for n in range(4)]),
            "training and score need different recordings",
        ),
    ],
)
def test_what_cannot_run_is_told_before_anything_is_written(
    damage: Any, words: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("params.yaml").read_bytes()
    damage(own)
    assert main(["init", "inputs/clips"]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert Path("params.yaml").read_bytes() == before
