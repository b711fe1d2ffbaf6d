"""A folder with a file of every bad and odd kind goes through the stages: none ends, every file has an outcome."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.frames.store import FrameStore
from pipeline.params import Params
from pipeline.records import Clip, Question, Video, read_rows
from pipeline.reports import StageReport
from pipeline.sources.real import video_id_of
from pipeline.stages import download_videos, extract_frames, prepare_questions
from tests.support.data_world import data_params, local_params, row, write_jsonl
from tests.unit.decode import odd_files
from tests.unit.decode.odd_files import BAD, GOOD, Maker, exif_in_mjpeg, last_frame_stays, near_the_wrap

STAGES = (download_videos, prepare_questions, extract_frames)
NO_FILE = {"a name of 300 letters", "missing file", "folder"}  # a folder can hold none of them as a file
TAKEN_AS = {
    "named pipe": {"missing_file"},  # a copy of it would wait for ever
    "dangling link": {"missing_file"},
    "link to itself": {"missing_file"},
}
SMALL_ZEROS = 16 << 20  # what a copy takes for them is not the question here
ODD: dict[str, Maker] = {
    "EXIF in MJPEG, AVI": lambda d: exif_in_mjpeg(d / "a.avi", 6, 20),
    "EXIF in MJPEG, MOV": lambda d: exif_in_mjpeg(d / "a.mov", None, 20),
    "1 s before the clock wraps": lambda d: near_the_wrap(d / "a.ts", 1),
    "30 s before the clock wraps": lambda d: near_the_wrap(d / "a.ts", 30),
    "last frame stays 3 s": lambda d: last_frame_stays(d / "a.mp4", 3.0),
    "composition times lost": lambda d: odd_files.damaged(
        GOOD["h264 B-frames"](d), lambda b: b.replace(b"ctts", b"free")
    ),
}
ODD_GOOD = ("h264 AVI with B-frames", "hevc HDR 10 bit", "h264 edit list", "h264 MPEG-TS cut inside a GOP", "one frame",
            "size changes, MP4", "name in unicode")  # fmt: skip
BESIDE = {
    "._a.mp4": "macOS metadata of another file (._)",
    ".hidden.mp4": "hidden",
    "GL010001.LRV": "small copy that the camera made of another video (.lrv)",
    "GS010001.360": "360 degree video: convert it to a flat one first (.360)",
    "notes.txt": "not a video by its name (.txt)",
}


def _place(folder: Path, kind: str, make: Maker) -> str | None:
    """Make one file in a folder of its own, alone; its path below `folder`."""
    here = folder / re.sub(r"\W+", "-", kind)
    here.mkdir()
    path = make(here)
    if kind == "1 GB of zeros":
        os.truncate(path, SMALL_ZEROS)
    for other in set(here.iterdir()) - {path}:
        other.unlink()
    return path.relative_to(folder).as_posix() if path.suffix != ".h264" else None


@dataclass(frozen=True)
class Made:
    """What the stages made of the folder, and kind -> relative path of the files that are videos by their name."""

    root: Path
    paths: dict[str, str]
    reports: dict[str, StageReport]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("every")
    (root / "in").mkdir()
    makers = {kind: make for kind, (make, _) in BAD.items() if kind not in NO_FILE}
    makers |= ODD | {kind: GOOD[kind] for kind in ODD_GOOD}
    placed = {kind: _place(root / "in", kind, make) for kind, make in makers.items()}
    for name in BESIDE:
        (root / "in" / name).write_bytes(b"x")
    paths = {kind: path for kind, path in placed.items() if path is not None}
    reports = {stage.__name__.rpartition(".")[2]: StageReport("") for stage in STAGES}
    for stage, report in zip(STAGES, reports.values(), strict=True):
        stage.run(_params(root, paths), root, report)
    return Made(root, paths, reports)


def _params(root: Path, paths: dict[str, str]) -> Params:
    rows = [row(f"q{i}", path, i % 5) for i, path in enumerate(paths.values())]
    source = local_params(root / "in", write_jsonl(root / "q.jsonl", rows))
    params = data_params(
        {"local": source},
        prepare_questions={"splits": {"train": 0.5, "dev": 0.2}},
        extract_frames={"frames_per_clip": odd_files.FRAMES},
    )  # or damage between them stays unseen
    return params.model_copy(update={"max_bad_fraction": 0.95})


def test_every_kind_has_an_outcome_and_no_stage_ends(made: Made) -> None:
    kinds = {video_id_of(path): kind for kind, path in made.paths.items()}
    assert len(kinds) == len(made.paths) > 30
    download, extracted = made.reports["download_videos"], made.reports["extract_frames"]
    taken = {video.video_id for video in read_rows(made.root / "data/raw/videos.parquet", Video)}
    outcome = {kinds[q.item_id]: q.reason for q in download.quarantined if q.kind == "video"}
    assert len(taken) + len(outcome) == len(kinds) == sum(download.outcomes["video"].values())
    assert taken | {video_id for video_id, kind in kinds.items() if kind in outcome} == set(kinds)

    clips = {clip.clip_id: clip.video_id for clip in read_rows(made.root / "data/questions/clips.parquet", Clip)}
    assert set(clips.values()) == taken
    assert len(read_rows(made.root / "data/questions/questions.parquet", Question)) == len(taken)
    outcome |= {kinds[clips[q.item_id]]: q.reason for q in extracted.quarantined}
    assert sum(extracted.outcomes["clip"].values()) == len(clips)

    assert outcome.pop("one frame") == "one_picture"
    for kind, reason in outcome.items():
        assert kind in BAD, f"{kind} is readable, but was refused as {reason}"
        assert reason in TAKEN_AS.get(kind, BAD[kind][1]), kind
    assert set(outcome) == set(BAD) - NO_FILE - {"raw h264 without times"}


def test_no_picture_of_a_clip_comes_twice(made: Made) -> None:
    times = FrameStore(made.root / "data/frames").column("pts_seconds")
    assert len(times) > 10
    assert all(earlier < later for clip in times for earlier, later in pairwise(clip))


def test_what_lies_beside_the_videos_is_counted(made: Made) -> None:
    expected = Counter(BESIDE.values()) + Counter(["not a video by its name (.h264)"])
    assert made.reports["download_videos"].values["files_left_out"] == {"local": dict(sorted(expected.items()))}


def test_high_dynamic_range_is_marked_in_the_manifest(made: Made) -> None:
    rows = read_rows(made.root / "data/raw/videos.parquet", Video)
    assert [row.video_id for row in rows if row.hdr] == [video_id_of(made.paths["hevc HDR 10 bit"])]
