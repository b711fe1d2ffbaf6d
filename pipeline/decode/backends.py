"""The decoder backends by name."""

from pathlib import Path

from pipeline.decode.decoding import Deadline, Decoded, Decoder
from pipeline.frames.geometry import FrameSize
from pipeline.frames.sampling import Times


def _pyav(path: Path, times: Times, size: FrameSize, deadline: Deadline) -> Decoded:
    from pipeline.decode.pyav_decoder import decode

    return decode(path, times, size, deadline)


def _decord(path: Path, times: Times, size: FrameSize, deadline: Deadline) -> Decoded:
    from pipeline.decode.decord_decoder import decode  # x86-64 wheels only: imported when used

    return decode(path, times, size, deadline)


DECODERS: dict[str, Decoder] = {"pyav": _pyav, "decord": _decord}


def decode_frames(
    path: Path, times: Times, size: FrameSize, *, decoder: str = "pyav", seconds_limit: float = 600.0
) -> Decoded:
    """The frames on screen at `times` (sorted seconds from the file's start), upright, at the model's size.

    Raises:
        ItemError: the file or the clip is unusable; the reason names why.
    """
    return DECODERS[decoder](path, times, size, Deadline(seconds_limit))
