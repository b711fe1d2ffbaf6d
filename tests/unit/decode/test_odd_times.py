"""Times and side data that ended a stage once: each file is made here, and what is expected is how it was made."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.decode.backends import decode_frames
from pipeline.decode.pyav_decoder import times_in_output_order
from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize
from pipeline.video.doubt import doubt_of
from pipeline.video.probe import probe
from tests.unit.decode.odd_files import WIDTH, picture

CLOCK = 90_000  # ticks a second of an MPEG transport stream; its 33 bits wrap after 26.5 hours


@pytest.mark.parametrize("seconds_before", [100, 30, 8, 1])
def test_a_transport_stream_near_the_wrap_of_its_clock(seconds_before: int, tmp_path: Path) -> None:
    path, base = tmp_path / "a.ts", 2**33 - seconds_before * CLOCK
    with av.open(str(path), "w", options={"mpegts_copyts": "1"}) as out:
        stream = out.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLOCK)
        frames = [av.VideoFrame.from_ndarray(picture(i), format="rgb24") for i in range(48)]
        for i, frame in enumerate([*frames, None]):
            if frame is not None:
                frame.pts, frame.time_base = i * CLOCK // 24, Fraction(1, CLOCK)
            for packet in stream.encode(frame):
                packet.pts += base
                packet.dts += base
                out.mux(packet)
    assert probe(path).duration_seconds == pytest.approx(2.0)


@pytest.mark.parametrize("last_seconds", [0.1, 1.5, 3.0, 30.0])
def test_a_last_frame_that_stays(last_seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, 64, "yuv420p"
        stream.codec_context.max_b_frames = 0
        packets = []
        for i in range(21):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        packets[-1].duration = int(last_seconds / packets[-1].time_base)
        for packet in packets:
            out.mux(packet)
    assert probe(path).duration_seconds == pytest.approx(2.0 + last_seconds)
    shown = decode_frames(path, np.array([2.0 + last_seconds - 0.05]), FrameSize(10**5, 1))
    assert shown.pts_seconds == pytest.approx([2.0])


@pytest.mark.parametrize("suffix", ["avi", "mov", "mkv"])
@pytest.mark.parametrize(("orientation", "rotation"), [(None, 0), (1, 0), (6, 90)])
def test_exif_inside_mjpeg(suffix: str, orientation: int | None, rotation: int, tmp_path: Path) -> None:
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x010F] = "ACME cam"
    if orientation:
        exif[0x0112] = orientation
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, 64, "yuvj420p"
        for i in range(5):
            jpeg = io.BytesIO()
            Image.fromarray(picture(i)).save(jpeg, "JPEG", exif=exif)
            packet = av.Packet(jpeg.getvalue())
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 10), stream, True
            out.mux(packet)
    assert probe(path).rotation == rotation


def test_an_encrypted_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, 64, "yuv420p"
        for i in range(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
        out.mux(stream.encode(None))
    with pytest.raises(ItemError, match="encrypted_video"):
        probe(path)


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
