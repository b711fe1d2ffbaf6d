"""A full decode by the shortest road: the truth that every backend is held to. Shares no code with the pipeline."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type


@dataclass(frozen=True)
class Shown:
    """One frame of a full decode; `pts_seconds` is the container's own time."""

    pts_seconds: float
    frame: av.VideoFrame


def full_decode(path: Path) -> list[Shown]:
    """All frames of the default video stream, in the decoder's output order; what cannot be decoded is left out.

    The order of output is the truth, whatever times the frames bear: the sorted times are given out in that order.
    """
    with av.open(f"file:{path}") as container:
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        stream = next((s for s in streams if s.disposition & av.stream.Disposition.default), streams[0])
        frames: list[av.VideoFrame] = []
        seen: set[int] = set()
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    frames += [] if frame.pts in seen else [frame]
                    seen.add(frame.pts)
            except av.error.InvalidDataError:
                continue
        return [Shown(float(pts * stream.time_base), frame) for pts, frame in zip(sorted(seen), frames, strict=True)]


def damage_seen(path: Path) -> list[str]:
    """What a full decode has to say against a file, packet by packet: corrupt packets and frames, errors, log lines."""
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # or a second file with the same fault looks healthy
    try:
        with av.logging.Capture(local=False) as logged:
            seen = list(_faults(path))
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])
    return seen + [text.strip() for _, _, text in logged]


def _faults(path: Path) -> Iterator[str]:
    try:
        with av.open(f"file:{path}") as container:
            container.streams.video[0].codec_context.thread_count = 1  # what slices say must not depend on their order
            for packet in container.demux(video=0):
                if packet.is_corrupt:
                    yield f"corrupt packet at byte {packet.pos}"
                try:
                    yield from (f"corrupt frame {frame.pts}" for frame in packet.decode() if frame.is_corrupt)
                except av.error.InvalidDataError as error:
                    yield str(error)
    except av.error.InvalidDataError as error:
        yield str(error)


def on_screen(shown: list[Shown], seconds: float) -> Shown:
    """The last frame that starts no later than `seconds` of the container's time."""
    return [s for s in shown if s.pts_seconds <= seconds + 1e-6 or s is shown[0]][-1]


def upright(frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """The frame as a viewer sees it, `[height, width, 3]`: every pixel is carried by the display matrix."""
    matrix = next((np.frombuffer(d, np.int32) for d in frame.side_data if d.type == Type.DISPLAYMATRIX), None)
    a, b, c, d = (1, 0, 0, 1) if matrix is None else (round(int(matrix[i]) / 65536) for i in (0, 1, 3, 4))
    stored = (width, height) if a else (height, width)
    image = frame.reformat(*stored, "rgb24", interpolation="AREA", src_color_range=frame.color_range).to_ndarray()
    y, x = np.mgrid[: stored[1], : stored[0]]
    to_x, to_y = a * x + c * y, b * x + d * y
    out = np.empty((height, width, 3), np.uint8)
    out[to_y - to_y.min(), to_x - to_x.min()] = image
    return out
