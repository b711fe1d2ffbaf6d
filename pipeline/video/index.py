"""The packet index: every packet's times and flags, from one pass over the file without decoding."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from numpy.typing import NDArray

from pipeline.errors import ItemError
from pipeline.frames.geometry import Orientation, orientation_of
from pipeline.video.container import open_video
from pipeline.video.doubt import NO_PTS, Doubt, doubt_of

KEPT_BYTES = 48 * 2**20  # a worker may use 300 MB; reference frames of 1080p take most of that
ROUNDING_SECONDS = 0.1  # Matroska and editors round a stated duration
STARTS_CLEAN = {"h264", "hevc"}  # their decoders give no frame before one that can be shown
TRUNCATED_SECONDS = 2.0  # a container may round its duration; a larger gap is missing data


@dataclass(frozen=True)
class PacketIndex:
    """The packets of one video stream in decode order; arrays are `[N]`, times in ticks of `time_base` seconds.

    `pts` is `NO_PTS` if the container has none. `is_iframe` packets can be decoded without earlier packets.
    `is_discard` packets are decoded and never shown: they lie outside the edit list, or before the first I-frame of a
    recording that was cut. `origin_seconds` is where the file starts: a
    frame's `pts_seconds` is `pts * time_base - origin_seconds`, as players and `ffmpeg -ss` count. `last_seconds` is
    how long the last frame stays. `doubt` says why the times may be invented (see `pipeline.video.doubt`), or is empty.
    """

    pts: NDArray[np.int64]
    is_iframe: NDArray[np.bool_]
    is_discard: NDArray[np.bool_]
    is_corrupt: NDArray[np.bool_]
    time_base: Fraction
    origin_seconds: float
    frame_seconds: float
    last_seconds: float = 0.0
    doubt: Doubt = ""

    def __post_init__(self) -> None:
        if not (self.pts.shape == self.is_iframe.shape == self.is_discard.shape == self.is_corrupt.shape):
            raise ValueError("a packet index needs arrays of one length")

    def __len__(self) -> int:
        return len(self.pts)

    def __repr__(self) -> str:
        return f"PacketIndex({len(self)} packets, {int(self.is_iframe.sum())} I-frames, time_base {self.time_base})"

    @property
    def has_all_pts(self) -> bool:
        """Whether every packet has a presentation time; a packet plan needs them all."""
        return bool((self.pts != NO_PTS).all())

    def shown_pts(self) -> NDArray[np.int64]:
        """Presentation times of the frames a viewer sees, sorted, in ticks: `int64 [<= N]`."""
        return np.unique(self.pts[~self.is_discard & (self.pts != NO_PTS)])

    def seconds(self, pts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Ticks to seconds from the start of the file."""
        return to_seconds(pts, self.time_base, self.origin_seconds)


def to_seconds(pts: NDArray[np.int64], time_base: Fraction, origin_seconds: float) -> NDArray[np.float64]:
    """`pts * time_base - origin_seconds` to the nanosecond: `float64`, the shape of `pts`."""
    return np.round(pts.astype(np.float64) * time_base.numerator / time_base.denominator - origin_seconds, 9)


@dataclass
class PacketsKept:
    """The packets of a small file, kept by the index pass so that they are read only once; None: too many bytes.

    `check` is called for each packet and may raise, as a time limit does.
    """

    check: Callable[[], None]
    packets: list[Any] | None = field(default_factory=list)
    bytes: int = 0

    def add(self, packet: Any) -> None:
        """Keep one more, or drop all if they outgrow `KEPT_BYTES`."""
        self.check()
        self.bytes += packet.size
        if self.packets is not None and self.bytes <= KEPT_BYTES:
            self.packets.append(packet)
        else:
            self.packets = None


def read_index(
    container: av.container.InputContainer, stream: av.VideoStream, kept: PacketsKept | None = None
) -> PacketIndex:
    """Read the index of an open stream (this consumes the container), and hand each packet to `kept`.

    Raises:
        ItemError: `no_frames` if the stream holds no packet; `truncated` if data that the container promises are
            missing.
    """
    rows = [
        (_ticks(p.pts), _ticks(p.dts), p.duration or 0, p.is_keyframe, p.is_discard, p.is_corrupt)
        for p in packets_of(container, stream, kept)
    ]
    if not rows:
        raise ItemError("no_frames", "the video stream contains no packet")
    pts, dts, durations, iframe, discard, corrupt = (np.array(column) for column in zip(*rows, strict=True))
    time_base = stream.time_base or Fraction(1, 1000)
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    index = PacketIndex(
        pts.astype(np.int64),
        iframe.astype(bool),
        discard.astype(bool),
        corrupt.astype(bool),
        time_base,
        _origin(container, time_base, pts[(pts != NO_PTS) & ~discard.astype(bool)], dts[dts != NO_PTS]),
        float(1 / rate) if rate else 0.04,
        doubt=doubt_of(pts, dts, discard.astype(bool), stream.codec_context.reorder_depth),
    )
    if stream.codec_context.name not in STARTS_CLEAN:
        index = replace(index, is_discard=index.is_discard | _before_the_first_iframe(index))
    stated = _stated_last(index, durations, _promised_seconds(stream))
    _check_complete(container, stream, index, stated)
    return replace(index, last_seconds=stated or _usual_gap(index))


