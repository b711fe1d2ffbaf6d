"""Exact decoding with PyAV: by the packet plan, and by a full decode where the plan does not hold."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ItemError
from pipeline.video.container import open_video
from pipeline.video.decoding import Deadline, Decoded, Shrinker, Way, choose_pts
from pipeline.video.geometry import FrameSize, Image
from pipeline.video.index import PacketIndex, index_video, orientation
from pipeline.video.plan import packet_ranges
from pipeline.video.sampling import Times

# Codecs whose packets say themselves that no other frame leans on them.
SKIPPABLE = {"h264", "hevc", "mpeg4", "mpeg2video"}


class MissingFrame(Exception):
    """The plan did not give a frame that the packets promise (intra refresh, hidden frames): decode everything."""


def decode(path: Path, times: Times, size: FrameSize, deadline: Deadline) -> Decoded:
    """Backend `pyav`: the frames on screen at `times`, identical to those of a full decode.

    Raises:
        ItemError: what `index_video` and `choose_pts` raise; `damaged_video` where anything that the frames depend on
            is damaged; `no_timestamps`; `time_limit`.
    """
    index = index_video(path)
    if index.has_all_pts:
        try:
            return by_plan(path, index, times, size, deadline)
        except MissingFrame:
            pass
    return by_full_decode(path, index, times, size, deadline)


def by_plan(path: Path, index: PacketIndex, times: Times, size: FrameSize, deadline: Deadline) -> Decoded:
    """Decode only the packet ranges that the wanted frames need.

    Raises:
        MissingFrame: a wanted frame did not come out.
    """
    wanted = choose_pts(index, index.shown_pts(), times)
    ranges = packet_ranges(index, np.unique(wanted))
    with open_video(path) as (container, stream):
        frames = _run_plan(container, stream, index, ranges, set(wanted.tolist()), deadline)
        images = _collect(frames, stream, size, set(wanted.tolist()))
    if len(images) < np.unique(wanted).size:
        raise MissingFrame
    return _result(index, images, wanted, "plan")


def check_whole(path: Path, index: PacketIndex, wanted_pts: NDArray[np.int64], deadline: Deadline) -> None:
    """Decode what the wanted frames need and throw it away.

    Raises:
        ItemError: `damaged_video`.
    """
    unique = np.unique(wanted_pts)
    with open_video(path) as (container, stream):
        ranges = packet_ranges(index, unique)
        for _ in _run_plan(container, stream, index, ranges, set(unique.tolist()), deadline):
            pass


def by_full_decode(path: Path, index: PacketIndex, times: Times, size: FrameSize, deadline: Deadline) -> Decoded:
    """Decode everything, twice: once to learn which frames there are, once to convert the wanted ones."""
    with open_video(path) as (container, stream):
        shown = np.unique([_pts(frame) for frame in _run_all(container, stream, index, deadline)]).astype(np.int64)
    wanted = choose_pts(index, shown, times)
    with open_video(path) as (container, stream):
        frames = _run_all(container, stream, index, deadline)
        images = _collect(frames, stream, size, set(wanted.tolist()))
    return _result(index, images, wanted, "full")


def _result(index: PacketIndex, images: dict[int, Image], wanted: NDArray[np.int64], way: Way) -> Decoded:
    stacked = np.stack([images[pts] for pts in wanted.tolist()])
    return Decoded(stacked, index.seconds(wanted), index.origin_seconds, way)


def _collect(
    frames: Iterator[av.VideoFrame], stream: av.VideoStream, size: FrameSize, wanted: set[int]
) -> dict[int, Image]:
    """Convert the wanted frames as they come; the first of several with one pts counts."""
    shrink = Shrinker(size, float(stream.sample_aspect_ratio or 1))
    images: dict[int, Image] = {}
    for frame in frames:
        pts = _pts(frame)
        if pts in wanted and pts not in images:
            images[pts] = shrink(frame, orientation(frame))
    return images


def _run_plan(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    index: PacketIndex,
    ranges: Sequence[range],
    wanted: set[int],
    deadline: Deadline,
) -> Iterator[av.VideoFrame]:
    """Frames of the planned ranges. The decoder skips packets that are not wanted and that nothing leans on."""
    remaining = iter(ranges)
    current = next(remaining, None)
    for number, packet in enumerate(_packets(container, stream)):
        if current is None:
            return
        if number < current.start:
            continue
        deadline.check()
        _check_packet(packet)
        first_pts = int(index.pts[current.start])
        _skip_unreferenced(stream, index.pts[number] not in wanted)
        yield from (f for f in _decode(stream, packet) if _counts(f, first_pts))
        if number == current.stop - 1:
            yield from (f for f in _decode(stream, None) if _counts(f, first_pts))
            stream.codec_context.flush_buffers()
            current = next(remaining, None)


def _counts(frame: av.VideoFrame, first_pts: int) -> bool:
    """Whether a frame belongs to its range: leading frames of an open GOP come out without their references."""
    if _pts(frame) < first_pts:
        return False
    _check_frame(frame)
    return True


def _run_all(
    container: av.container.InputContainer, stream: av.VideoStream, index: PacketIndex, deadline: Deadline
) -> Iterator[av.VideoFrame]:
    """All frames. What fails before the first I-frame is a stream that was cut into, not damage."""
    starts = np.flatnonzero(index.is_iframe)
    first = int(starts[0]) if starts.size else 0
    for number, packet in enumerate(_packets(container, stream)):
        deadline.check()
        _check_packet(packet)
        try:
            frames = _decode(stream, packet)
        except ItemError:
            if number >= first:
                raise
            continue
        for frame in frames:
            _check_frame(frame)
            yield frame
    yield from _decode(stream, None)


def _packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[Any]:
    """Packets as `read_index` counts them."""
    return (packet for packet in container.demux(stream) if packet.size)


def _skip_unreferenced(stream: av.VideoStream, skip: bool) -> None:
    if stream.codec_context.name in SKIPPABLE:
        stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"


def _decode(stream: av.VideoStream, packet: Any) -> list[av.VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.error.EOFError:
        return []
    except MemoryError:  # PyAV's is one of FFmpegError as well
        raise
    except av.error.FFmpegError as error:
        where = "the end" if packet is None or packet.pts is None else f"{float(packet.pts * packet.time_base):.3f} s"
        raise ItemError("damaged_video", f"a packet at {where} cannot be decoded: {error.strerror}") from error


def _check_packet(packet: Any) -> None:
    if packet.is_corrupt:
        raise ItemError("damaged_video", f"the packet at byte {packet.pos} is incomplete")


def _check_frame(frame: av.VideoFrame) -> None:
    if frame.is_corrupt:
        raise ItemError("damaged_video", f"the frame with pts {frame.pts} is damaged")


def _pts(frame: av.VideoFrame) -> int:
    if frame.pts is None:
        raise ItemError("no_timestamps", "neither packets nor frames say when they are shown")
    return int(frame.pts)
