"""Cut a span out of a long recording, exact to the frame."""

from fractions import Fraction
from pathlib import Path

import av

from pipeline.errors import ItemError
from pipeline.files import replacing
from pipeline.video.container import open_video
from pipeline.workspace import stop_if_full

_QUALITY = "18"  # x264's constant rate factor: visually lossless


def cut(source: Path, target: Path, start_seconds: float, end_seconds: float) -> Path:
    """Encode the frames of `source` from `start_seconds` to before `end_seconds` as H.264, starting at time 0.

    Frames are decoded and encoded again, because copying packets could only start at an I-frame, seconds off. No sound.

    Raises:
        ItemError: `missing_file`, `no_video_stream`, `damaged_file`, or `no_frames` in the span.
    """
    if not source.is_file():
        raise ItemError("missing_file", f"{source.name} is not in {source.parent}")
    try:
        with replacing(target) as partial:
            if not _encode(source, partial, start_seconds, end_seconds):
                raise ItemError("no_frames", f"{source.name} has no frames in {start_seconds}-{end_seconds} s")
    except (av.error.FFmpegError, ItemError) as error:
        stop_if_full(error, target.parent)
        if isinstance(error, ItemError):
            raise
        raise ItemError("damaged_file", f"{source.name}: {error}") from error
    return target


def _encode(source: Path, partial: Path, start_seconds: float, end_seconds: float) -> int:
    written = 0
    with open_video(source) as (given, video), av.open(f"file:{partial.absolute()}", "w", format="mp4") as made:
        given.seek(int(start_seconds * av.time_base))
        rate = Fraction(video.average_rate or 30).limit_denominator(1001)
        stream = made.add_stream("libx264", rate=rate, options={"crf": _QUALITY, "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        for frame in given.decode(video):
            if frame.time is None or frame.time < start_seconds - 1e-6:
                continue
            if frame.time >= end_seconds - 1e-6:
                break
            kept = frame.reformat(format="yuv420p")
            kept.pts, kept.time_base = written, 1 / rate
            made.mux(stream.encode(kept))
            written += 1
        made.mux(stream.encode(None))
    return written