def _before_the_first_iframe(index: PacketIndex) -> NDArray[np.bool_]:
    """Packets of a recording that was cut inside a GOP: they reference what is gone, and decode to grey smear."""
    first = int(np.argmax(index.is_iframe))  # 0 if there is none
    shown_before = index.pts < index.pts[first] if index.has_all_pts else np.zeros(len(index), bool)
    return (np.arange(len(index)) < first) | (shown_before & (first > 0))


def _ticks(value: int | None) -> int:
    return NO_PTS if value is None else value


def _usual_gap(index: PacketIndex) -> float:
    """Typical seconds that a frame stays on screen."""
    gaps = np.diff(index.seconds(index.shown_pts()))
    return float(np.median(gaps)) if gaps.size else index.frame_seconds


def _stated_last(index: PacketIndex, durations: NDArray[np.int64], promised: float | None) -> float:
    """How long the last frame stays on screen, if its packet says so and the container's duration agrees; else 0.

    A recording with a variable frame rate may end on a picture that stays for seconds.
    """
    shown = np.flatnonzero(~index.is_discard & (index.pts != NO_PTS))
    if not shown.size or promised is None:
        return 0.0
    last = int(shown[np.argmax(index.pts[shown])])
    stays = float(int(durations[last]) * index.time_base)
    ends = (float(int(index.pts[last]) * index.time_base), float(int(np.ptp(index.pts[shown])) * index.time_base))
    agrees = min(abs(promised - end - stays) for end in ends) <= max(index.frame_seconds, ROUNDING_SECONDS)
    return stays if agrees else 0.0


def packets_of(
    container: av.container.InputContainer, stream: av.VideoStream, kept: PacketsKept | None = None
) -> Iterator[Any]:
    """The packets with data in them, in file order."""
    for packet in container.demux(stream):
        if packet.size:
            if packet.has_sidedata("encryption_info"):
                raise ItemError("encrypted_video", "its packets are encrypted (DRM): get an unencrypted copy")
            if kept is not None:
                kept.add(packet)
            yield packet


def _origin(
    container: av.container.InputContainer, time_base: Fraction, pts: NDArray[np.int64], dts: NDArray[np.int64]
) -> float:
    """Start of the file in seconds, no later than its first shown frame.

    It is 0 unless the container starts late (a transport stream) or the first frame lies below 0 (one that was
    recorded across the wrap of the transport stream's clock). AVI has no presentation times. FFmpeg invents them
    some frames late, so time 0 is the position of the first packet.
    """
    start = max(0.0, (container.start_time or 0) / av.time_base)
    if not pts.size:
        return start
    first = int(pts.min())
    if container.format.name == "avi" and dts.size:
        return float((first - int(dts.min())) * time_base)
    return min(start, float(first * time_base))


def _check_complete(
    container: av.container.InputContainer, stream: av.VideoStream, index: PacketIndex, last_seconds: float
) -> None:
    promised = len(stream.index_entries) if container.format.name.startswith("mov") else 0
    if promised > len(index):
        raise ItemError("truncated", f"only {len(index)} of {promised} video packets are there")
    duration = _promised_seconds(stream)
    if duration and index.has_all_pts:
        there = max(int(index.pts.max()), int(np.ptp(index.pts)))  # Matroska counts from zero, others from the start
        missing = duration - last_seconds - float(there * index.time_base)
        if missing > max(TRUNCATED_SECONDS + index.frame_seconds, 0.05 * duration):
            raise ItemError("truncated", f"the last {missing:.1f} s that the container promises are missing")


def _promised_seconds(stream: av.VideoStream) -> float | None:
    """The video stream's duration as the container states it; Matroska does so in a tag of the track."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) if tag else None


def index_video(path: Path) -> PacketIndex:
    """Index of the file `path`.

    Raises:
        ItemError: see `open_video` and `read_index`.
    """
    with open_video(path) as (container, stream):
        return read_index(container, stream)


def orientation(frame: av.VideoFrame) -> Orientation:
    """How a decoded frame must be displayed (its display matrix; upright if it has none)."""
    _know_all_kinds()
    side_data: Any = frame.side_data  # typed as a mapping by name, but looked up by type
    data = side_data.get(SideData.DISPLAYMATRIX)
    return orientation_of(tuple(np.frombuffer(data, np.int32).tolist())) if data else Orientation()


def _know_all_kinds() -> None:
    """Let PyAV name kinds of side data that it does not list (spatial video, LCEVC, EXIF); otherwise reading any
    raises."""
    if "_missing_" not in vars(SideData):
        SideData._missing_ = classmethod(_unlisted)  # type: ignore[assignment]


def _unlisted(kinds: type[SideData], value: object) -> SideData:
    kind: Any = object.__new__(kinds)
    kind._name_, kind._value_ = f"UNLISTED_{value}", value
    unlisted: SideData = kind
    return unlisted
