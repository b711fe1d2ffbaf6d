"""Exact decoding with PyAV: by the packet plan, or by a full decode if the plan fails."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.decode.codec_errors import check_undamaged, decode_packet
from pipeline.decode.decoding import Deadline, Decoded, Shrinker, choose_frames, choose_pts
from pipeline.decode.plan import packet_ranges
from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize, Image
from pipeline.frames.sampling import Times
from pipeline.video.container import open_video
from pipeline.video.doubt import MOST_DEPTH, NO_PTS
from pipeline.video.index import PacketIndex, PacketsKept, orientation, packets_of, read_index

# Codecs whose packets tell that no other frame references them.
SKIPPABLE = {"h264", "hevc", "mpeg4", "mpeg2video"}


class CodecError(Exception):
    """The codec logged an error and continued, or it contradicts the container's times."""


def decode(path: Path, times: Times, size: FrameSize, deadline: Deadline) -> Decoded:
    """Backend `pyav`: the frames on screen at `times`, identical to those of a full decode.

    Raises:
        ItemError: what `read_index` and `choose_pts` raise; `damaged_video` if anything that the frames depend on
            is damaged; `no_timestamps`; `time_limit`.
    """
    kept = PacketsKept(deadline.check)
    with open_video(path) as (container, stream):
        index = read_index(container, stream, kept)
        if _has_plan(index) and kept.packets is not None:
            decoded = by_plan(stream, kept.packets, index, times, size, deadline)
            if decoded is not None:
                return decoded
    if _has_plan(index) and kept.packets is None:
        with open_video(path) as (container, stream):
            decoded = by_plan(stream, packets_of(container, stream), index, times, size, deadline)
            if decoded is not None:
                return decoded
    return by_full_decode(path, index, times, size, deadline)


def _has_plan(index: PacketIndex) -> bool:
    return index.has_all_pts and index.doubt != "all"


def by_plan(
    stream: av.VideoStream,
    packets: Iterable[Any],
    index: PacketIndex,
    times: Times,
    size: FrameSize,
    deadline: Deadline,
) -> Decoded | None:
    """Decode only the packet ranges that the wanted frames need; None if the plan fails.

    The plan fails, and everything must be decoded, in three cases. A frame that the packets promise does not appear
    (intra refresh, hidden frames). Frames appear in a different order from their times. Or the codec reports an
    error: its concealment of lost data depends on frames that the plan skips.
    """
    wanted = choose_pts(index, index.shown_pts(), times)
    ranges = packet_ranges(index, np.unique(wanted))
    try:
        frames = _run_plan(stream, packets, index, ranges, set(wanted.tolist()), deadline)
        images = _collect(frames, stream, size, set(wanted.tolist()))
    except CodecError:
        return None
    if len(images) != np.unique(wanted).size:
        return None
    stacked = np.stack([images[pts] for pts in wanted.tolist()])
    return Decoded(stacked, index.seconds(wanted), index.origin_seconds, "plan")


def check_whole(path: Path, index: PacketIndex, wanted_pts: NDArray[np.int64], deadline: Deadline) -> None:
    """Decode what the wanted frames need and discard it.

    Raises:
        ItemError: `damaged_video`.
    """
    unique = np.unique(wanted_pts)
    with open_video(path) as (container, stream):
        ranges = packet_ranges(index, unique)
        try:
            for _ in _run_plan(stream, packets_of(container, stream), index, ranges, set(unique.tolist()), deadline):
                pass
        except CodecError as error:
            raise ItemError("damaged_video", f"the codec reports an error: {error}") from error


def by_full_decode(path: Path, index: PacketIndex, times: Times, size: FrameSize, deadline: Deadline) -> Decoded:
    """Decode everything twice: once to learn which frames there are, once to convert the wanted ones."""
    with open_video(path) as (container, stream):
        ticks = np.array([_pts(frame) for frame in _run_all(container, stream, index, deadline)], np.int64)
    shown, numbers = times_in_output_order(ticks)
    chosen = choose_frames(index, shown, times)
    wanted = numbers[chosen]
    with open_video(path) as (container, stream):
        shrink = Shrinker(size, float(stream.sample_aspect_ratio or 1))
        images: dict[int, Image] = {}
        last, some = int(wanted.max()), set(wanted.tolist())
        for number, frame in enumerate(_run_all(container, stream, index, deadline)):
            if number in some:
                images[number] = shrink(frame, orientation(frame))
            if number == last:
                break
    stacked = np.stack([images[number] for number in wanted.tolist()])
    return Decoded(stacked, index.seconds(shown[chosen]), index.origin_seconds, "full")


