"""EgoSchema's own complete files, if they are beside the repository; its layouts on hand-made ones."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ItemError, StageError
from pipeline.records import Annotation
from pipeline.sources.base import BadRow
from pipeline.sources.egoschema import NOT_ASKED, EgoschemaSource
from pipeline.sources.egoschema import EgoschemaParams as Params
from pipeline.video.probe import probe
from tests.support.data_world import clip, egoschema_params
from tests.support.fault_server import sha256


def _real(shared: Path, **changes: Any) -> EgoschemaSource:
    folder = shared / "egoschema"
    questions = folder / "questions_mc_5031.parquet"
    values = {
        "questions": str(questions), "questions_sha256": sha256(questions), "answers": str(folder /
        "subset_answers.json"), "windows": str(folder / "uid_to_ego4d.json"), "videos": "nowhere",
    }  # fmt: skip
    return EgoschemaSource("egoschema", 0, egoschema_params(**(values | changes)))


def test_all_5031_questions_of_the_hub_file(shared: Path) -> None:
    source = _real(shared)
    items, rows = source.list_videos(), list(source.annotations())
    assert len(items) == len(rows) == 5031
    assert not [row for row in rows if isinstance(row, BadRow)]
    assert len({item.parent_video_id for item in items}) == 1981
    assert len({(item.parent_video_id, item.parent_start_seconds) for item in items}) == 3964
    assert sum(row.answer is not None for row in rows if isinstance(row, Annotation)) == 500


def test_only_the_answered_ones(shared: Path) -> None:
    source = _real(shared, only_answered=True)
    rows = [row for row in source.annotations() if isinstance(row, Annotation)]
    assert len(rows) == len(source.list_videos()) == 500
    assert all(row.answer is not None and row.split == "test" for row in rows)


def test_the_original_form(shared: Path) -> None:
    path = shared / "egoschema/questions_sample_20.json"
    source = _real(shared, answers=None).params.model_copy(
        update={"questions": str(path), "questions_sha256": sha256(path)}
    )
    rows = list(EgoschemaSource("egoschema", 0, source).annotations())
    assert len(rows) == 20
    assert isinstance(rows[0], Annotation)
    assert rows[0].options is not None
    assert rows[0].options[4] == "C takes a break to drink from a cup, briefly shifting focus"


def test_another_version_is_refused(shared: Path) -> None:
    source = _real(shared)
    other = source.params.model_copy(update={"questions": str(shared / "egoschema/questions_sample_20.json")})
    with pytest.raises(StageError, match="another version of EgoSchema"):
        EgoschemaSource("egoschema", 0, other).list_videos()


def test_answers_of_another_version_are_refused(shared: Path) -> None:
    path = shared / "egoschema/questions_sample_20.json"
    mixed = _real(shared).params.model_copy(update={"questions": str(path), "questions_sha256": sha256(path)})
    with pytest.raises(StageError, match="different versions"):
        list(EgoschemaSource("egoschema", 0, mixed).annotations())


@pytest.fixture
def small(tmp_path: Path) -> Params:
    """Two questions on spans of one recording."""
    rows = [
        {"q_uid": uid, "google_drive_id": "x", "question": "What?", **{f"option {i}": f"{uid} {i}" for i in range(5)}}
        for uid in ("u1", "u2")
    ]
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps(rows))
    (tmp_path / "answers.json").write_text(json.dumps({"u1": 3}))
    windows = {"u1": {"video_uid": "rec", "starting_sec": 0, "ending_sec": 1},
               "u2": {"video_uid": "rec", "starting_sec": 1, "ending_sec": 2}}  # fmt: skip
    (tmp_path / "windows.json").write_text(json.dumps(windows))
    (tmp_path / "videos").mkdir()
    return egoschema_params(
        questions=str(questions), questions_sha256=sha256(questions), answers=str(tmp_path / "answers.json"),
        windows=str(tmp_path / "windows.json"), videos=str(tmp_path / "videos"),
    )  # fmt: skip


def _fetch(params: Params, layout: str, tmp_path: Path) -> Path:
    source = EgoschemaSource("egoschema", 0, params.model_copy(update={"layout": layout}))
    return source.fetch(source.list_videos()[1], tmp_path)


def test_files_of_a_folder(small: Params, tmp_path: Path) -> None:
    made = clip(tmp_path / "videos/u2.mp4", frames=8)
    assert _fetch(small, "files", tmp_path).read_bytes() == made.read_bytes()


def test_a_clip_cut_from_its_recording(small: Params, tmp_path: Path) -> None:
    clip(tmp_path / "videos/rec.mp4", frames=30)  # ten frames a second
    found = probe(_fetch(small, "ego4d", tmp_path))
    assert found.duration_seconds == pytest.approx(1.0)
    assert (found.frames, found.width) == (10, 64)


def test_a_missing_recording_is_one_bad_item(small: Params, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="missing_file"):
        _fetch(small, "ego4d", tmp_path)


def test_a_zip_chunk(small: Params, tmp_path: Path) -> None:
    made = clip(tmp_path / "u2.mp4", frames=8)
    with zipfile.ZipFile(tmp_path / "videos/videos_chunked_01.zip", "w") as archive:
        archive.write(made, "videos/u2.mp4")
    target = tmp_path / "out"
    target.mkdir()
    assert _fetch(small, "zips", target).read_bytes() == made.read_bytes()
    assert _fetch(small, "auto", target).read_bytes() == made.read_bytes()
    with pytest.raises(ItemError, match=r"u2\.mp4 is not in .*there are zips: set `layout: auto`"):
        _fetch(small, "files", target)


def test_files_win_over_zips_and_neither_is_a_missing_file(small: Params, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"missing_file: u2\.mp4 is not in [^;]*$"):
        _fetch(small, "auto", tmp_path)
    with zipfile.ZipFile(tmp_path / "videos/a.zip", "w") as archive:
        archive.writestr("u2.mp4", b"older")
    made = clip(tmp_path / "videos/u2.mp4", frames=8)
    assert _fetch(small, "auto", tmp_path).read_bytes() == made.read_bytes()


def test_what_lies_among_the_videos_is_counted_in_every_layout(small: Params, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    for name in ("u1.mp4", "other.mp4", "._u1.mp4", "rec.mp4", "notes.txt"):
        (videos / name).write_bytes(b"x")
    for name, members in (("a.zip", ["videos/", "videos/u2.mp4", "videos/u3.mp4"]), ("b.zip", ["u2.mp4", "list.csv"])):
        with zipfile.ZipFile(videos / name, "w") as archive:
            for member in members:
                archive.writestr(member, b"")
    (videos / "torn.zip").write_bytes(b"PK")
    macos, text = (
        {"macOS metadata of another file (._)": ("._u1.mp4",)},
        {"not a video by its name (.txt)": ("notes.txt",)},
    )
    members = {
        "not a video by its name (.csv)": ("b.zip/list.csv",),
        "an earlier zip has a file of this name": ("b.zip/u2.mp4",),
        "a zip that cannot be read": ("torn.zip",),
    }
    archives = {"not a video by its name (.zip)": ("a.zip", "b.zip", "torn.zip")}
    loose = ("._u1.mp4", "notes.txt", "other.mp4", "rec.mp4", "u1.mp4")
    expected = {
        "files": macos | text | archives | {NOT_ASKED: ("other.mp4", "rec.mp4")},
        "ego4d": macos | text | archives | {NOT_ASKED: ("other.mp4", "u1.mp4")},
        "auto": macos | text | members | {NOT_ASKED: ("a.zip/videos/u3.mp4", "other.mp4", "rec.mp4")},
        "zips": members | {"in no zip (`layout: zips`)": loose, NOT_ASKED: ("a.zip/videos/u3.mp4",)},
    }
    for layout, left_out in expected.items():
        source = EgoschemaSource("egoschema", 0, small.model_copy(update={"layout": layout}))
        assert source.left_out() == left_out, layout


@pytest.mark.parametrize("member", ["../u2.mp4", "/abs/u2.mp4", "a/../../u2.mp4"])
def test_a_zip_member_that_leads_out_is_refused(small: Params, tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "videos/evil.zip", "w") as archive:
        archive.writestr(member, b"data")
    with pytest.raises(ItemError, match="unsafe_path"):
        _fetch(small, "zips", tmp_path)
    assert not list(tmp_path.glob("u2*"))


def test_a_zip_link_and_a_torn_zip_are_refused(small: Params, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("u2.mp4")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "videos/link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ItemError, match="is a link"):
        _fetch(small, "zips", tmp_path)
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "a.zip").write_bytes((tmp_path / "videos/link.zip").read_bytes()[:30])
    with pytest.raises(ItemError, match="bad_zip"):
        _fetch(small.model_copy(update={"videos": str(torn)}), "zips", tmp_path)
