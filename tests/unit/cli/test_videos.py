"""frames, keyframes and ask on a real file."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from pipeline.answers.prompts import build_messages, fill
from pipeline.cli import main
from pipeline.cli.videos import open_span, sample_frames
from pipeline.models.generate import generate
from pipeline.models.policy import load_policy
from pipeline.models.sampling import Sampling
from pipeline.params import load_params
from pipeline.pictures.sheets import GAP, MARGIN


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir(repository)


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_frames_are_those_of_the_pipeline(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "frames", str(video), "--count", "4", "--out", str(tmp_path / "f.jpg"))
    assert found["pts_seconds"] == [0.5, 1.5, 2.5, 3.5]
    assert (found["width"], found["height"]) == (48, 48)
    assert cv2.imread(found["picture"]).shape[1] == 2 * MARGIN + 4 * (200 + 2 * GAP)  # a small frame is enlarged


def test_a_span_is_respected_and_checked(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    span = ("--start", "2", "--end", "4", "--count", "2", "--out", str(tmp_path / "f.jpg"))
    assert _json(capsys, "frames", str(video), *span)["pts_seconds"] == [2.5, 3.5]
    assert main(["frames", str(video), "--start", "3", "--end", "9"]) == 1
    assert "does not fit into the 4.0 s" in capsys.readouterr().err


def test_keyframes_find_the_jump(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "keyframes", str(video), "--out", str(tmp_path / "k.jpg"))
    assert abs(found["keyframes"][0]["pts_seconds"] - 2.0) <= 0.5
    assert all(0 <= keyframe["score"] <= 1 for keyframe in found["keyframes"])
    assert (tmp_path / "k.jpg").stat().st_size > 1000


def test_ask_answers_as_the_evaluation_does(
    video: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["red cup", "blue cup", "first cup"]
    flags = [part for option in options for part in ("--option", option)]
    arguments = ("ask", str(video), "what is taken?", *flags, "--model", str(model), "--out", str(tmp_path / "a.jpg"))
    reply = _json(capsys, *arguments)
    params = load_params(Path("params.yaml"))
    frames = sample_frames(open_span(video, 0, None), params)
    text = fill(params.prompts.reasoning, "what is taken?", options, frames.pts_seconds.tolist(), 0, 4.0)
    sampling = Sampling(params.evaluate_egoschema.max_new_tokens, temperature=0.0)
    expected = generate(load_policy(model), [build_messages(text, "clip")], {"clip": frames}, sampling)[0][0]
    assert reply["completion"] == expected.text
    assert reply["outcome"]
    assert len(reply["probabilities"]) == 3
    assert sum(reply["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert len(reply["frame_seconds"]) == params.extract_frames.frames_per_clip
    assert (tmp_path / "a.jpg").stat().st_size > 1000


def test_a_policy_is_asked_as_it_was_trained(
    video: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three frames, as its own training.json says, whatever params.yaml says now; --params wins."""
    trained = json.loads(load_params(Path("params.yaml")).model_dump_json())
    trained["extract_frames"]["frames_per_clip"] = 3
    (model / "training.json").write_text(json.dumps({"params": trained}), encoding="utf-8")
    asked = ("ask", str(video), "what?", "--model", str(model), "--out", str(tmp_path / "a.jpg"))
    try:
        assert len(_json(capsys, *asked)["frame_seconds"]) == 3
        assert len(_json(capsys, *asked, "--params", "params.yaml")["frame_seconds"]) == 6
        trained["extract_frames"]["frames"] = 3
        (model / "training.json").write_text(json.dumps({"params": trained}), encoding="utf-8")
        assert main(list(asked)) == 1
        assert "name the params it was trained with, using --params" in capsys.readouterr().err
    finally:
        (model / "training.json").unlink()


def test_ask_streams_and_prints_every_option(
    video: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--option", "red cup", "--option", "blue cup", "--model", str(model), "--out", str(tmp_path / "a.jpg")]
    assert main(["ask", str(video), "what is taken?", *flags]) == 0
    text = capsys.readouterr().out
    assert text.index("answer: ") < text.index("%  red cup") < text.index("%  blue cup")
    assert "frames seen: " in text


def test_an_open_question_has_no_probabilities(
    video: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = _json(capsys, "ask", str(video), "what?", "--model", str(model), "--out", str(tmp_path / "a.jpg"))
    assert reply["probabilities"] is None
    assert reply["outcome"] == "open"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--option", "a"], "found 1 options"),
        ([part for i in range(30) for part in ("--option", str(i))], "found 30 options: give none"),
        (["--option", "a", "--option", " "], "an option is empty"),
        (["--option", "a cup", "--option", "A cup "], "two options are the same"),
        (["--model", "nowhere"], "nowhere holds no model: `make run` trains one"),
    ],
)
def test_ask_refuses_in_one_line(extra: list[str], words: str, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", str(video), "what?", *extra]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_file_without_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av
    import numpy as np

    path = tmp_path / "silence.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert main(["ask", str(path), "what?"]) == 1
    assert "no_video_stream" in capsys.readouterr().err