def times_in_output_order(ticks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When each decoded frame is shown (sorted ticks), and its number in output order: `int64 [n]` each.

    Times that do not increase from frame to frame are invented or damaged. The output order is right, so the sorted
    times belong to the frames in that order. If times increase, the first of several frames with the same time counts.

    Raises:
        ItemError: `broken_times` if a time is so far out of place that no reordering explains it.
    """
    if (np.diff(ticks) >= 0).all():
        return np.unique(ticks, return_index=True)
    moved = np.abs(np.argsort(ticks, kind="stable") - np.arange(len(ticks))).max()
    if moved > MOST_DEPTH:
        raise ItemError(
            "broken_times", f"the frames' times jump back by {moved} frames: does the file join two recordings?"
        )
    return np.sort(ticks), np.arange(len(ticks))


def _collect(
    frames: Iterator[av.VideoFrame], stream: av.VideoStream, size: FrameSize, wanted: set[int]
) -> dict[int, Image]:
    """Convert the wanted frames as they are decoded; the first of several with the same pts counts."""
    shrink = Shrinker(size, float(stream.sample_aspect_ratio or 1))
    images: dict[int, Image] = {}
    for frame in frames:
        pts = _pts(frame)
        if pts in wanted and pts not in images:
            images[pts] = shrink(frame, orientation(frame))
    return images


def _run_plan(
    stream: av.VideoStream,
    packets: Iterable[Any],
    index: PacketIndex,
    ranges: Sequence[range],
    wanted: set[int],
    deadline: Deadline,
) -> Iterator[av.VideoFrame]:
    """Frames of the planned ranges. The decoder skips packets that are neither wanted nor referenced."""
    remaining = iter(ranges)
    current = next(remaining, None)
    order = _Rising()
    for number, packet in enumerate(packets):
        if current is None:
            return
        if number < current.start:
            continue
        deadline.check()
        _check_packet(packet)
        first_pts = int(index.pts[current.start])
        _skip_unreferenced(stream, index.pts[number] not in wanted and not index.doubt)
        is_leading = index.pts[number] < first_pts
        yield from (f for f in _decode_planned(stream, packet, is_leading) if _counts(f, first_pts, order))
        if number == current.stop - 1:
            yield from (f for f in _decode_planned(stream, None, is_leading) if _counts(f, first_pts, order))
            stream.codec_context.flush_buffers()
            current = next(remaining, None)
            order = _Rising()


class _Rising:
    """Checks that frames' times increase in output order."""

    def __init__(self) -> None:
        self._last = NO_PTS

    def check(self, pts: int) -> None:
        """Raise CodecError if `pts` is before the previous output frame."""
        if pts < self._last:
            raise CodecError("frames are output in a different order from their times")
        self._last = pts


def _counts(frame: av.VideoFrame, first_pts: int, order: _Rising) -> bool:
    """Whether a frame belongs to its range: leading frames of an open GOP are output without their references."""
    if _pts(frame) < first_pts:
        return False
    order.check(_pts(frame))
    _check_frame(frame)
    return True


def _run_all(
    container: av.container.InputContainer, stream: av.VideoStream, index: PacketIndex, deadline: Deadline
) -> Iterator[av.VideoFrame]:
    """All frames. An error before the first I-frame means that the stream was cut, not that it is damaged."""
    starts = np.flatnonzero(index.is_iframe)
    first = int(starts[0]) if starts.size else 0
    hidden = set(index.pts[index.is_discard].tolist()) - set(index.shown_pts().tolist())
    for number, packet in enumerate(packets_of(container, stream)):
        deadline.check()
        _check_packet(packet)
        try:
            frames, errors = decode_packet(stream, packet)
        except ItemError:
            if number >= first:
                raise
            continue
        if number >= first and index.pts[number] >= index.pts[first]:
            check_undamaged(errors, packet)
        for frame in frames:
            _check_frame(frame)
            if frame.pts not in hidden:
                yield frame
    yield from decode_packet(stream, None)[0]


def _skip_unreferenced(stream: av.VideoStream, skip: bool) -> None:
    if stream.codec_context.name in SKIPPABLE:
        stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"


def _decode_planned(stream: av.VideoStream, packet: Any, is_leading: bool) -> list[av.VideoFrame]:
    """Decode one packet of a plan. Leading frames of an open GOP lack their references, so their errors mean nothing.

    Raises:
        CodecError: the codec concealed damage in another packet.
    """
    frames, errors = decode_packet(stream, packet)
    if errors and not is_leading:
        check_undamaged(errors, packet)
        raise CodecError(errors[0])
    return frames


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
