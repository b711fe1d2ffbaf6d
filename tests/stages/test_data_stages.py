"""download_videos, prepare_questions, validate_dataset on small real videos: every bad thing named, every item
accounted."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ArtifactError, EmptyInput, GateError, ParamsError, StageError, TooManyBadItems
from pipeline.files import sha256_of
from pipeline.params import Params
from pipeline.records import Annotation, Clip, Quarantined, Question, Video, read_rows, write_rows
from pipeline.reports import StageReport
from pipeline.stages import download_videos, extract_frames, mine_keyframes, prepare_questions, validate_dataset
from tests.support.data_world import clip, data_params, egoschema_params, local_params, row, write_jsonl

STAGES = {"download_videos": download_videos, "prepare_questions": prepare_questions, "extract_frames": extract_frames,
          "mine_keyframes": mine_keyframes, "validate_dataset": validate_dataset}  # fmt: skip
VIDEOS = 12


def _run(name: str, params: Params, root: Path) -> StageReport:
    report = StageReport(name)
    STAGES[name].run(params, root, report)
    report.write(root)
    return report


def _questions(videos: int = VIDEOS, per_video: int = 5) -> list[dict[str, Any]]:
    return [row(f"q{v}-{i}", f"v{v}.mp4", i % 5) for v in range(videos) for i in range(per_video)]


def _params(tmp_path: Path, rows: list[Any], **validate: Any) -> Params:
    source = local_params(tmp_path / "in", write_jsonl(tmp_path / "q.jsonl", rows))
    settings = {"egoschema_windows": "none"} | validate
    prepare = {"splits": {"train": 0.5, "dev": 0.2}}
    params = data_params({"local": source}, prepare_questions=prepare, validate_dataset=settings)
    return params.model_copy(update={"max_bad_fraction": 0.9})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first four stages, once, on twelve videos; a truncated one and bad rows among them."""
    folder = tmp_path_factory.mktemp("made")
    for v in range(VIDEOS):
        clip(folder / f"in/v{v}.mp4", seed=v)
    (folder / "in/torn.mp4").write_bytes((folder / "in/v0.mp4").read_bytes()[:300])
    bad = [
        "{broken",
        row("evil", "../x.mp4"),
        row("q0-0", "v1.mp4"),
        row("lost", "nowhere.mp4"),
        row("torn", "torn.mp4"),
        row("one", "v1.mp4", options=["only"]),
        row("far", "v1.mp4", 7),
        row("late", "v1.mp4", start_seconds=50),
    ]
    params = _params(folder, [*_questions(), *bad])
    for name in list(STAGES)[:4]:
        _run(name, params, folder)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of that to change."""
    shutil.copytree(made / "data", tmp_path / "data")
    return tmp_path


def test_every_item_is_accounted_for(made: Path, root: Path) -> None:
    """in = out + quarantined, for videos and questions, over all stages."""
    report = _run("validate_dataset", _params(made, _questions()), root)
    ledger = read_rows(root / "data/dataset/quarantine.parquet", Quarantined)
    kept = read_rows(root / "data/dataset/questions.parquet", Question)
    given = len((made / "q.jsonl").read_text().splitlines()) + 8
    not_taken = 1  # the row on nowhere.mp4
    assert len(kept) + sum(item.kind == "question" for item in ledger) + not_taken == given
    assert (
        len(read_rows(root / "data/raw/videos.parquet", Video)) + sum(i.kind == "video" for i in ledger) == VIDEOS + 1
    )
    seen = {q.question_id for q in kept} | {item.item_id for item in ledger}
    assert any(question_id.startswith("q0-0+") for question_id in seen), "an id given twice is two rows"
    reasons = {(item.item_id, item.reason) for item in ledger}
    assert reasons >= {("q.jsonl:61", "malformed_row"), ("evil", "unsafe_path"),
                       ("torn", "no_video"), ("one", "option_count"), ("far",
                       "answer_out_of_range"), ("late", "span_outside")}  # fmt: skip
    assert [account["into"] - account["out"] - account["quarantined"] for account in report.values["accounts"]] == [
        0,
        0,
    ]


def test_the_same_bytes_again(made: Path, root: Path, tmp_path: Path) -> None:
    params = _params(made, _questions())
    _run("validate_dataset", params, root)
    first = {p.relative_to(root): p.read_bytes() for p in (root / "data").rglob("*") if p.is_file()}
    shutil.rmtree(root / "data/dataset")
    _run("validate_dataset", params, root)
    again = {p.relative_to(root): p.read_bytes() for p in (root / "data").rglob("*") if p.is_file()}
    assert first == again
    assert any(path.suffix == ".html" for path in first)


def test_splits_are_kept_apart_by_recording(made: Path) -> None:
    questions = read_rows(made / "data/questions/questions.parquet", Question)
    splits: dict[str, set[str]] = {}
    for question in questions:
        splits.setdefault(question.video_id, set()).add(question.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} >= {"train", "test"}
    clips = read_rows(made / "data/questions/clips.parquet", Clip)
    assert [c.clip_id for c in clips] == sorted({q.clip_id for q in questions})


def test_a_second_download_changes_nothing_and_a_removed_video_goes(tmp_path: Path) -> None:
    for v in range(3):
        clip(tmp_path / f"in/v{v}.mp4", seed=v)
    params = _params(tmp_path, _questions(3))
    _run("download_videos", params, tmp_path)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "data/raw/videos").rglob("*.mp4")}
    _run("download_videos", params, tmp_path)
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "data/raw/videos").rglob("*.mp4")}
    (tmp_path / "in/v1.mp4").unlink()
    clip(tmp_path / "in/v2.mp4", seed=9)
    _run("download_videos", params, tmp_path)
    videos = read_rows(tmp_path / "data/raw/videos.parquet", Video)
    assert [video.video_id for video in videos] == ["v0", "v2"]
    assert not (tmp_path / "data/raw/videos/local/v1.mp4").exists()
    assert (tmp_path / "data/raw/videos/local/v2.mp4").read_bytes() == (tmp_path / "in/v2.mp4").read_bytes()


def test_nothing_usable_and_too_much_bad_stop_the_stage(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/v0.mp4").write_bytes(b"no video")
    with pytest.raises(EmptyInput, match="no usable video among 1"):
        _run("download_videos", _params(tmp_path, _questions(1)), tmp_path)
    (tmp_path / "in/v0.mp4").rename(tmp_path / "in/torn.mp4")
    clip(tmp_path / "in/v0.mp4")
    strict = _params(tmp_path, _questions(1)).model_copy(update={"max_bad_fraction": 0.1})
    with pytest.raises(TooManyBadItems, match="1 of 2 video items of source local are bad"):
        _run("download_videos", strict, tmp_path)
    assert not (tmp_path / "data/raw/videos.parquet").exists()


def test_questions_that_cannot_be_read_stop_before_any_video_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    clip(tmp_path / "in/v0.mp4")
    turns = [{"from": "human", "value": "<video>\nWhat is cut?"}, {"from": "gpt", "value": "A carrot."}]
    rows = [{"id": f"r{i}", "video": "v0.mp4", "end_frame": 40, "conversations": turns} for i in range(4)]
    params = _params(tmp_path, rows).model_copy(update={"max_bad_fraction": 0.05})
    clockless = params.download_videos.sources["local"].model_copy(update={"format": "egoit"})
    params.download_videos.sources["local"] = clockless
    with pytest.raises(EmptyInput, match=r"no usable question among 4 .*set `frame_rate` of the source local"):
        _run("download_videos", params, tmp_path)
    assert not (tmp_path / "data/raw/videos").exists()


def test_a_benchmark_that_is_not_there_stops_before_any_video_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uids = [f"u{i}" for i in range(4)]
    rows = [{"q_uid": u, "question": f"What {u}?", **{f"option {i}": f"{u} {i}" for i in range(5)}} for u in uids]
    (tmp_path / "q.json").write_text(json.dumps(rows))
    windows = {u: {"video_uid": "rec", "starting_sec": 0, "ending_sec": 1} for u in uids}
    (tmp_path / "w.json").write_text(json.dumps(windows))
    clip(tmp_path / "clips/u0.mp4")
    files = {"questions": str(tmp_path / "q.json"), "windows": str(tmp_path / "w.json")}
    files |= {"videos": str(tmp_path / "clips"), "questions_sha256": sha256_of(tmp_path / "q.json")}
    params = data_params({"egoschema": egoschema_params(answers=None, **files)})
    told = r"source egoschema: 1 of 4 videos are there \(missing: u1 \.\.\.\)"
    with pytest.raises(TooManyBadItems, match=rf"{told}; max_bad_fraction=0.05 allows 0 missing"):
        _run("download_videos", params, tmp_path)
    assert not (tmp_path / "data/raw/videos").exists()
    _run("download_videos", params.model_copy(update={"max_bad_fraction": 0.8}), tmp_path)
    assert "source egoschema: 1 of 4 videos are there (missing: u1 ...)" in capsys.readouterr().out
    assert len(read_rows(tmp_path / "data/raw/videos.parquet", Video)) == 1


def test_each_source_is_judged_by_itself(tmp_path: Path) -> None:
    """Nineteen good videos of one source do not make up for the only one of another."""
    report = StageReport("download_videos")
    for _ in range(19):
        report.count("video", "ok", source="training")
    report.quarantine("video", "u1", "missing_file", "u1.mp4 is not there", "benchmark")
    report.count("video", "ok", source="benchmark")
    with pytest.raises(TooManyBadItems, match="1 of 2 video items of source benchmark are bad"):
        report.stop_if_too_bad("video", 0.1)  # 1 of 21 in all
    report.stop_if_too_bad("video", 0.5)
    assert report.as_dict()["by_source"]["video"] == {"benchmark": {"missing_file": 1, "ok": 1}, "training": {"ok": 19}}


def test_a_share_of_a_data_set_is_taken_without_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip(tmp_path / "in/v0.mp4")
    params = _params(tmp_path, _questions(10)).model_copy(update={"max_bad_fraction": 0.0})
    report = _run("download_videos", params, tmp_path)
    assert report.as_dict()["by_source"]["question"] == {"local": {"not_taken": 45, "ok": 5}}
    assert report.values["not_taken"] == {"local": {"rows": 45, "videos": 9, "first": "v1.mp4"}}
    said = "source local: 45 rows are about 9 videos that it lacks (v1.mp4 ...) and are left out; 5 rows are kept"
    assert said in capsys.readouterr().out
    assert len(_run("prepare_questions", params, tmp_path).quarantined) == 0


def test_questions_that_belong_to_another_folder_stop_the_stage(tmp_path: Path) -> None:
    clip(tmp_path / "in/other.mp4")
    with pytest.raises(EmptyInput, match="all of its 5 rows are about 1 videos that it lacks"):
        _run("download_videos", _params(tmp_path, _questions(1)), tmp_path)


def test_a_video_below_inputs_is_read_in_place_and_takes_no_second_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given, elsewhere = clip(tmp_path / "disk/v0.mp4"), tmp_path / "inputs/mine"
    elsewhere.parent.mkdir()
    elsewhere.symlink_to(given.parent)  # the usual way to have a large disk there
    questions = write_jsonl(tmp_path / "q.jsonl", _questions(1))
    params = data_params({"mine": local_params(Path("inputs/mine"), questions)})
    _run("download_videos", params, Path())
    (video,) = read_rows(tmp_path / "data/raw/videos.parquet", Video)
    assert (video.path, video.sha256) == ("../../inputs/mine/v0.mp4", sha256_of(given))
    assert list(tmp_path.rglob("data/**/*.mp4")) == []
    _run("prepare_questions", params, Path())
    assert dict(_run("extract_frames", params, Path()).outcomes["clip"]) == {"ok": 1}
    before = given.read_bytes()
    given.write_bytes(before[:-1])
    with pytest.raises(ArtifactError, match=r"inputs/mine/v0\.mp4 is missing or has changed since it was probed"):
        _run("extract_frames", params, Path())
    clip(given, seed=5, frames=30)
    _run("download_videos", params, Path())
    (video,) = read_rows(tmp_path / "data/raw/videos.parquet", Video)
    assert (video.sha256, video.bytes) == (sha256_of(given), given.stat().st_size)
    assert dict(_run("extract_frames", params, Path()).outcomes["clip"]) == {"ok": 1}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="does not exist"):
        _run("download_videos", _params(tmp_path, _questions(1)), tmp_path)


def test_open_ended_rows_become_questions(tmp_path: Path) -> None:
    clip(tmp_path / "in/v0.mp4", seed=0)
    clip(tmp_path / "in/v1.mp4", seed=1)
    rows = [{"id": f"o{i}", "video": f"v{i % 2}", "question": "What is done?", "answer_text": f"he takes cup {i}"}
            for i in range(12)]  # fmt: skip
    params = _params(tmp_path, rows)
    _run("download_videos", params, tmp_path)
    _run("prepare_questions", params, tmp_path)
    given = {a.question_id: a.answer_text for a in read_rows(tmp_path / "data/raw/annotations.parquet", Annotation)}
    questions = read_rows(tmp_path / "data/questions/questions.parquet", Question)
    assert len(questions) == 12
    for question in questions:
        assert len(question.options) == 5
        assert question.options[question.answer or 0] == given[question.question_id]
        assert question.recipe.startswith(("wrong answers", "yes against no"))


def test_near_duplicates_go_from_training_only(tmp_path: Path) -> None:
    clip(tmp_path / "in/v0.mp4", seed=0)
    clip(tmp_path / "in/v1.mp4", seed=1)
    rows = [row("a", "v0", split="train"), row("b", "v0", split="train", question="what happens in a?"),
            row("c", "v1", split="test"), row("d", "v1", split="test", question="what happens in c?")]  # fmt: skip
    rows[1]["options"], rows[3]["options"] = rows[0]["options"], rows[2]["options"]
    params = _params(tmp_path, rows)
    _run("download_videos", params, tmp_path)
    report = _run("prepare_questions", params, tmp_path)
    assert [(q.item_id, q.reason, q.detail) for q in report.quarantined] == [("b", "near_duplicate", "repeats a")]


# --- validation -------------------------------------------------------------------------------------------------------


def test_real_training_data_needs_egoschemas_recordings(made: Path, root: Path) -> None:
    with pytest.raises(ParamsError, match=r"set validate_dataset\.egoschema_windows"):
        _run("validate_dataset", _params(made, _questions(), egoschema_windows=None), root)
    with pytest.raises(ParamsError, match=r"set validate_dataset\.egoschema_questions"):
        _run("validate_dataset", _params(made, _questions(), egoschema_windows="w.json"), root)


def _leaky(made: Path, root: Path, allow: bool, split: str = "train") -> StageReport:
    questions = read_rows(root / "data/questions/questions.parquet", Question)
    leaking = next(q.video_id for q in questions if q.split == split)
    windows = {"u": {"video_uid": leaking, "starting_sec": 0, "ending_sec": 1}}
    (root / "windows.json").write_text(json.dumps(windows))
    params = _params(made, _questions(), egoschema_windows="windows.json", egoschema_questions="none",
                     allow_leakage=allow)  # fmt: skip
    return _run("validate_dataset", params, root)


def test_dev_rows_on_evaluated_recordings_go_too(made: Path, root: Path) -> None:
    """They choose the step that becomes the policy."""
    report = _leaky(made, root, allow=False, split="dev")
    left = read_rows(root / "data/dataset/questions.parquet", Question)
    gone = {q.item_id for q in report.quarantined if q.reason == "leak_window"}
    assert len(gone) >= 5
    assert not gone & {q.question_id for q in left}
    assert any(q.split == "dev" for q in left)


def test_leaks_go_to_quarantine(made: Path, root: Path) -> None:
    report = _leaky(made, root, allow=False)
    assert {q.reason for q in report.quarantined} == {"leak_window"}
    assert len(report.quarantined) == 5
    stamp = json.loads((root / "data/dataset/leakage.json").read_text())
    assert (stamp["leaky"], stamp["leaks"], stamp["sources"]["local"]["leaks"]["window"]) == (False, 5, 5)


def test_allowed_leaks_stay_and_stamp_the_dataset(made: Path, root: Path) -> None:
    report = _leaky(made, root, allow=True)
    assert not report.quarantined
    assert json.loads((root / "data/dataset/leakage.json").read_text())["leaky"] is True
    assert any(
        check.startswith("warning: questions: no training row leaks: 5") for check in report.values["failed_checks"]
    )
    assert "LEAKY" in (root / "data/reports/dataset_card.md").read_text()


def test_a_copied_test_video_is_found_by_its_frames(tmp_path: Path) -> None:
    for v in range(3):
        clip(tmp_path / f"in/v{v}.mp4", seed=v, size=96)
    rows = [row(f"q{v}-{i}", f"v{v}", i % 5, split="train") for v in (0, 1) for i in range(5)]
    rows += [row(f"t{i}", "v2", i % 5, split="test") for i in range(5)]
    clip(tmp_path / "in/copy.mp4", seed=2, size=64)
    rows += [row(f"copy{i}", "copy", i % 5, split="train") for i in range(5)]
    params = _params(tmp_path, rows)
    for name in list(STAGES)[:4]:
        _run(name, params, tmp_path)
    report = _run("validate_dataset", params, tmp_path)
    assert {(q.item_id, q.reason) for q in report.quarantined} == {(f"copy{i}", "leak_frames") for i in range(5)}


def test_a_critical_check_stops_and_names(made: Path, root: Path) -> None:
    video = next((root / "data/raw/videos").rglob("v3.mp4"))
    video.unlink()
    (root / "data/dataset").mkdir(exist_ok=True)
    with pytest.raises(GateError, match=r"videos: file present: 1 of 12 \(v3\).*data_docs/index.html"):
        _run("validate_dataset", _params(made, _questions()), root)
    assert not (root / "data/dataset/questions.parquet").exists()
    assert "file present" in (root / "data/dataset/data_docs/index.html").read_text()


def test_a_shortcut_in_training_stops(tmp_path: Path) -> None:
    for v in range(2):
        clip(tmp_path / f"in/v{v}.mp4", seed=v)
    rows = [row(f"q{i}", "v0", i % 5, split="train") for i in range(100)]
    for one in rows:
        one["options"][one["answer"]] += " and this option is longer than all of the others"
    params = _params(tmp_path, [*rows, row("t", "v1", split="test")])
    for name in list(STAGES)[:4]:
        _run(name, params, tmp_path)
    with pytest.raises(GateError, match=r"shortcuts: training has no shortcut: .* of .*train: shortest option 5"):
        _run("validate_dataset", params, tmp_path)


def test_data_docs_open_without_a_network(made: Path, root: Path) -> None:
    _run("validate_dataset", _params(made, _questions()), root)
    pages = sorted((root / "data/dataset/data_docs").glob("*.html"))
    assert {page.stem for page in pages} == {"index", "videos", "clips", "keyframes", "questions", "splits", "letters",
                                             "shortcuts"}  # fmt: skip
    for page in pages:
        text = page.read_text()
        assert 'src="http' not in text
        assert "<link" not in text
        assert "<script" not in text


def test_a_question_without_frames_is_left_out(made: Path, root: Path) -> None:
    lost = read_rows(root / "data/questions/questions.parquet", Question)[0]
    changed = [
        q.model_copy(update={"end_seconds": 1.5}) if q.question_id == lost.question_id else q
        for q in read_rows(root / "data/questions/questions.parquet", Question)
    ]
    write_rows(root / "data/questions/questions.parquet", changed, Question)
    report = _run("validate_dataset", _params(made, _questions()), root)
    assert [(q.item_id, q.reason) for q in report.quarantined] == [(lost.question_id, "no_frames")]
