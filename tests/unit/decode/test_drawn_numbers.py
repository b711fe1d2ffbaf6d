"""Frame numbers are drawn into the pictures and read back: the judge knows no time stamp and no index.

Every container that takes the codec x B-frames x open GOP x start time; edit lists beside them. Picture k shows k in
nine grey bars and is shown from k / RATE seconds on, so what is seen at that time must read k.
"""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.decode.backends import decode_frames
from pipeline.frames.geometry import FrameSize
from pipeline.video.probe import probe

RATE, FRAMES, BARS, WIDTH, HEIGHT = 25, 40, 9, 144, 64
TIMES = (np.arange(FRAMES) + 0.5) / RATE
X265 = "log-level=none:pools=none:frame-threads=1:keyint=10:min-keyint=10:scenecut=0"

CODECS = {
    "h264": ("libx264", 0, {}),
    "h264 B": ("libx264", 3, {"x264-params": "b-adapt=0:b-pyramid=normal"}),
    "h264 B open GOP": ("libx264", 3, {"x264-params": "b-adapt=0:open-gop=1:scenecut=0"}),
    "hevc B": ("libx265", None, {"x265-params": f"{X265}:bframes=3:b-adapt=0:open-gop=0"}),
    "hevc B open GOP": ("libx265", None, {"x265-params": f"{X265}:bframes=3:b-adapt=0:open-gop=1"}),
    "mpeg4 B": ("mpeg4", 2, {}),
    "mpeg2 B": ("mpeg2video", 2, {}),
    "vp9": ("libvpx-vp9", None, {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}),
}
H26X = ("h264", "h264 B", "h264 B open GOP", "hevc B", "hevc B open GOP")
CONTAINERS = {
    "mp4": (*H26X, "mpeg4 B"),
    "mov": H26X,
    "mkv": tuple(CODECS),
    "ts": (*H26X, "mpeg2 B"),
    "avi": ("h264", "h264 B", "h264 B open GOP", "mpeg4 B"),
    "flv": ("h264", "h264 B"),
    "mpg": ("mpeg2 B",),
}
CASES = [(suffix, codec) for suffix, codecs in CONTAINERS.items() for codec in codecs]
LATE = [(suffix, codec) for suffix, codec in CASES if suffix in ("mp4", "mkv", "ts") and codec in ("h264 B", "hevc B")]


def drawn(number: int) -> np.ndarray:
    """A picture whose bars are the bits of `number`."""
    bars = [235 if number >> bit & 1 else 20 for bit in range(BARS)]
    return np.repeat(np.repeat(np.array([bars], np.uint8), WIDTH // BARS, 1), HEIGHT, 0)[..., None].repeat(3, 2)


def read(image: np.ndarray) -> int:
    """The number in a picture of any size."""
    height, width, _ = image.shape
    middles = ((np.arange(BARS) + 0.5) * width / BARS).astype(int)
    return sum(int(image[height // 2, middle].mean() > 128) << bit for bit, middle in enumerate(middles))


def write(path: Path, codec: str, first: int = 0) -> Path:
    """Pictures 0 ... in order, the first at `first / RATE` seconds."""
    encoder, bframes, options = CODECS[codec]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoder, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 10
        stream.codec_context.thread_count = 1
        if bframes is not None:
            stream.codec_context.max_b_frames = bframes
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(drawn(number), format="rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def seen(path: Path, times: np.ndarray) -> list[int]:
    """The numbers in the frames that the decoder gives for these times."""
    return [read(image) for image in decode_frames(path, times, FrameSize(10**6, 1)).images]


@pytest.mark.parametrize(("suffix", "codec"), CASES)
def test_the_drawn_numbers_come_back_in_order(suffix: str, codec: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{suffix}", codec)
    assert seen(path, TIMES) == list(range(FRAMES))
    assert seen(path, TIMES[[3, 17, 31]]) == [3, 17, 31], "few frames take the packet plan's short cuts"
    assert probe(path).duration_seconds == pytest.approx(FRAMES / RATE, abs=0.002)


@pytest.mark.parametrize("codec", ["h264 B", "h264 B open GOP", "mpeg4 B"])
def test_each_frame_alone_where_the_container_has_no_times(codec: str, tmp_path: Path) -> None:
    """One wanted frame asks for few packets, which alone do not show that their times are in the wrong order."""
    path = write(tmp_path / "a.avi", codec)
    assert [seen(path, TIMES[[number]]) for number in range(FRAMES)] == [[number] for number in range(FRAMES)]


@pytest.mark.parametrize(("suffix", "codec"), LATE)
def test_a_file_that_starts_late(suffix: str, codec: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{suffix}", codec, first=75)
    origin = probe(path).origin_seconds
    start = 0.0 if origin > 2.9 else 75 / RATE  # a container may count from its first frame or from 0
    assert seen(path, start + TIMES) == list(range(FRAMES))


def test_composition_times_that_were_lost(tmp_path: Path) -> None:
    """An MP4 whose table of composition offsets is gone: its times are in the order of decoding."""
    path = write(tmp_path / "a.mp4", "h264 B")
    path.write_bytes(path.read_bytes().replace(b"ctts", b"free"))
    numbers = seen(path, np.arange(FRAMES - 4) / RATE + 0.5 / RATE)
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > FRAMES - 8


def _ffmpeg(*arguments: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg command is not installed: nothing was compared with it")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize("codec", ["h264 B", "h264 B open GOP", "hevc B"])
def test_a_cut_without_encoding_starts_at_the_cut(codec: str, tmp_path: Path) -> None:
    """`-ss -c copy` leaves an edit list: packets before the cut are decoded and not shown."""
    whole, cut = write(tmp_path / "a.mp4", codec), tmp_path / "cut.mp4"
    _ffmpeg("-ss", "0.56", "-i", str(whole), "-c", "copy", str(cut))
    count = round(probe(cut).duration_seconds * RATE)
    assert seen(cut, (np.arange(count) + 0.5) / RATE) == list(range(FRAMES - count, FRAMES))
    assert count == FRAMES - 14


@pytest.mark.parametrize(("suffix", "codec"), CASES)
def test_the_ffmpeg_command_sees_the_same_pictures(suffix: str, codec: str, tmp_path: Path) -> None:
    """The second judge is another build of FFmpeg, as a program; no time of PyAV has a part in it."""
    path, raw = write(tmp_path / f"a.{suffix}", codec), tmp_path / "raw"
    _ffmpeg("-i", str(path), "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", str(raw))
    pictures = np.fromfile(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    assert [read(picture) for picture in pictures] == seen(path, TIMES)
