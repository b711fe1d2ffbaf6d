"""Makes one small file of every odd or broken kind that a collection of videos may hold, with PyAV alone."""

import io
import os
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.support.encoder import x264
from tests.unit.decode.reference import damage_seen

FRAMES, RATE, WIDTH, HEIGHT = 40, 10, 96, 64
Maker = Callable[[Path], Path]


def picture(i: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Frame i: a moving gradient, a moving square and fixed grain; no two frames are alike."""
    y, x = np.mgrid[:height, :width]
    grain = np.random.default_rng(7).integers(0, 30, (height, width))
    image = np.stack([(x * 2 + i * 5) % 256, (y * 3 + i * 3) % 256, (x + y + grain + i * 7) % 256], -1)
    at = (i * 3) % (width - 16)
    image[height // 3 : height // 3 + 12, at : at + 12] = (255 - 5 * i % 256, 6 * i % 256, 40)
    return image.astype(np.uint8)


def write(
    path: Path,
    codec: str = "libx264",
    *,
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    frames: int = FRAMES,
    pts: Iterable[int] | None = None,
    gop: int = 12,
    rate: int = RATE,
    bframes: int | None = None,
    container: str | None = None,
    mux: dict[str, str] | None = None,
    setup: Callable[[av.VideoStream], None] | None = None,
    audio: bool = False,
) -> Path:
    """Encode `frames` pictures; `pts` in units of 1 / rate seconds."""
    with av.open(str(path), "w", format=container, options=mux or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=x264(options) if codec == "libx264" else options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        stream.gop_size = gop
        if bframes is not None:
            stream.codec_context.max_b_frames = bframes
        if setup:
            setup(stream)
        sound = _add_sound(out) if audio else None
        for i, at in enumerate(pts if pts is not None else range(frames)):
            frame = av.VideoFrame.from_ndarray(picture(i, *size), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound:
            _sing(out, sound)
    return path


def _add_sound(out: av.container.OutputContainer) -> av.AudioStream:
    stream = out.add_stream("aac", rate=16000)
    stream.layout = "mono"
    return stream


def _sing(out: av.container.OutputContainer, stream: av.AudioStream) -> None:
    for i in range(40):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, i * 1024
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def remux(
    source: Path, path: Path, keep: Callable[[int, av.Packet], bool], shift: int = 0, mux: dict[str, str] | None = None
) -> Path:
    """Copy the packets that `keep` accepts, times moved by `shift` ticks, without decoding: `ffmpeg -c copy`."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=mux or {}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for i, packet in enumerate(p for p in old.demux(stream) if p.size):
            if keep(i, packet):
                packet.pts += shift
                packet.dts += shift
                packet.stream = copy
                new.mux(packet)
    return path


def edit_list(folder: Path) -> Path:
    """What `ffmpeg -ss 0.7 -c copy` leaves: it starts inside a GOP, the frames before are decoded and not shown."""
    source = write(folder / "whole.mp4")
    with av.open(str(source)) as container:
        tick = container.streams.video[0].time_base
    return remux(
        source, folder / "edit.mp4", lambda i, p: True, -int(Fraction(7, 10) / tick), {"avoid_negative_ts": "disabled"}
    )


def ts_cut_in_gop(folder: Path) -> Path:
    """A transport stream recorded from the middle of a GOP."""
    return remux(write(folder / "whole.ts"), folder / "cut.ts", lambda i, p: i >= 5)


def two_sizes(folder: Path, suffix: str = "ts") -> Path:
    """A stream whose picture size changes half-way."""
    parts = (
        write(folder / "a.ts", frames=20, bframes=0),
        write(folder / "b.ts", pts=range(20, 40), size=(128, 96), bframes=0),
    )
    path = folder / f"two.{suffix}"
    with av.open(str(parts[0])) as a, av.open(str(parts[1])) as b, av.open(str(path), "w") as out:
        copy = out.add_stream_from_template(a.streams.video[0])
        for source in (a, b):
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    return path


def streamed(path: Path, container: str, codec: str = "libx264", mux: dict[str, str] | None = None) -> Path:
    """Written to a pipe: no seeking back, so no duration, no index, no cues."""
    with path.open("wb") as file:
        pipe = type("Pipe", (), {"write": staticmethod(file.write)})()
        with av.open(pipe, "w", format=container, options=mux or {}) as out:
            stream = out.add_stream(codec, rate=RATE, options=x264() if codec == "libx264" else {})
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 12
            for i in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, RATE)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def followed_by_zeros(path: Path, gigabytes: int = 200) -> Path:
    """A file on a disk that was filled up to a fixed size: nearly all of it is a hole."""
    os.truncate(path, gigabytes << 30)
    return path


