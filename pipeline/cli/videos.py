"""`egovlm frames`: the frames that the model would see of your own video."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.output import AsJson, emit
from pipeline.errors import ItemError, ParamsError

VideoPath = Annotated[Path, typer.Argument(metavar="VIDEO", help="A video file.", show_default=False)]
OutPath = Annotated[
    Path | None, typer.Option("--out", help="Where to write the picture; default: here, named after the video.")
]
Start = Annotated[float, typer.Option(min=0, help="Seconds from the start of the file.")]
End = Annotated[float | None, typer.Option(min=0, help="Seconds from the start of the file; default: its end.")]
ParamsFile = Annotated[
    Path | None,
    typer.Option("--params", help="The params.yaml that says how to make frames; default: the checkout's."),
]


@dataclass(frozen=True)
class Span:
    """Part of a video file, in seconds from its start."""

    path: Path
    start_seconds: float
    end_seconds: float


def open_span(path: Path, start: float, end: float | None) -> Span:
    """Check the file and the span.

    Raises:
        ItemError: see `pipeline.video.probe`; `not_a_file` for an address.
        ParamsError: the span is empty or lies outside the video.
    """
    from pipeline.video.probe import probe

    if re.match(r"[a-z][a-z0-9+.-]+:/", str(path)):
        address = str(path).replace(":/", "://", 1)  # a Path holds one slash of two
        raise ItemError("not_a_file", f"{address} is a web address, but egovlm reads files: download it first")
    if path.is_dir():
        raise ItemError("not_a_file", f"{path} is a folder: name one video file")
    duration = probe(path).duration_seconds
    stop = duration if end is None else end
    if not start < stop <= duration + 0.5:
        raise ParamsError(f"the span {start:g} to {stop:g} s does not fit into the {duration:.1f} s of {path.name}")
    return Span(path, start, stop)


def sample_frames(span: Span, params: Any, count: int | None = None) -> Any:
    """Frames as `extract_frames` makes them: `Decoded` with `images` uint8 [T, H, W, 3] and `pts_seconds` [T]."""
    from pipeline.decode.backends import decode_frames
    from pipeline.frames.geometry import FrameSize
    from pipeline.frames.sampling import uniform_times

    settings = params.extract_frames
    times = uniform_times(span.start_seconds, span.end_seconds, count or settings.frames_per_clip)
    size = FrameSize(settings.max_pixels, settings.size_multiple)
    return decode_frames(span.path, times, size, decoder=settings.decoder)


def frames(
    video: VideoPath,
    count: Annotated[
        int | None, typer.Option(min=1, max=512, help="Number of frames; default: extract_frames.frames_per_clip.")
    ] = None,
    start: Start = 0.0,
    end: End = None,
    out: OutPath = None,
    params: ParamsFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the frames that the model would see as one picture.

    Takes them from VIDEO as extract_frames does, and adds the time of each.

    \b
    Examples:
      egovlm frames kitchen.mp4
      egovlm frames kitchen.mp4 --count 16 --start 30 --end 60 --out strip.jpg
    """
    from pipeline.cli.place import find_params
    from pipeline.pictures.sheets import frames_sheet, save_sheet

    span = open_span(video, start, end)
    decoded = sample_frames(span, find_params(params), count)
    where = out or Path(f"{video.stem}.frames.jpg")
    times = [round(float(t), 3) for t in decoded.pts_seconds]
    save_sheet(frames_sheet(list(decoded.images), [f"{t:.2f} s" for t in times], columns=6, width=200), where)
    height, width = decoded.images.shape[1:3]
    value = {"picture": str(where), "pts_seconds": times, "width": width, "height": height}
    emit(
        value,
        f"{where}: {len(times)} frames of {width}x{height} pixels at {', '.join(f'{t:.2f}' for t in times)} s",
        as_json,
    )


def register(app: typer.Typer) -> None:
    """Add `frames` to the command."""
    app.command()(frames)
