"""Decode the frames on screen at given times. Call `decode_frames`; `DECODERS` are the backends."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

import av
import numpy as np
from av import library_versions
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize, Image, Orientation
from pipeline.frames.sampling import Times, frames_on_screen
from pipeline.video.index import PacketIndex

OUTSIDE_SECONDS = 0.5  # how far after the last frame a time may be; annotations round to half seconds
RESIZE = "swscale area"

Way = Literal["plan", "full", "decord"]
Chooser = Callable[[NDArray[np.float64], float], NDArray[np.int64]]


@dataclass(frozen=True)
class Decoded:
    """Frames at wanted times: `images` RGB `uint8 [n, H, W, 3]`, upright; `pts_seconds` `float64 [n]` of those frames.

    `origin_seconds` is the container's own start time; `way` says how: by the packet plan or by decoding everything.
    """

    images: NDArray[np.uint8]
    pts_seconds: NDArray[np.float64]
    origin_seconds: float
    way: Way

    def __post_init__(self) -> None:
        if self.images.shape[:1] != self.pts_seconds.shape:
            raise ValueError(f"{self.images.shape[0]} images need as many pts_seconds, not {self.pts_seconds.shape}")


class Deadline:
    """A wall-clock limit in seconds on the work for one clip.

    Raises:
        ItemError: `time_limit`, from `check()`.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise when the time is over. Cheap; called between packets."""
        if time.monotonic() > self._end:
            raise ItemError("time_limit", f"not finished after {self.seconds:g} s")


class Decoder(Protocol):
    """A backend returns the frames on screen at each of `times` (sorted, seconds from the file's start)."""

    def __call__(self, path: Path, times: Times, size: FrameSize, deadline: Deadline) -> Decoded: ...


def choose_pts(index: PacketIndex, shown_pts: NDArray[np.int64], times: Times) -> NDArray[np.int64]:
    """The frame on screen at each time: `int64 [n]` ticks, out of `shown_pts` (sorted).

    Raises:
        ItemError: what `choose_frames` raises.
    """
    return shown_pts[choose_frames(index, shown_pts, times)]


def choose_frames(index: PacketIndex, shown_pts: NDArray[np.int64], times: Times) -> NDArray[np.int64]:
    """The frame on screen at each time: `int64 [n]`, positions in `shown_pts` (sorted ticks).

    Raises:
        ItemError: `no_frames`; `clip_outside_video` if a time is after the video's end.
    """
    if not shown_pts.size:
        raise ItemError("no_frames", "the video shows no frame")
    seconds = index.seconds(shown_pts)
    end = float(seconds[-1]) + max(index.frame_seconds, index.last_seconds)
    if times.size and times[-1] > end + OUTSIDE_SECONDS:
        raise ItemError(
            "clip_outside_video", f"a frame at {times[-1]:.3f} s is wanted, but the video ends at {end:.3f} s"
        )
    return frames_on_screen(seconds, times)


class Shrinker:
    """Turns decoded frames upright and to the model's size; one size per clip, that of its first frame."""

    def __init__(self, size: FrameSize, pixel_aspect: float) -> None:
        self._size = size
        self._pixel_aspect = pixel_aspect
        self._target: tuple[int, int] | None = None

    def __call__(self, frame: av.VideoFrame, turn: Orientation) -> Image:
        """RGB `uint8 [H, W, 3]`; swscale converts and shrinks in one step, colour matrix and range as tagged."""
        width, height = self._upright(frame, turn)
        if turn.swaps_sides:
            width, height = height, width
        small = frame.reformat(
            width=width,
            height=height,
            format="rgb24",
            interpolation=Interpolation.AREA,
            src_color_range=frame.color_range,
            threads=1,
        )
        return turn.apply(small.to_ndarray().astype(np.uint8, copy=False))

    def _upright(self, frame: av.VideoFrame, turn: Orientation) -> tuple[int, int]:
        if self._target is None:
            sides = (frame.width * self._pixel_aspect, frame.height)
            self._target = self._size.fit(*(sides[::-1] if turn.swaps_sides else sides))
        return self._target


def decoder_version(name: str) -> str:
    """Library and version behind a backend, as recorded with the frames."""
    libraries = ["av"] if name == "pyav" else ["decord", "av"]
    codecs = ".".join(map(str, library_versions["libavcodec"]))
    return ", ".join(f"{library} {version(library)}" for library in libraries) + f", libavcodec {codecs}, {RESIZE}"