def spliced(folder: Path) -> Path:
    """Two recordings joined byte by byte: the packet at the seam is damaged."""
    a, b = write(folder / "a.ts", frames=20), write(folder / "b.ts", pts=range(20, 40))
    path = folder / "two.ts"
    path.write_bytes(a.read_bytes())
    return noticed(path, lambda data: data + b.read_bytes())


def two_videos(folder: Path) -> Path:
    """Two video streams; the second is the default one."""
    path = folder / "two.mkv"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=RATE, options=x264()) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        streams[0].disposition = av.stream.Disposition(0)
        streams[1].disposition = av.stream.Disposition.default
        for i in range(20):
            for j, stream in enumerate(streams):
                frame = av.VideoFrame.from_ndarray(picture(i + 50 * j), format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, RATE)
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


def cover_art(folder: Path, video: bool) -> Path:
    """A picture of an album beside sound and, if `video`, a real video stream."""
    path = folder / "cover.mp4"
    with av.open(str(path), "w") as out:
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        real = out.add_stream("libx264", rate=RATE, options=x264()) if video else None
        if real:
            real.width, real.height, real.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = _add_sound(out)
        out.mux(cover.encode(av.VideoFrame.from_ndarray(picture(0, 64, 64), format="rgb24")))
        out.mux(cover.encode(None))
        for i in range(20 if real else 0):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(real.encode(frame))
        if real:
            out.mux(real.encode(None))
        _sing(out, sound)
    return path


