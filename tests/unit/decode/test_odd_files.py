"""Every odd file gives frames identical to a full decode, or a named outcome: no other frame, no crash, no hang."""

import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.decode.backends import decode_frames
from pipeline.decode.decoding import Decoded
from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize
from pipeline.frames.sampling import uniform_times
from pipeline.video.probe import probe
from tests.unit.decode.odd_files import BAD, GOOD, followed_by_zeros, write
from tests.unit.decode.reference import full_decode, on_screen, upright

SIZE = FrameSize(max_pixels=64 * 64, size_multiple=4)
FULL_DECODE = {
    "h264 intra refresh",
    "h264 AVI with B-frames",
    "h264 intra refresh in TS",
    "h264 MPEG-TS cut inside a GOP",
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    av.logging.set_level(None)


def decode(path: Path, decoder: str = "pyav") -> Decoded:
    return decode_frames(
        path, uniform_times(0, probe(path).duration_seconds, 11), SIZE, decoder=decoder, seconds_limit=60
    )


@pytest.mark.parametrize("kind", GOOD)
def test_frames_are_those_of_a_full_decode(kind: str, tmp_path: Path) -> None:
    path = GOOD[kind](tmp_path)
    decoded = decode(path)
    shown = full_decode(path)
    height, width = decoded.images.shape[1:3]
    for time, pts, image in zip(
        uniform_times(0, probe(path).duration_seconds, 11), decoded.pts_seconds, decoded.images, strict=True
    ):
        truth = on_screen(shown, time + decoded.origin_seconds)
        assert pts == pytest.approx(truth.pts_seconds - decoded.origin_seconds, abs=1e-9)
        assert (image == upright(truth.frame, width, height)).all()
    assert decoded.way == ("full" if kind in FULL_DECODE else "plan")


@pytest.mark.parametrize("kind", BAD)
def test_a_broken_file_has_a_named_outcome(kind: str, tmp_path: Path) -> None:
    make, reasons = BAD[kind]
    path = make(tmp_path)
    with pytest.raises(ItemError) as error:
        decode(path)
    assert error.value.reason in reasons
    assert error.value.detail


def test_a_file_that_may_not_be_read_has_a_named_outcome(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    path.chmod(0)
    tmp_path.chmod(0o755)
    code = (
        "import os, pathlib, sys\n"
        "from pipeline.errors import ItemError\n"
        "from pipeline.video.container import open_video\n"
        "folder = os.open(sys.argv[1], os.O_RDONLY)\n"
        "os.fchdir(folder)\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try:\n"
        "    with open_video(pathlib.Path('a.mp4')): print('opened')\n"
        "except ItemError as error: print(error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "unreadable_file", done.stderr


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "secret.ts")
    listing = tmp_path / "list.m3u8"
    listing.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nsecret.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(ItemError, match="not_a_video"):
        probe(listing)


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_a_search_through_zeros_is_given_up(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.video.container.READ_SECONDS", 0.5)
    with pytest.raises(ItemError, match="time_limit"):
        probe(followed_by_zeros(write(tmp_path / name, "mpeg4")))


def test_a_file_too_large_to_keep_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mp4", bframes=3)
    kept = decode(path)
    monkeypatch.setattr("pipeline.video.index.KEPT_BYTES", 1000)
    assert (decode(path).images == kept.images).all()


def test_a_good_part_of_a_damaged_file_is_used(tmp_path: Path) -> None:
    path = BAD["hole of zeros"][0](tmp_path)
    decoded = decode_frames(path, uniform_times(0, 1.5, 4), SIZE)
    shown = full_decode(path)
    height, width = decoded.images.shape[1:3]
    truth = [upright(on_screen(shown, t).frame, width, height) for t in uniform_times(0, 1.5, 4)]
    assert (decoded.images == np.stack(truth)).all()


def test_a_clip_after_the_end_is_named_not_filled_up(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="clip_outside_video"):
        decode_frames(write(tmp_path / "a.mp4"), uniform_times(3, 9, 4), SIZE)


def test_a_clip_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="time_limit"):
        decode_frames(write(tmp_path / "a.mp4"), uniform_times(0, 4, 4), SIZE, seconds_limit=0.0)


# --- decord -----------------------------------------------------------------------------------------------------------

REFUSED_BY_DECORD = {
    "h264 edit list", "h264 MPEG-TS", "h264 intra refresh", "mpeg4 B-frames AVI", "mpeg4 B-frames MP4", "av1",
    "h264 open GOP", "two video streams", "rotated 90", "mirrored", "h264 AVI with B-frames", "ProRes",
}  # fmt: skip
TAKEN_BY_DECORD = {"h264", "h264 B-frames", "h264 one long GOP", "h264 VFR with gaps, MP4", "vp9 odd size", "hevc"}


@pytest.mark.parametrize("kind", sorted(REFUSED_BY_DECORD))
def test_decord_refuses_what_it_would_decode_wrongly(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("decord")
    with pytest.raises(ItemError, match="decord_unsupported") as error:
        decode(GOOD[kind](tmp_path), "decord")
    assert "decoder: pyav" in error.value.detail


@pytest.mark.parametrize("kind", sorted(TAKEN_BY_DECORD))
def test_decord_gives_the_same_moments(kind: str, tmp_path: Path) -> None:
    """Its colours differ by its own conversion; blurred, each frame must be nearest to the true one."""
    pytest.importorskip("decord")
    path = GOOD[kind](tmp_path)
    decoded = decode(path, "decord")
    height, width = decoded.images.shape[1:3]
    shown = full_decode(path)
    truths = [_blurred(upright(s.frame, width, height)) for s in shown]
    for pts, image in zip(decoded.pts_seconds, decoded.images, strict=True):
        nearest = int(np.argmin([np.abs(truth - _blurred(image)).mean() for truth in truths]))
        assert shown[nearest].pts_seconds == pytest.approx(pts)


def test_decord_does_not_hide_damage(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    with pytest.raises(ItemError, match="damaged_video"):
        decode(BAD["bits flipped"][0](tmp_path), "decord")


def _blurred(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image.astype(np.float32).mean(2), (0, 0), 1.5)
