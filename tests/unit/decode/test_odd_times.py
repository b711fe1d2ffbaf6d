"""Times and side data that ended a stage once: each file is made here, and what is expected is how it was made."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.decode.backends import decode_frames
from pipeline.decode.pyav_decoder import times_in_output_order
from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize
from pipeline.video.doubt import doubt_of
from pipeline.video.probe import probe
from tests.unit.decode.odd_files import exif_in_mjpeg, last_frame_stays, near_the_wrap


@pytest.mark.parametrize("seconds_before", [100, 30, 8, 1])
def test_a_transport_stream_near_the_wrap_of_its_clock(seconds_before: int, tmp_path: Path) -> None:
    assert probe(near_the_wrap(tmp_path / "a.ts", seconds_before)).duration_seconds == pytest.approx(2.0)


@pytest.mark.parametrize("last_seconds", [0.1, 1.5, 3.0, 30.0])
def test_a_last_frame_that_stays(last_seconds: float, tmp_path: Path) -> None:
    path = last_frame_stays(tmp_path / "a.mp4", last_seconds)
    assert probe(path).duration_seconds == pytest.approx(2.0 + last_seconds)
    shown = decode_frames(path, np.array([2.0 + last_seconds - 0.05]), FrameSize(10**5, 1))
    assert shown.pts_seconds == pytest.approx([2.0])


@pytest.mark.parametrize("suffix", ["avi", "mov", "mkv"])
@pytest.mark.parametrize(("orientation", "rotation"), [(None, 0), (1, 0), (6, 90)])
def test_exif_inside_mjpeg(suffix: str, orientation: int | None, rotation: int, tmp_path: Path) -> None:
    assert probe(exif_in_mjpeg(tmp_path / f"a.{suffix}", orientation)).rotation == rotation


def test_output_order_is_the_truth_up_to_a_jump() -> None:
    ticks, numbers = times_in_output_order(np.array([0, 3, 1, 2, 4]))
    assert (ticks.tolist(), numbers.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    ticks, numbers = times_in_output_order(np.array([0, 1, 1, 2]))
    assert (ticks.tolist(), numbers.tolist()) == ([0, 1, 2], [0, 1, 3])
    with pytest.raises(ItemError, match="broken_times"):
        times_in_output_order(np.array([*range(30), *range(30)]))


@pytest.mark.parametrize(
    ("pts", "depth", "doubt"),
    [
        ([0, 3, 1, 2, 6, 4, 5], 1, ""),
        ([0, 1, 2, 3], 0, ""),
        ([1, 2, 3, 4], 2, "gop"),
        ([0, 4, 2, 1, 3], 1, "gop"),
        ([0, 3, 1, 1, 2], 1, "all"),
    ],
)
def test_packets_tell_when_to_look(pts: list[int], depth: int, doubt: str) -> None:
    ticks = np.array(pts)
    assert doubt_of(ticks, np.arange(len(pts)) - 3, np.zeros(len(pts), bool), depth) == doubt
