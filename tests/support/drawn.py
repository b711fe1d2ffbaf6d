"""Videos whose pictures show their own number, in every container x codec x kind, and a judge that reads the numbers.

Picture k shows k in nine grey bars and is shown from k / RATE seconds on. The judge knows no time stamp and no index.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np

from pipeline.decode.backends import decode_frames
from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize
from pipeline.video.probe import probe
from tests.support.encoder import x264

RATE, FRAMES, GOP, BARS, WIDTH, HEIGHT = 25, 40, 10, 9, 144, 64
LATE = 75  # frames after 0 at which a late file starts
MOST_OFF = 4  # frames; three B-frames in a row can be three off
MP4_FRAME = 512  # ticks: FFmpeg's clock for MP4 at 25 frames a second
EDITED = 14  # frames that an edit list hides: into the second group of pictures
_X265 = f"log-level=none:pools=none:frame-threads=1:keyint={GOP}:min-keyint={GOP}:scenecut=0"


@dataclass(frozen=True)
class Codec:
    """An encoder and its options; `bframes` None if the options say it."""

    encoder: str
    bframes: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    pix_fmt: str = "yuv420p"


CODECS = {
    "h264": Codec("libx264", 0, (("x264-params", "scenecut=0"),)),
    "h264 B": Codec("libx264", 3, (("x264-params", "b-adapt=0:b-pyramid=normal:scenecut=0"),)),
    "h264 B open GOP": Codec("libx264", 3, (("x264-params", "b-adapt=0:open-gop=1:scenecut=0"),)),
    "hevc": Codec("libx265", None, (("x265-params", f"{_X265}:bframes=0"),)),
    "hevc B": Codec("libx265", None, (("x265-params", f"{_X265}:bframes=3:b-adapt=0:open-gop=0"),)),
    "hevc B open GOP": Codec("libx265", None, (("x265-params", f"{_X265}:bframes=3:b-adapt=0:open-gop=1"),)),
    "mpeg4": Codec("mpeg4", 0),
    "mpeg4 B": Codec("mpeg4", 2),
    "mpeg2": Codec("mpeg2video", 0),
    "mpeg2 B": Codec("mpeg2video", 2, (("flags", "+cgop"), ("sc_threshold", "1000000000"))),
    "mpeg2 B open GOP": Codec("mpeg2video", 2),
    "vp9": Codec("libvpx-vp9", None, (("auto-alt-ref", "1"), ("lag-in-frames", "16"), ("cpu-used", "5"))),
    "av1": Codec("libsvtav1", None, (("preset", "12"), ("svtav1-params", "lp=1"))),
    "mjpeg": Codec("mjpeg", None, (), "yuvj420p"),
}
_H264, _HEVC = ("h264", "h264 B", "h264 B open GOP"), ("hevc", "hevc B", "hevc B open GOP")
_MPEG4, _MPEG2 = ("mpeg4", "mpeg4 B"), ("mpeg2", "mpeg2 B", "mpeg2 B open GOP")
CONTAINERS = {
    "mp4": (*_H264, *_HEVC, *_MPEG4, *_MPEG2, "vp9", "av1"),
    "mp4 fragmented": (*_H264, *_HEVC),
    "mov": (*_H264, *_HEVC, *_MPEG4, "mjpeg"),
    "mkv": tuple(CODECS),
    "webm": ("vp9", "av1"),
    "ts": (*_H264, *_HEVC, *_MPEG2),
    "avi": (*_H264, *_MPEG4, "mjpeg"),
    "flv": _H264,
    "mpg": _MPEG2,
}
MUX = {"mp4 fragmented": {"movflags": "frag_keyframe+empty_moov"}}
ISO = ("mp4", "mov")  # they have edit lists and tables of composition times


def drawn(number: int) -> np.ndarray:
    """A picture whose bars are the bits of `number`."""
    bars = [235 if number >> bit & 1 else 20 for bit in range(BARS)]
    return np.repeat(np.repeat(np.array([bars], np.uint8), WIDTH // BARS, 1), HEIGHT, 0)[..., None].repeat(3, 2)


def read(image: np.ndarray) -> int:
    """The number in a picture of any size."""
    height, width, _ = image.shape
    middles = ((np.arange(BARS) + 0.5) * width / BARS).astype(int)
    return sum(int(image[height // 2, middle].mean() > 128) << bit for bit, middle in enumerate(middles))


def seen(path: Path, times: np.ndarray) -> list[int]:
    """The numbers in the frames that the decoder gives for these times."""
    return [read(image) for image in decode_frames(path, times, FrameSize(10**6, 1)).images]


def write(folder: Path, container: str, codec: str, first: int = 0) -> Path:
    """Pictures 0 ... in order, the first at `first / RATE` seconds."""
    path, made = folder / f"a.{container.partition(' ')[0]}", CODECS[codec]
    options = dict(made.options)
    with av.open(str(path), "w", options=MUX.get(container, {})) as out:
        stream = out.add_stream(made.encoder, RATE, options=x264(options) if made.encoder == "libx264" else options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, made.pix_fmt, GOP
        stream.codec_context.thread_count = 1
        if made.bframes is not None:
            stream.codec_context.max_b_frames = made.bframes
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(drawn(number), format="rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _copy(source: Path, first: int | None, shift: int = 0, mux: dict[str, str] | None = None) -> Path:
    """The packets from number `first` on (None: the second I-frame), times moved by `shift` frames; no new encoding."""
    path = source.with_stem("copy")
    with av.open(str(source)) as old, av.open(str(path), "w", options=mux or {}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        ticks = round(Fraction(shift, RATE) / stream.time_base)
        packets = [packet for packet in old.demux(stream) if packet.size]
        iframes = [i for i, packet in enumerate(packets) if packet.is_keyframe]
        for i, packet in enumerate(packets):
            if i >= (iframes[1] if first is None else first):
                packet.pts += ticks
                packet.dts += ticks
                packet.stream = copy
                new.mux(packet)
    return path


def _composition(path: Path, change: Callable[[list[int]], list[int]]) -> Path:
    """Rewrite the offsets of the table of composition times (ISO 14496-12, 8.6.1.3), one for each of its runs."""
    data = bytearray(path.read_bytes())
    at = data.index(b"ctts") + 8
    (count,) = struct.unpack_from(">I", data, at)
    places = [at + 4 + 8 * i + 4 for i in range(count)]
    offsets = change([struct.unpack_from(">i", data, place)[0] for place in places])
    for place, offset in zip(places, offsets, strict=True):
        struct.pack_into(">i", data, place, offset)
    path.write_bytes(data)
    return path


def _shuffled(offsets: list[int]) -> list[int]:
    return random.Random(0).sample(offsets, len(offsets))


@dataclass(frozen=True)
class Kind:
    """How a file is made of a healthy one, and what must be seen: pictures `first` ... `last`, one after the other.

    Args:
        start: frames from the file's start to `first`, if the container counts from 0.
        lost: what its times were is lost, so pictures must come in order, each at most `MOST_OFF` frames off.
        cut: packets are missing. Pictures that need them are not shown; until there is one, the first that is.
    """

    make: Callable[[Path, str, str], Path]
    first: int = 0
    last: int = FRAMES - 1
    start: int = 0
    lost: bool = False
    cut: bool = False


def _zero(offsets: list[int]) -> list[int]:
    return [0] * len(offsets)


def _later(offsets: list[int]) -> list[int]:
    return [offset + 2 * MP4_FRAME for offset in offsets]


def _edit(folder: Path, container: str, codec: str) -> Path:
    return _copy(write(folder, container, codec), 0, -EDITED, {"avoid_negative_ts": "disabled"})


KINDS = {
    "whole": Kind(write),
    "starts late": Kind(lambda d, c, k: write(d, c, k, LATE), start=LATE),
    "cut at an I-frame": Kind(lambda d, c, k: _copy(write(d, c, k), None), cut=True),
    "cut inside a GOP": Kind(lambda d, c, k: _copy(write(d, c, k), 3), cut=True),
    "edit list": Kind(_edit, first=EDITED),
    "ctts lost": Kind(lambda d, c, k: _composition(write(d, c, k), _zero), lost=True),
    "ctts shifted": Kind(lambda d, c, k: _composition(write(d, c, k), _later), last=FRAMES - 3, start=2),
    "ctts reversed": Kind(lambda d, c, k: _composition(write(d, c, k), lambda o: o[::-1]), lost=True),
    "ctts shuffled": Kind(lambda d, c, k: _composition(write(d, c, k), _shuffled), lost=True),
}
"""Kind -> how it is made. Composition times (`ctts`) that are shifted run past the end of the file's own edit list."""


