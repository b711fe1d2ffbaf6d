"""extract_frames end to end on small real files: exact frames, incremental, quarantine, independent of workers."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import TooManyBadItems
from pipeline.frames.store import FrameStore
from pipeline.params import Machine, Params, load_params
from pipeline.records import Clip, Quarantined, Video, read_rows, write_rows
from pipeline.reports import StageReport
from pipeline.stages import extract_frames
from tests.unit.decode.odd_files import flipped, write
from tests.unit.decode.reference import full_decode, on_screen, upright


def add_video(root: Path, name: str, bad: bool = False) -> tuple[Video, Clip]:
    folder = root / "data/raw/videos"
    folder.mkdir(parents=True, exist_ok=True)
    options = {"x264-params": "threads=1:mbtree=0"}  # with mbtree the same pictures may become other bytes
    path = write(folder / f"{name}.mp4", options=options, frames=30 + len(name), mux={"movflags": "faststart"})
    if bad:
        flipped(path)
    data = path.read_bytes()
    video = Video(
        video_id=name,
        path=f"videos/{name}.mp4",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        codec="h264",
        width=96,
        height=64,
        frames_per_second=10,
        duration_seconds=3,
        parent_video_id=name,
        source="test",
        licence="CC0",
    )
    return video, Clip(clip_id=f"{name}@0", video_id=name, start_seconds=0.5, end_seconds=3.0)


def fill(root: Path, names: list[str], bad: tuple[str, ...] = ()) -> None:
    rows = [add_video(root, name, name in bad) for name in names]
    write_rows(root / "data/raw/videos.parquet", [video for video, _ in rows], Video)
    (root / "data/questions").mkdir(parents=True, exist_ok=True)
    write_rows(root / "data/questions/clips.parquet", [clip for _, clip in rows], Clip)


def params(repository: Path, **changes: Any) -> Params:
    whole = load_params(repository / "params.yaml")
    machine = whole.machine.model_copy(update={k: v for k, v in changes.items() if k in Machine.model_fields})
    own = {k: v for k, v in changes.items() if k not in Machine.model_fields}
    return whole.model_copy(update={"extract_frames": whole.extract_frames.model_copy(update=own), "machine": machine})


def run(root: Path, settings: Params) -> StageReport:
    report = StageReport("extract_frames")
    extract_frames.run(settings, root, report)
    return report


def files(root: Path) -> dict[str, bytes]:
    folder = root / "data/frames"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_frames_are_those_on_screen_at_the_midpoints(tmp_path: Path, repository: Path) -> None:
    fill(tmp_path, ["a", "b"])
    report = run(tmp_path, params(repository, jpeg_quality=100))
    store = FrameStore(tmp_path / "data/frames")
    frames = store.load("a@0")
    shown = full_decode(tmp_path / "data/raw/videos/a.mp4")
    truth = [on_screen(shown, 0.5 + 2.5 * (i + 0.5) / 6) for i in range(6)]
    assert frames.pts_seconds.tolist() == pytest.approx([t.pts_seconds for t in truth])
    assert frames.images.shape == (6, 32, 48, 3)
    exact = np.stack([upright(t.frame, 48, 32) for t in truth]).astype(int)
    assert np.abs(frames.images - exact).mean() < 1.5  # JPEG at quality 100
    assert report.values["frames"] == {"clips": 2, "frames": 12, "clips_with_fewer_frames": 0, "decoded": {"plan": 2}}
    assert store.settings["size"] == {"max_pixels": 2304, "size_multiple": 16}
    assert "libavcodec" in store.settings["version"]


def test_a_clip_with_fewer_pictures_than_asked_for_keeps_each_once(tmp_path: Path, repository: Path) -> None:
    _, whole = add_video(tmp_path, "a")
    fill(tmp_path, ["a"])
    short = whole.model_copy(update={"clip_id": "a@short", "start_seconds": 0.5, "end_seconds": 1.0})
    still = whole.model_copy(update={"clip_id": "a@still", "start_seconds": 0.51, "end_seconds": 0.59})
    write_rows(tmp_path / "data/questions/clips.parquet", [whole, short, still], Clip)
    report = run(tmp_path, params(repository, frames_per_clip=12).model_copy(update={"max_bad_fraction": 0.5}))
    store = FrameStore(tmp_path / "data/frames")
    assert store.load("a@short").pts_seconds.tolist() == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])
    assert len(store.load("a@short").images) == 5
    assert dict(report.outcomes["clip"]) == {"ok": 2, "one_picture": 1}
    assert report.values["frames"]["clips_with_fewer_frames"] == 1


def test_a_bad_clip_is_quarantined_with_a_sheet_and_the_others_stay(tmp_path: Path, repository: Path) -> None:
    fill(tmp_path, ["a", "bad", "c"], bad=("bad",))
    clips = read_rows(tmp_path / "data/questions/clips.parquet", Clip)
    orphan = Clip(clip_id="orphan@0", video_id="orphan", start_seconds=0, end_seconds=1)
    write_rows(tmp_path / "data/questions/clips.parquet", [*clips, orphan], Clip)
    report = run(tmp_path, params(repository).model_copy(update={"max_bad_fraction": 0.5}))
    assert dict(report.outcomes["clip"]) == {"ok": 2, "damaged_video": 1, "no_video": 1}
    assert FrameStore(tmp_path / "data/frames").clip_ids() == ["a@0", "c@0"]
    ledger = read_rows(tmp_path / "data/frames/quarantine.parquet", Quarantined)
    assert [(row.item_id, row.reason) for row in ledger] == [("bad@0", "damaged_video"), ("orphan@0", "no_video")]
    assert [p.name for p in (tmp_path / "data/frames/quarantined").iterdir()] == ["bad@0.jpg"]


def test_too_many_bad_clips_stop_the_stage_and_leave_no_whole_store(tmp_path: Path, repository: Path) -> None:
    fill(tmp_path, ["a", "bad"], bad=("bad",))
    with pytest.raises(TooManyBadItems, match="bad@0: damaged_video"):
        run(tmp_path, params(repository))
    assert not (tmp_path / "data/frames/manifest.json").exists()


def test_one_more_video_makes_one_clip_and_the_files_are_those_of_a_fresh_run(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"v{i}" for i in range(9)]
    fill(tmp_path / "grown", names[:8])
    run(tmp_path / "grown", params(repository))
    capsys.readouterr()
    fill(tmp_path / "grown", names)
    run(tmp_path / "grown", params(repository, workers=1))
    assert "1/1" in capsys.readouterr().err  # the progress bar: one clip was made
    fill(tmp_path / "fresh", names)
    run(tmp_path / "fresh", params(repository))
    assert files(tmp_path / "grown") == files(tmp_path / "fresh")


@pytest.mark.parametrize("harm", ["deleted", "flipped bit"])
def test_a_harmed_shard_is_named_and_made_again(
    tmp_path: Path, repository: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = params(repository, shards=2, workers=1)
    fill(tmp_path, ["a", "bb", "ccc"])
    run(tmp_path, settings)
    frames = tmp_path / "data/frames"
    whole = {path.name: path.read_bytes() for path in frames.iterdir() if path.is_file()}
    shard = max(frames.glob("*.arrow"), key=lambda path: path.stat().st_size)
    if harm == "deleted":
        shard.unlink()
    else:
        shard.write_bytes(whole[shard.name][:-2000] + bytes([whole[shard.name][-2000] ^ 1]) + whole[shard.name][-1999:])
    capsys.readouterr()
    run(tmp_path, settings)
    assert {path.name: path.read_bytes() for path in frames.iterdir() if path.is_file()} == whole
    said = capsys.readouterr()
    assert harm == "deleted" or shard.name in said.out + said.err


def test_a_changed_video_or_setting_makes_its_clips_again(tmp_path: Path, repository: Path) -> None:
    fill(tmp_path, ["a", "b"])
    run(tmp_path, params(repository))
    first = FrameStore(tmp_path / "data/frames").load("a@0")
    run(tmp_path, params(repository, frames_per_clip=3))
    second = FrameStore(tmp_path / "data/frames").load("a@0")
    assert (len(first), len(second)) == (6, 3)
    rows = [add_video(tmp_path, name) for name in ("a", "b")]
    path = write(tmp_path / "data/raw/videos/a.mp4", frames=40, size=(64, 96))
    changed = rows[0][0].model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    write_rows(tmp_path / "data/raw/videos.parquet", [changed, rows[1][0]], Video)
    run(tmp_path, params(repository, frames_per_clip=3))
    assert FrameStore(tmp_path / "data/frames").load("a@0").images.shape == (3, 48, 32, 3)


def test_decord_can_be_chosen(tmp_path: Path, repository: Path) -> None:
    pytest.importorskip("decord")
    fill(tmp_path, ["a"])
    report = run(tmp_path, params(repository, decoder="decord"))
    assert report.values["frames"]["decoded"] == {"decord": 1}
    assert "decord 0.6" in FrameStore(tmp_path / "data/frames").settings["version"]