def audio_only(folder: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as out:
        _sing(out, _add_sound(out))
    return path


def damaged(source: Path, change: Callable[[bytearray], bytes | bytearray]) -> Path:
    """Rewrite a file's bytes."""
    source.write_bytes(bytes(change(bytearray(source.read_bytes()))))
    return source


def noticed(source: Path, *changes: Callable[[bytearray], bytes | bytearray]) -> Path:
    """Damage a healthy file by the first of `changes` that a full decode notices.

    Which flipped bit a codec notices is luck of the bytes that this machine's encoder wrote, so the proof is made here.

    Raises:
        AssertionError: the file was damaged before, or no change was noticed. Then the fixture fails, not the product.
    """
    assert damage_seen(source) == [], f"{source.name} is not healthy before it is damaged"
    whole = source.read_bytes()
    for change in changes:
        source.write_bytes(bytes(change(bytearray(whole))))
        if damage_seen(source):
            return source
    raise AssertionError(f"a full decode notices none of {len(changes)} changes to {source.name}")


def flip_bits(data: bytearray, stride: int = 97) -> bytearray:
    """A flipped bit in every 97th byte of the middle third."""
    for at in range(len(data) // 3, 2 * len(data) // 3, stride):
        data[at] ^= 0x10
    return data


def flipped(source: Path) -> Path:
    """Flipped bits, closer and closer together until a full decode notices them."""
    return noticed(source, *(partial(flip_bits, stride=stride) for stride in (97, 53, 29, 17, 7, 3)))


def halve_first_picture(data: bytearray) -> bytearray:
    """Only half of the first picture's data is there; the packet stays well formed.

    Sure to be noticed, whatever the encoder wrote: the arithmetic decoder runs out of data before the last macroblock.
    The rest becomes a filler unit (H.264, 7.3.2.7).
    """
    at = data.index(b"mdat") + 4
    while data[at + 4] & 0x1F != 5:  # the slice of an instantaneous refresh
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    size = int.from_bytes(data[at : at + 4], "big")
    half = size // 2
    data[at : at + 4] = half.to_bytes(4, "big")
    filler = at + 4 + half
    data[filler : filler + 4] = (size - half - 4).to_bytes(4, "big")
    data[filler + 4 : at + 4 + size] = b"\x0c" + b"\xff" * (size - half - 6) + b"\x80"
    return data


def punch_hole(data: bytearray) -> bytearray:
    """A quarter of the file is zeros, as after a broken download of its parts; whole packets lie in it."""
    a, b = len(data) // 2, 3 * len(data) // 4
    data[a:b] = bytes(b - a)
    return data


def rotated(degrees: int = 0, hflip: bool = False) -> Maker:
    def setup(stream: av.VideoStream) -> None:
        stream.set_display_rotation(degrees, hflip=hflip)

    return lambda folder: write(folder / "turned.mp4", setup=setup)


CLOCK = 90_000  # ticks a second of an MPEG transport stream; its 33 bits wrap after 26.5 hours


def near_the_wrap(path: Path, seconds_before: int) -> Path:
    """Two seconds of a transport stream that starts so long before its clock starts again from 0."""
    base = 2**33 - seconds_before * CLOCK
    with av.open(str(path), "w", options={"mpegts_copyts": "1"}) as out:
        stream = out.add_stream("libx264", rate=24, options=x264())
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLOCK)
        frames = [av.VideoFrame.from_ndarray(picture(i), format="rgb24") for i in range(48)]
        for i, frame in enumerate([*frames, None]):
            if frame is not None:
                frame.pts, frame.time_base = i * CLOCK // 24, Fraction(1, CLOCK)
            for packet in stream.encode(frame):
                packet.pts += base
                packet.dts += base
                out.mux(packet)
    return path


def last_frame_stays(path: Path, seconds: float) -> Path:
    """Frames at 0, 0.1 ... 2 s, the last of which is shown for `seconds`."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options=x264())
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.max_b_frames = 0
        packets = []
        for i in range(21):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        packets[-1].duration = int(seconds / packets[-1].time_base)
        for packet in packets:
            out.mux(packet)
    return path


def exif_in_mjpeg(path: Path, orientation: int | None, frames: int = 5) -> Path:
    """What lifelogging and time-lapse cameras write: JPEG pictures with EXIF, ten a second."""
    exif = Image.Exif()
    exif[0x010F] = "ACME cam"
    if orientation:
        exif[0x0112] = orientation
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for i in range(frames):
            jpeg = io.BytesIO()
            Image.fromarray(picture(i)).save(jpeg, "JPEG", exif=exif)
            packet = av.Packet(jpeg.getvalue())
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 10), stream, True
            out.mux(packet)
    return path


def encrypted(path: Path) -> Path:
    """Common encryption, as shops and some clouds deliver."""
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    return write(path, mux=options)


def named(name: str) -> Maker:
    return lambda folder: write(folder / name)


def _link(folder: Path, target: str) -> Path:
    path = folder / "link.mp4"
    path.symlink_to(target)
    return path


def _special(folder: Path, kind: str) -> Path:
    path = folder / "odd.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes({"empty": b"", "text": b"This is not a video.\n" * 500}[kind])
    return path


def playlist(folder: Path) -> Path:
    """An HLS playlist that points at another file: following it would read what nobody asked for."""
    write(folder / "secret.ts")
    path = folder / "list.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nsecret.ts\n#EXT-X-ENDLIST\n")
    return path


def _anamorphic(stream: av.VideoStream) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(4, 3)


def _hdr10(stream: av.VideoStream) -> None:
    context = stream.codec_context
    context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 16, 9, 1


def _turned_anamorphic(stream: av.VideoStream) -> None:
    _anamorphic(stream)
    stream.set_display_rotation(90)


def _full_range(stream: av.VideoStream) -> None:
    stream.codec_context.color_range = 2


GOOD: dict[str, Maker] = {
    "h264": lambda d: write(d / "a.mp4"),
    "h264 B-frames": lambda d: write(d / "a.mp4", bframes=3, options={"x264-params": "b-pyramid=normal:b-adapt=0"}),
    "h264 one long GOP": lambda d: write(d / "a.mp4", gop=250, bframes=3),
    "h264 I-frames only": lambda d: write(d / "a.mp4", gop=1),
    "h264 open GOP": lambda d: write(
        d / "a.mp4", bframes=3, options={"x264-params": "open-gop=1:b-adapt=0:scenecut=0"}
    ),
    "h264 intra refresh": lambda d: write(d / "a.mp4", options={"x264-params": "intra-refresh=1:bframes=0:keyint=10"}),
    "h264 intra refresh in TS": lambda d: write(
        d / "a.ts", options={"x264-params": "intra-refresh=1:bframes=0:keyint=10"}
    ),
    "h264 interlaced": lambda d: write(d / "a.mp4", options={"x264-params": "tff=1"}),
    "h264 slices and 8 references": lambda d: write(
        d / "a.mp4", options={"x264-params": "slices=4:ref=8:b-adapt=0:bframes=5"}
    ),
    "h264 10 bit": lambda d: write(d / "a.mp4", pix_fmt="yuv420p10le"),
    "h264 full range": lambda d: write(d / "a.mp4", pix_fmt="yuvj420p", setup=_full_range),
    "h264 4:4:4 odd size": lambda d: write(d / "a.mp4", pix_fmt="yuv444p", size=(97, 65)),
    "h264 anamorphic": lambda d: write(d / "a.mp4", setup=_anamorphic),
    "h264 fragmented": lambda d: write(d / "a.mp4", mux={"movflags": "frag_keyframe+empty_moov"}),
    "h264 with sound": lambda d: write(d / "a.mp4", audio=True),
    "h264 MPEG-TS": lambda d: write(d / "a.ts", bframes=3),
    "h264 MPEG-TS cut inside a GOP": ts_cut_in_gop,
    "h264 MPEG-TS size changes": two_sizes,
    "h264 FLV": lambda d: write(d / "a.flv", container="flv"),
    "h264 AVI with B-frames": lambda d: write(d / "a.avi", bframes=2),
    "h264 edit list": edit_list,
    "h264 VFR with gaps, MP4": lambda d: write(d / "a.mp4", pts=[0, 1, 2, 9, 10, 11, 12, 30, 31, 50, 51, 52]),
    "h264 VFR with gaps, Matroska": lambda d: write(
        d / "a.mkv", pts=[0, 1, 2, 9, 10, 11, 12, 30, 31, 50, 51, 52], bframes=2
    ),
    "h264 starts at 5 s, Matroska": lambda d: write(d / "a.mkv", pts=range(50, 90)),
    "h264 starts at 3 s, MP4": lambda d: write(d / "a.mp4", pts=range(30, 70)),
    "rotated 90": rotated(90),
    "rotated 180": rotated(180),
    "rotated 270": rotated(-90),
    "mirrored": rotated(0, hflip=True),
    "mirrored and rotated": rotated(90, hflip=True),
    "hevc": lambda d: write(
        d / "a.mp4", "libx265", options={"x265-params": "log-level=none:pools=none:frame-threads=1:open-gop=0"}
    ),
    "hevc open GOP": lambda d: write(
        d / "a.mp4",
        "libx265",
        options={
            "x265-params": "log-level=none:pools=none:frame-threads=1:open-gop=1:keyint=12:min-keyint=12:scenecut=0"
        },
    ),
    "hevc temporal layers": lambda d: write(
        d / "a.mp4",
        "libx265",
        options={"x265-params": "log-level=none:pools=none:frame-threads=1:temporal-layers=3:b-adapt=0:bframes=7"},
    ),
    "hevc intra refresh": lambda d: write(
        d / "a.mp4",
        "libx265",
        options={"x265-params": "log-level=none:pools=none:frame-threads=1:intra-refresh=1:keyint=12:bframes=0"},
    ),
    "hevc HDR 10 bit": lambda d: write(
        d / "a.mp4",
        "libx265",
        pix_fmt="yuv420p10le",
        setup=_hdr10,
        options={"x265-params": "log-level=none:pools=none:frame-threads=1"},
    ),
    "h264 4:2:2 10 bit": lambda d: write(d / "a.mp4", pix_fmt="yuv422p10le"),
    "rotated and anamorphic": lambda d: write(d / "a.mp4", setup=_turned_anamorphic),
    "rotated odd size": lambda d: write(
        d / "a.mp4", pix_fmt="yuv444p", size=(97, 65), setup=lambda s: s.set_display_rotation(90)
    ),
    "size changes, MP4": lambda d: two_sizes(d, "mp4"),
    "size changes, Matroska": lambda d: two_sizes(d, "mkv"),
    "Matroska without cues": lambda d: streamed(d / "a.mkv", "matroska"),
    "WebM without duration": lambda d: streamed(d / "a.webm", "webm", "libvpx-vp9", {"live": "1"}),
    "fragmented and streamed": lambda d: streamed(
        d / "a.mp4", "mp4", mux={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ),
    "thousand ticks a second": lambda d: write(d / "a.mp4", rate=1000, pts=[i * 33 + i % 3 for i in range(40)]),
    "MP4 and 200 GB of zeros": lambda d: followed_by_zeros(write(d / "a.mp4")),
    "vp9 with alpha": lambda d: write(
        d / "a.webm", "libvpx-vp9", pix_fmt="yuva420p", options={"cpu-used": "5", "auto-alt-ref": "0"}
    ),
    "ProRes with alpha": lambda d: write(d / "a.mov", "prores_ks", pix_fmt="yuva444p10le"),
    "PNG with alpha": lambda d: write(d / "a.mov", "png", pix_fmt="rgba"),
    "vp8 hidden frames": lambda d: write(
        d / "a.webm", "libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"}
    ),
    "vp9 odd size": lambda d: write(
        d / "a.webm", "libvpx-vp9", size=(95, 63), options={"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}
    ),
    "av1": lambda d: write(d / "a.mp4", "libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}),
    "mjpeg AVI": lambda d: write(d / "a.avi", "mjpeg", pix_fmt="yuvj420p"),
    "mpeg4 AVI": lambda d: write(d / "a.avi", "mpeg4"),
    "mpeg4 B-frames AVI": lambda d: write(d / "a.avi", "mpeg4", bframes=2),
    "mpeg4 B-frames MP4": lambda d: write(d / "a.mp4", "mpeg4", bframes=2),
    "mpeg2 program stream": lambda d: write(d / "a.mpg", "mpeg2video", bframes=2, size=(96, 64), container="dvd"),
    "mpeg2 interlaced TS": lambda d: write(d / "a.ts", "mpeg2video", bframes=2, options={"flags": "+ildct+ilme"}),
    "ProRes": lambda d: write(d / "a.mov", "prores", pix_fmt="yuv422p10le"),
    "FFV1": lambda d: write(d / "a.mkv", "ffv1", pix_fmt="yuv420p"),
    "animated GIF": lambda d: write(d / "a.gif", "gif", pix_fmt="rgb8"),
    "two video streams": two_videos,
    "cover art and video": lambda d: cover_art(d, video=True),
    "one frame": lambda d: write(d / "a.mp4", frames=1),
    "name with spaces": named("my video (1).mp4"),
    "name in unicode": named("küche 台所.mp4"),
    "name with newline": named("a\nb.mp4"),
    "name with leading dash": named("-i.mp4"),
    "name like an address": named("http:x.mp4"),
    "name with percent": named("%03d.mp4"),
    "link to a file": lambda d: _link(d, write(d / "real.mp4").name),
}

BAD: dict[str, tuple[Maker, set[str]]] = {
    "truncated MP4": (
        lambda d: damaged(write(d / "a.mp4", mux={"movflags": "faststart"}), lambda b: b[: len(b) // 2]),
        {"truncated"},
    ),
    "truncated Matroska": (
        lambda d: damaged(write(d / "a.mkv", pts=range(0, 160, 4)), lambda b: b[: len(b) // 2]),
        {"truncated"},
    ),
    "truncated MPEG-TS": (
        lambda d: damaged(write(d / "a.ts"), lambda b: b[: len(b) // 2]),
        {"truncated", "clip_outside_video", "damaged_video"},
    ),
    "moov missing": (lambda d: damaged(write(d / "a.mp4"), lambda b: b[: b.rindex(b"moov") - 4]), {"not_a_video"}),
    "bits flipped": (
        lambda d: flipped(write(d / "a.mp4", mux={"movflags": "faststart"})),
        {"damaged_video", "damaged_file"},
    ),
    "I-frame damaged": (
        lambda d: noticed(
            write(d / "a.mp4", gop=250, mux={"movflags": "faststart"}, options={"x264-params": "slices=4"}),
            halve_first_picture,
        ),
        {"damaged_video"},
    ),
    "first fragment only": (
        lambda d: damaged(
            write(d / "a.mp4", mux={"movflags": "frag_keyframe+empty_moov"}), lambda b: b[: b.index(b"moof") - 4]
        ),
        {"no_frames"},
    ),
    "a name of 300 letters": (lambda d: d / ("x" * 300 + ".mp4"), {"unreadable_file"}),
    "1 GB of zeros": (lambda d: followed_by_zeros(_special(d, "empty"), 1), {"not_a_video"}),
    "hole of zeros": (
        lambda d: noticed(write(d / "a.mp4", mux={"movflags": "faststart"}), punch_hole),
        {"damaged_video"},
    ),
    "hole of zeros, TS": (lambda d: noticed(write(d / "a.ts"), punch_hole), {"damaged_video", "truncated"}),
    "two recordings joined, TS": (spliced, {"damaged_video"}),
    "encrypted": (lambda d: encrypted(d / "a.mp4"), {"encrypted_video"}),
    "audio only": (audio_only, {"no_video_stream"}),
    "cover art only": (lambda d: cover_art(d, video=False), {"no_video_stream"}),
    "raw h264 without times": (lambda d: write(d / "a.h264", container="h264"), {"no_timestamps"}),
    "empty file": (lambda d: _special(d, "empty"), {"empty_file"}),
    "text renamed": (lambda d: _special(d, "text"), {"not_a_video"}),
    "playlist renamed": (playlist, {"not_a_video"}),
    "folder": (lambda d: _special(d, "folder"), {"not_a_file"}),
    "named pipe": (lambda d: _special(d, "fifo"), {"not_a_file"}),
    "missing file": (lambda d: d / "nothing.mp4", {"missing_file"}),
    "dangling link": (lambda d: _link(d, "nowhere.mp4"), {"missing_file"}),
    "link to itself": (lambda d: _link(d, "link.mp4"), {"symlink_loop"}),
}
