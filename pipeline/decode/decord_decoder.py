"""Backend `decord` (0.6.0), for the kinds of files that it decodes correctly; the others are refused with a reason.

Measured against full decodes, decord 0.6 silently returns wrong frames for edit lists, MPEG transport streams,
intra-refresh H.264, and MPEG-4 part 2 with B-frames. It also chooses a different one of two video streams, and does not
support AV1.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.decode.decoding import Deadline, Decoded, Shrinker, choose_pts
from pipeline.decode.pyav_decoder import check_whole
from pipeline.errors import ItemError, StageError
from pipeline.frames.geometry import FrameSize, Image, Orientation
from pipeline.frames.sampling import Times
from pipeline.video.container import open_video
from pipeline.video.index import PacketIndex, index_video, orientation

TRUSTED_CODECS = {"h264", "hevc", "vp8", "vp9", "mjpeg"}
IDR = {"h264": {5}, "hevc": {16, 17, 18, 19, 20}}
TICK_SECONDS = 0.002  # Matroska rounds to milliseconds


def decode(path: Path, times: Times, size: FrameSize, deadline: Deadline) -> Decoded:
    """The frames on screen at `times`. The packet index decides which ones, as for `pyav`.

    decord does not report damage (it repeats another frame), so PyAV decodes the same packets once to find it. This
    backend is for users who want decord's pixels; it is not faster.

    Raises:
        ItemError: `decord_unsupported` if decord would return wrong frames (the detail says why; `decoder: pyav`
            handles the file), and what `index_video` and `choose_pts` raise.
        StageError: decord is not installed (it has x86-64 wheels only).
    """
    index = index_video(path)
    check_supported(path, index)
    deadline.check()
    reader = _reader(path)
    seconds = index.seconds(index.shown_pts())
    if len(reader) != seconds.size:
        raise _refusal(f"it counts {len(reader)} frames, but {seconds.size} are shown")
    wanted = choose_pts(index, index.shown_pts(), times)
    check_whole(path, index, wanted, deadline)
    numbers = np.searchsorted(index.shown_pts(), wanted)
    _check_times(reader, numbers, index)
    images = _shrink(_read(reader, numbers), path, size)
    deadline.check()
    return Decoded(np.stack(images), index.seconds(wanted), index.origin_seconds, "decord")


def check_supported(path: Path, index: PacketIndex) -> None:
    """Refuse the kinds that decord decodes wrongly.

    Raises:
        ItemError: `decord_unsupported`.
    """
    with open_video(path) as (container, stream):
        codec, name = stream.codec_context.name, container.format.name
        streams = len(container.streams.video)
        cut_in = _enters_at_no_idr(container, stream)
    if not index.has_all_pts:
        raise _refusal("packets have no presentation times")
    if index.doubt:
        raise _refusal("its presentation times may not be those of its frames")
    if index.is_discard.any() or index.pts.min() < 0:
        raise _refusal("the file has an edit list")
    if name in ("mpegts", "mpeg", "avi", "mpegvideo", "h264", "hevc"):
        raise _refusal(f"the container is {name}")
    if codec not in TRUSTED_CODECS:
        raise _refusal(f"the codec is {codec}")
    if streams > 1:
        raise _refusal(f"there are {streams} video streams (decord chooses by size, others by the default mark)")
    if cut_in:
        raise _refusal("I-frames are not IDR (intra refresh or open GOP)")
    if _turn(path) != Orientation():
        raise _refusal("the picture must be rotated")


def _refusal(why: str) -> ItemError:
    return ItemError("decord_unsupported", f"{why}: decord would return wrong frames; use `decoder: pyav`")


def _turn(path: Path) -> Orientation:
    with open_video(path) as (container, stream):
        frame = next(container.decode(stream), None)
        return Orientation() if frame is None else orientation(frame)


def _enters_at_no_idr(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether any packet marked as an I-frame holds no IDR picture: decord seeks to it and shows incomplete frames."""
    kinds = IDR.get(stream.codec_context.name)
    if kinds is None:
        return False
    keys = (packet for packet in container.demux(stream) if packet.size and packet.is_keyframe)
    extradata = bytes(stream.codec_context.extradata or b"")
    return any(not kinds & set(_nal_kinds(bytes(p), extradata, stream.codec_context.name)) for p in keys)


def _nal_kinds(data: bytes, extradata: bytes, codec: str) -> Iterator[int]:
    """NAL unit types of a packet with length prefixes (ISO 14496-15) or start codes (annex B)."""
    for first in _nal_heads(data, extradata, codec):
        yield first & 0x1F if codec == "h264" else first >> 1 & 0x3F


def _nal_heads(data: bytes, extradata: bytes, codec: str) -> Iterator[int]:
    if extradata[:1] != b"\x01":
        yield from (part[0] for part in data.split(b"\x00\x00\x01")[1:] if part)
        return
    width = (extradata[4 if codec == "h264" else 21] & 3) + 1
    at = 0
    while at + width < len(data):
        yield data[at + width]
        at += width + int.from_bytes(data[at : at + width], "big")


def _reader(path: Path) -> Any:
    try:
        import decord
    except (ImportError, OSError) as error:
        raise StageError("decoder: decord is not installed (x86-64 only); set decoder: pyav") from error
    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(str(path.absolute()), num_threads=1)
    except Exception as error:  # DECORDError, RuntimeError: decord has no stable error types
        raise _refusal(f"it cannot open the file ({str(error).splitlines()[0][:120]})") from error


def _check_times(reader: Any, numbers: NDArray[np.int64], index: PacketIndex) -> None:
    """decord's times must equal those of the packets; otherwise its frame numbers mean other frames."""
    ours = index.seconds(index.shown_pts())[numbers] + index.origin_seconds
    theirs = reader.get_frame_timestamp(numbers)[:, 0]
    if np.abs(ours - theirs).max() > TICK_SECONDS:
        raise _refusal("its frame times differ from those of the packets")


def _read(reader: Any, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Full-size RGB `uint8 [n, H, W, 3]`."""
    try:
        images: NDArray[np.uint8] = reader.get_batch(numbers).asnumpy()
    except Exception as error:
        raise ItemError("damaged_video", f"decord: {str(error).splitlines()[0][:120]}") from error
    return images


def _shrink(images: NDArray[np.uint8], path: Path, size: FrameSize) -> list[Image]:
    with open_video(path) as (_, stream):
        shrink = Shrinker(size, float(stream.sample_aspect_ratio or 1))
    return [shrink(av.VideoFrame.from_ndarray(image, format="rgb24"), Orientation()) for image in images]
