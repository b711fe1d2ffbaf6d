"""What is in a video file: one pass over its packets and one decoded frame."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ItemError
from pipeline.video.container import open_video
from pipeline.video.index import PacketIndex, orientation, read_index

HDR_TRANSFERS = {16, 18}  # ITU-T H.273: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)


@dataclass(frozen=True)
class VideoProbe:
    """Facts about one video stream.

    `width` and `height` are pixels as stored; `rotation` is degrees clockwise that a viewer must turn the picture
    (after mirroring it if `mirrored`). `origin_seconds` is the file's own start time, already subtracted from all
    `pts_seconds`. `max_gop_seconds` is the longest time between two I-frames. `colour` is matrix/range as FFmpeg's
    numbers. `hdr` says that brightness is coded for high dynamic range (PQ or HLG), which looks too flat without
    tone mapping.
    """

    container: str
    codec: str
    profile: str
    pixel_format: str
    width: int
    height: int
    pixel_aspect: float
    rotation: int
    mirrored: bool
    interlaced: bool
    colour: str
    hdr: bool
    frames_per_second: float
    duration_seconds: float
    origin_seconds: float
    frames: int
    iframes: int
    max_gop_seconds: float
    variable_rate: bool
    edit_list: bool
    has_all_pts: bool
    video_streams: int


def probe(path: Path) -> VideoProbe:
    """Probe the video file `path`.

    Raises:
        ItemError: with one of the reasons `missing_file`, `symlink_loop`, `not_a_file`, `unreadable_file`,
            `empty_file`, `not_a_video`, `no_video_stream`, `unsupported_codec`, `no_frames`, `truncated`,
            `damaged_file`, `encrypted_video`, `odd_rotation`, `no_timestamps`, `broken_times`.
    """
    with open_video(path) as (container, stream):
        index = read_index(container, stream)
        streams = len(container.streams.video)
        name = container.format.name
    with open_video(path) as (container, stream):
        return _describe(name, streams, index, stream, _first_frame(container, stream))


def _first_frame(container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame:
    frame = next(_frames(container, stream), None)
    if frame is None:
        raise ItemError("no_frames", "no packet could be decoded")
    if frame.pts is None:
        raise ItemError("no_timestamps", "neither packets nor frames have presentation times")
    return frame


def _frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Frames as they come. What fails before the first I-frame is a stream that was cut into, not damage."""
    begun = False
    for packet in container.demux(stream):
        begun = begun or packet.is_keyframe
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            if begun:
                raise


def _describe(name: str, streams: int, index: PacketIndex, stream: av.VideoStream, frame: av.VideoFrame) -> VideoProbe:
    turn = orientation(frame)
    pixel_aspect = stream.sample_aspect_ratio or 1
    seconds = index.seconds(index.shown_pts())
    duration = _duration(index, seconds)
    return VideoProbe(
        container=name,
        codec=stream.codec_context.name,
        profile=str(stream.profile or ""),
        pixel_format=frame.format.name,
        width=frame.width,
        height=frame.height,
        pixel_aspect=float(pixel_aspect),
        rotation=turn.rotation,
        mirrored=turn.mirrored,
        interlaced=bool(frame.interlaced_frame),
        colour=f"{int(frame.colorspace)}/{int(frame.color_range)}",
        hdr=frame.color_trc in HDR_TRANSFERS,
        frames_per_second=(seconds.size or len(index)) / duration,
        duration_seconds=duration,
        origin_seconds=index.origin_seconds,
        frames=seconds.size or len(index),
        iframes=int(index.is_iframe.sum()),
        max_gop_seconds=_longest_gop(index, duration),
        variable_rate=_is_variable(seconds),
        edit_list=bool(index.is_discard.any()),
        has_all_pts=index.has_all_pts,
        video_streams=streams,
    )


def _duration(index: PacketIndex, seconds: NDArray[np.float64]) -> float:
    """Seconds from the start of the file to the end of the last frame."""
    if not seconds.size:
        return len(index) * index.frame_seconds
    duration = round(float(seconds[-1]) + index.last_seconds, 9)
    if not 0 < duration < math.inf:
        raise ItemError("broken_times", f"the last frame ends {duration} s after the start of the file")
    return duration


def _longest_gop(index: PacketIndex, duration: float) -> float:
    starts = index.seconds(np.sort(index.pts[index.is_iframe])) if index.has_all_pts else np.zeros(0)
    return float(np.diff(np.append(starts, duration)).max()) if starts.size else duration


def _is_variable(seconds: NDArray[np.float64]) -> bool:
    """Whether frame spacing varies by more than rounding to the container's clock (a millisecond in Matroska)."""
    gaps = np.diff(seconds)
    return bool(gaps.size and np.ptp(gaps) > 0.0025)
