"""Frame numbers are drawn into the pictures and read back: the judge knows no time stamp and no index.

Quick: every container x codec whole, and every kind of a few. The whole product is slow (`python -m benchmarks.formats`
prints it).
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.video.probe import probe
from tests.support.drawn import FRAMES, HEIGHT, KINDS, RATE, WIDTH, cells, judge, read, seen, write

TIMES = (np.arange(FRAMES) + 0.5) / RATE
CELLS = list(cells())
WHOLE = [(container, codec) for container, codec, kind in CELLS if kind == "whole"]
FEW = {("mp4", "h264 B"), ("mp4", "mpeg4 B"), ("mov", "hevc B open GOP"), ("ts", "hevc B"), ("mkv", "vp9"),
       ("avi", "mpeg4 B"), ("avi", "h264 B open GOP"), ("ts", "mpeg2 B open GOP")}  # fmt: skip


def _expected(kind: str) -> str:
    return "in order" if KINDS[kind].lost else "exact"


def _check(folder: Path, container: str, codec: str, kind: str) -> None:
    assert judge(folder, container, codec, kind) == _expected(kind)


@pytest.mark.parametrize(("container", "codec", "kind"), [c for c in CELLS if c[:2] in FEW and c[2] != "whole"])
def test_every_kind_of_a_few(container: str, codec: str, kind: str, tmp_path: Path) -> None:
    _check(tmp_path, container, codec, kind)


@pytest.mark.slow
@pytest.mark.parametrize(("container", "codec", "kind"), CELLS)
def test_the_whole_product(container: str, codec: str, kind: str, tmp_path: Path) -> None:
    _check(tmp_path, container, codec, kind)


def test_the_product_is_whole() -> None:
    assert len(CELLS) > 300
    assert {kind for *_, kind in CELLS} == set(KINDS)
    assert {kind for *cell, kind in CELLS if tuple(cell) in FEW} == set(KINDS)


@pytest.mark.parametrize(("container", "codec"), WHOLE)
def test_the_drawn_numbers_come_back_in_order(container: str, codec: str, tmp_path: Path) -> None:
    path = write(tmp_path, container, codec)
    assert seen(path, TIMES) == list(range(FRAMES))
    assert seen(path, TIMES[[3, 17, 31]]) == [3, 17, 31], "few frames take the packet plan's short cuts"
    assert probe(path).duration_seconds == pytest.approx(FRAMES / RATE, abs=0.002)


@pytest.mark.parametrize("codec", ["h264 B", "h264 B open GOP", "mpeg4 B"])
def test_each_frame_alone_where_the_container_has_no_times(codec: str, tmp_path: Path) -> None:
    """One wanted frame asks for few packets, which alone do not show that their times are in the wrong order."""
    path = write(tmp_path, "avi", codec)
    assert [seen(path, TIMES[[number]]) for number in range(FRAMES)] == [[number] for number in range(FRAMES)]


def _ffmpeg(*arguments: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg command is not installed: nothing was compared with it")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize("codec", ["h264 B", "h264 B open GOP", "hevc B"])
def test_a_cut_without_encoding_starts_at_the_cut(codec: str, tmp_path: Path) -> None:
    """`-ss -c copy` leaves an edit list: packets before the cut are decoded and not shown."""
    whole, cut = write(tmp_path, "mp4", codec), tmp_path / "cut.mp4"
    _ffmpeg("-ss", "0.56", "-i", str(whole), "-c", "copy", str(cut))
    count = round(probe(cut).duration_seconds * RATE)
    assert seen(cut, (np.arange(count) + 0.5) / RATE) == list(range(FRAMES - count, FRAMES))
    assert count == FRAMES - 14


@pytest.mark.parametrize(("container", "codec"), WHOLE)
def test_the_ffmpeg_command_sees_the_same_pictures(container: str, codec: str, tmp_path: Path) -> None:
    """The second judge is another build of FFmpeg, as a program; no time of PyAV has a part in it."""
    path, raw = write(tmp_path, container, codec), tmp_path / "raw"
    _ffmpeg("-i", str(path), "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", str(raw))
    pictures = np.fromfile(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    assert [read(picture) for picture in pictures] == seen(path, TIMES)


def test_the_ffmpeg_command_sees_as_much_of_shifted_composition_times(tmp_path: Path) -> None:
    """They run past the end of the edit list: the last pictures are not shown, there either."""
    path, raw = KINDS["ctts shifted"].make(tmp_path, "mp4", "h264 B"), tmp_path / "raw"
    _ffmpeg("-i", str(path), "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", str(raw))
    pictures = np.fromfile(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    assert [read(picture) for picture in pictures] == list(range(KINDS["ctts shifted"].last + 1))