def cells() -> Iterator[tuple[str, str, str]]:
    """Every (container, codec, kind) that can be written."""
    for container, codecs in CONTAINERS.items():
        for codec, kind in product(codecs, KINDS):
            if kind == "edit list" and container not in ISO:
                continue
            if kind.startswith("ctts") and not (container in ISO and " B" in codec and "mpeg2" not in codec):
                continue
            if codec == "av1" and kind not in ("whole", "starts late"):
                continue  # PyAV copies no AV1 packets if encoder and decoder have different names
            yield container, codec, kind


def judge(folder: Path, container: str, codec: str, kind: str) -> str:
    """`exact`, `in order`, the reason of a refusal, or `WRONG` and the numbers that were seen."""
    made = KINDS[kind]
    path = made.make(folder, container, codec)
    try:
        frames = round(probe(path).duration_seconds * RATE)
        start = made.start if frames > made.last - made.first + 1 else 0  # some count from their first picture
        numbers = seen(path, (start + np.arange(frames - start) + 0.5) / RATE)
    except ItemError as error:
        return error.reason
    expected = list(range(made.last + 1 - len(numbers), made.last + 1))
    if made.cut:
        expected = [max(number, numbers[0]) for number in expected]
    if numbers == expected and (0 < numbers[0] <= 2 * GOP if made.cut else expected[0] == made.first):
        return "exact"
    off = max(abs(number - at) for at, number in enumerate(numbers))
    return "in order" if made.lost and numbers == sorted(numbers) and off <= MOST_OFF else f"WRONG {numbers}"
