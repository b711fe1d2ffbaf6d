"""Encode frames to a real H.264/MP4 file: the same bytes every time (for one version of the codec)."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_mp4(path: Path, frames: Iterable[NDArray[np.uint8]], size: tuple[int, int], rate: int, gop: int) -> None:
    """Encode RGB frames uint8 [H, W, 3] of `size` (width, height), `rate` a second, an I-frame at least every `gop`.

    One encoder thread, no creation time and no encoder tag: nothing in the file depends on when or where it was made.
    The file appears whole or not at all.
    """
    partial = path.with_name(path.name + ".partial")
    with av.open(
        str(partial), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}
    ) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, rate)
        stream.gop_size = gop
        stream.codec_context.thread_count = 1
        # mbtree reads memory whose alignment changes from call to call, so the same frames gave different bytes
        stream.options = {"crf": "20", "preset": "veryfast", "x264-params": "threads=1:mbtree=0"}
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    partial.replace(path)
