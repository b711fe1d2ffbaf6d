"""mine_keyframes end to end: a rendered clip with a known event; real clips if they are beside the repository."""

import hashlib
import json
import shutil
from base64 import b64decode
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.errors import ParamsError
from pipeline.extraction.broken_clips import BrokenClip, write_sheets
from pipeline.frames.sampling import uniform_times
from pipeline.keyframes.recall import found
from pipeline.params import Machine, Params, load_params
from pipeline.records import Clip, Keyframe, Quarantined, Question, Video, read_rows, write_rows
from pipeline.report.clip_sheets import ClipFolders, mined_sheets, quarantine_sheets
from pipeline.report.mined_sheets import mined_clips, mined_sheet
from pipeline.reports import StageReport
from pipeline.stages import mine_keyframes
from tests.support.encoder import x264
from tests.unit.keyframes.test_signals import shaky


def question(name: str, start: float, end: float, keys: tuple[float, ...] | None, text: str = "What?") -> Question:
    return Question(
        question_id=f"{name}-{start}-{len(text)}", video_id=name, source="test", licence="CC0", question=text,
        options=("a", "b"), answer=0, start_seconds=start, end_seconds=end, keyframe_seconds=keys, split="train",
    )  # fmt: skip


def fill(root: Path, questions: list[Question], videos: dict[str, Path]) -> None:
    rows = []
    for name, source in sorted(videos.items()):
        path = root / f"data/raw/videos/{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(
            Video(
                video_id=name, path=f"videos/{name}.mp4", sha256=sha256, bytes=1, codec="h264", width=160, height=96,
                frames_per_second=10, duration_seconds=12, parent_video_id=name, source="test", licence="CC0",
            )
        )  # fmt: skip
    (root / "data/questions").mkdir(parents=True, exist_ok=True)
    spans = {q.clip_id: _clip(q) for q in questions}
    write_rows(root / "data/raw/videos.parquet", rows, Video)
    write_rows(root / "data/questions/questions.parquet", questions, Question)
    write_rows(root / "data/questions/clips.parquet", spans.values(), Clip)


def _clip(q: Question) -> Clip:
    return Clip(clip_id=q.clip_id, video_id=q.video_id, start_seconds=q.start_seconds, end_seconds=q.end_seconds)


