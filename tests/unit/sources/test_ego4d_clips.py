"""A clip's uid leads to its recording in every form that Ego4D publishes; if it is needed it is asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ParamsError
from pipeline.params import Params
from pipeline.sources.base import VideoItem
from pipeline.sources.ego4d_clips import Places, placed, read_places
from pipeline.sources.registry import build_sources
from tests.support.data_world import data_params, local_params

CLIP, RECORDING = "11111111-0000-4000-8000-000000000000", "2fa72a4f-b318-4e04-97b8-efdc3b039258"
INSIDE = {"clip_uid": CLIP, "video_start_sec": 240.5, "video_end_sec": 720.5}
FORMS = {
    "ego4d.json": json.dumps({"videos": [{"video_uid": RECORDING}], "clips": [{**INSIDE, "video_uid": RECORDING}]}),
    "nlq_train.json": json.dumps({"version": "v1", "videos": [{"video_uid": RECORDING, "clips": [INSIDE]}]}),
    "manifest.csv": "exported_clip_uid,parent_video_uid,parent_start_sec,parent_end_sec,s3_path\n"
    f"{CLIP},{RECORDING},240.5,720.5,s3://x/y.mp4\n",
}


def _params(form: str, clips: str | None) -> Params:
    source = local_params(Path("clips"), Path("q.json"), format=form)
    return data_params({"qa": source}, download_videos={"ego4d_clips": clips})


def _read(params: Params, root: Path) -> Places:
    return read_places(params.download_videos.ego4d_clips, build_sources(params), root)


@pytest.mark.parametrize("name", FORMS)
def test_every_published_form(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FORMS[name])
    assert _read(_params("qaego4d", name), tmp_path) == {CLIP: (RECORDING, 240.5)}


@pytest.mark.parametrize("text", ["[]", "{", '{"videos": [{"clips": [{}]}]}', '{"clips": [{"clip_uid": "a"}]}', None])
def test_another_file_is_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "ego4d.json").write_text(text)
    with pytest.raises(ParamsError, match="ego4d_clips") as caught:
        _read(_params("native", "ego4d.json"), tmp_path)
    assert "\n" not in str(caught.value)


def test_questions_on_clips_need_it_and_others_do_not(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"Set download_videos\.ego4d_clips"):
        _read(_params("qaego4d", None), tmp_path)
    assert _read(_params("qaego4d", "none"), tmp_path) == _read(_params("native", None), tmp_path) == {}


def _item(video_id: str, **changes: Any) -> VideoItem:
    return VideoItem(video_id, f"{video_id}.mp4", **({"parent_video_id": CLIP, "licence": ""} | changes))


def test_a_whole_clip_a_piece_of_one_and_a_stranger() -> None:
    places = {CLIP: (RECORDING, 240.5)}
    whole, piece = placed(_item(CLIP), places), placed(_item(f"{CLIP}_3"), places)
    assert (whole.parent_video_id, whole.parent_start_seconds) == (RECORDING, 240.5)
    assert (piece.parent_video_id, piece.parent_start_seconds) == (RECORDING, None)
    assert placed(_item("x", parent_start_seconds=10.0), places).parent_start_seconds == 250.5
    stranger = _item("other", parent_video_id="other")
    assert placed(stranger, places) is stranger