def rendered(folder: Path) -> Path:
    """A shaky clip of 12 s in which a hand reaches in at 4 s."""
    path = folder / "shaky.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options=x264({"crf": "18"}))
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for i, image in enumerate(shaky(event=4.0, hand=True).images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def params(repository: Path, **changes: Any) -> Params:
    whole = load_params(repository / "params.yaml")
    machine = whole.machine.model_copy(update={k: v for k, v in changes.items() if k in Machine.model_fields})
    own = {k: v for k, v in changes.items() if k not in Machine.model_fields}
    return whole.model_copy(update={"mine_keyframes": whole.mine_keyframes.model_copy(update=own), "machine": machine})


def run(root: Path, settings: Params) -> StageReport:
    report = StageReport("mine_keyframes")
    mine_keyframes.run(settings, root, report)
    return report


def files(root: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (root / "data/keyframes").iterdir()}


def test_the_event_is_the_first_candidate_and_counts_in_the_recall(tmp_path: Path, repository: Path) -> None:
    fill(tmp_path, [question("v", 0, 12, (4.0,)), question("v", 6, 12, None)], {"v": rendered(tmp_path)})
    report = run(tmp_path, params(repository))
    rows = read_rows(tmp_path / "data/keyframes/keyframes.parquet", Keyframe)
    by_clip = defaultdict(list)
    for row in rows:
        by_clip[row.clip_id].append(row)
    whole = by_clip[question("v", 0, 12, None).clip_id]
    assert [row.rank for row in whole] == list(range(6))
    first = [row.pts_seconds for row in whole[:2]]  # a short clip: the states beside its one action, then itself
    assert 2.5 < min(first) < 4.0 < max(first) < 5.5
    assert min(abs(row.pts_seconds - 4.0) for row in whole) < 1.0
    assert whole[0].score == 1 and {row.role for row in whole[:2]} <= {"start", "contact", "end"}
    assert all(row.signal == "lk_affine" for row in rows)
    later = by_clip[question("v", 6, 12, None).clip_id]
    assert len(later) == 6 and min(row.pts_seconds for row in later) >= 6
    recall = report.values["recall"]
    assert (recall["test"]["clips"], recall["test"]["true_times"]) == (1, 1)
    assert report.values["recall_by_spacing"]["test"]["tolerance_spacings"] == 0.5
    assert recall["test"]["by_count"][-1]["candidates"] == 6 and recall["test"]["mean_distance_seconds"] < 1.0


def test_a_second_run_makes_nothing_and_gives_the_same_bytes(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, [question("v", 0, 12, (4.0,))], {"v": rendered(tmp_path)})
    first = run(tmp_path, params(repository))
    before = files(tmp_path)
    capsys.readouterr()
    second = run(tmp_path, params(repository, workers=1))
    assert "clip" not in capsys.readouterr().err
    assert files(tmp_path) == before and first.as_dict() == second.as_dict()


def test_a_scorer_by_question_is_chosen_by_name_and_follows_the_texts(tmp_path: Path, repository: Path) -> None:
    settings = params(repository, signal="pipeline.keyframes.examples:named_colours")
    fill(tmp_path, [question("v", 0, 12, None, "Where is the blue box?")], {"v": rendered(tmp_path)})
    run(tmp_path, settings)
    blue = files(tmp_path)
    fill(tmp_path, [question("v", 0, 12, None, "Where is the orange hand?")], {"v": rendered(tmp_path)})
    run(tmp_path, settings)
    rows = read_rows(tmp_path / "data/keyframes/keyframes.parquet", Keyframe)
    assert rows[0].signal.endswith("named_colours")
    assert rows[0].pts_seconds == pytest.approx(4.0, abs=0.7)
    assert files(tmp_path) != blue


def test_an_unknown_signal_stops_the_stage_before_any_work(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(ParamsError, match="lk_affine"):
        run(tmp_path, params(repository, signal="magic"))


def test_sheets_are_drawn_from_the_stored_artifacts_alone(tmp_path: Path, repository: Path) -> None:
    fill(tmp_path, [question("v", 0, 12, (4.0,))], {"v": rendered(tmp_path)})
    run(tmp_path, params(repository))
    shutil.rmtree(tmp_path / "data/raw")
    (clip,) = mined_clips(tmp_path / "data/keyframes")
    assert len(clip.thumbnails) == 6 and len(clip.curve_seconds) == 120
    plain, marked = np.asarray(mined_sheet(clip)), np.asarray(mined_sheet(clip, [4.0]))
    assert plain.shape == marked.shape and plain.shape[1] == 960
    green = (marked == (22, 163, 74)).all(2) & ~(plain == (22, 163, 74)).all(2)
    assert abs(np.median(np.nonzero(green)[1]) - (14 + 4 / 12 * 932)) < 3
    assert list(mined_clips(tmp_path / "data/keyframes", ["nobody"])) == []
    folders = ClipFolders(tmp_path / "data/frames", tmp_path / "data/keyframes")
    (sheet,) = mined_sheets(folders, [question("v", 0, 12, (4.0,))], 5)
    assert sheet["text"] == clip.clip_id and b64decode(sheet["jpeg"])[:2] == b"\xff\xd8"
    assert mined_sheets(folders, [], 0) == []
    lost = Quarantined(stage="extract_frames", kind="clip", item_id="lost/1@0", reason="damaged_video", detail="gone")
    write_sheets(
        folders.frames / "quarantined", [BrokenClip("lost/1@0", tmp_path / "no.mp4", "damaged_video", "gone")], 5
    )
    assert [s["text"] for s in quarantine_sheets(folders, [lost], [], None, 96)] == ["lost/1@0: damaged_video gone"]


@pytest.mark.parametrize("k", [6, 10])
def test_real_clips_are_mined_better_than_uniformly(k: int, tmp_path: Path, repository: Path, shared: Path) -> None:
    """Hand-marked moments of two real 30 s clips: over tolerances of 0.5, 0.75 and 1 s candidates find more of them."""
    rows = [json.loads(line) for line in (shared / "real_clips/annotations.jsonl").read_text().splitlines()]
    truth: dict[str, set[float]] = defaultdict(set)
    for row in rows:
        truth[row["video"]].update(row["keyframes_s"])
    names = ["cooking", "bike_repair"]
    fill(tmp_path, [question(n, 0, 30, None) for n in names], {n: shared / f"real_clips/{n}.mp4" for n in names})
    run(tmp_path, params(repository, candidates_per_clip=k))
    mined = defaultdict(list)
    for row in read_rows(tmp_path / "data/keyframes/keyframes.parquet", Keyframe):
        mined[row.clip_id].append(row.pts_seconds)
    hits = {"mined": 0, "uniform": 0}
    for name in names:
        times = sorted(truth[f"{name}.mp4"])
        for tolerance in (0.5, 0.75, 1.0):
            hits["mined"] += found(mined[question(name, 0, 30, None).clip_id], times, tolerance)
            hits["uniform"] += found(uniform_times(0, 30, k), times, tolerance)
    assert hits["mined"] > hits["uniform"]
