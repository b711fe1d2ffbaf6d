"""Contact sheets for people: what was mined from a clip and why, drawn from the stored artifacts alone.

`mined_clips(folder)` reads `data/keyframes`; `mined_sheet` draws the signal over time with the chosen frames under it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.frames.jpeg import decode_jpeg
from pipeline.frames.shards import Row, read_manifest, read_table
from pipeline.keyframes.events import Event
from pipeline.pictures.sheets import INK, MARGIN, PAPER, WIDTH, frames_sheet

CURVE_HEIGHT = 150
EVENT_COLUMNS = ("start_seconds", "peak_seconds", "end_seconds", "strengths")  # as `Event` takes them
LINE, MARK, TRUTH, GRID = "#2563eb", "#dc2626", "#16a34a", "#e5e7eb"


@dataclass(frozen=True)
class Mined:
    """A mined clip: candidates best first (`candidate_seconds`, `candidate_scores`, `thumbnails`), curve over time."""

    clip_id: str
    start_seconds: float
    end_seconds: float
    signal: str
    candidate_seconds: NDArray[np.float64]
    candidate_scores: NDArray[np.float64]
    candidate_roles: tuple[str, ...]
    events: tuple[Event, ...]
    thumbnails: tuple[bytes, ...]
    curve_seconds: NDArray[np.float64]
    curve_scores: NDArray[np.float64]


def mined_clips(folder: Path, clip_ids: Sequence[str] | None = None) -> Iterator[Mined]:
    """The mined clips of `data/keyframes`, all or those named, file by file.

    Raises:
        ArtifactError: the folder is incomplete.
    """
    wanted = None if clip_ids is None else set(clip_ids)
    for entry in read_manifest(folder)["files"]:
        table = read_table(folder / entry["file"])
        for i, clip_id in enumerate(table.column("item_id").to_pylist()):
            if wanted is None or clip_id in wanted:
                yield _mined(table.slice(i, 1).to_pylist()[0])


def _mined(row: Row) -> Mined:
    return Mined(
        row["item_id"],
        row["start_seconds"],
        row["end_seconds"],
        row["signal"],
        np.array(row["candidate_seconds"], np.float64),
        np.array(row["candidate_scores"], np.float64),
        tuple(row["candidate_roles"]),
        tuple(map(Event, *(row[f"event_{name}"] for name in EVENT_COLUMNS))),
        tuple(row["thumbnails"]),
        np.array(row["curve_seconds"], np.float64),
        np.array(row["curve_scores"], np.float64),
    )


def mined_sheet(clip: Mined, true_seconds: Sequence[float] = ()) -> Image.Image:
    """RGB picture: the curve with candidates (red) and true key times (green), the events as bars below it (darker if
    stronger), and the candidates with their roles in time order."""
    order = np.argsort(clip.candidate_seconds)
    pictures = [decode_jpeg(clip.thumbnails[i]) for i in order]
    captions = [f"{clip.candidate_seconds[i]:.1f} s  #{i + 1}  {clip.candidate_roles[i]}" for i in order]
    below = frames_sheet(pictures, captions, f"{clip.clip_id}   {clip.signal}")
    sheet = Image.new("RGB", (WIDTH, CURVE_HEIGHT + below.height), PAPER)
    _draw_curve(ImageDraw.Draw(sheet), clip, true_seconds)
    sheet.paste(below, (0, CURVE_HEIGHT))
    return sheet


def _draw_curve(draw: ImageDraw.ImageDraw, clip: Mined, true_seconds: Sequence[float]) -> None:
    top, bottom = MARGIN, CURVE_HEIGHT - 24
    length = max(clip.end_seconds - clip.start_seconds, 1e-6)

    def x(seconds: float) -> float:
        return MARGIN + (seconds - clip.start_seconds) / length * (WIDTH - 2 * MARGIN)

    for tick in np.linspace(clip.start_seconds, clip.end_seconds, 7):
        draw.line([(x(tick), top), (x(tick), bottom)], fill=GRID)
        draw.text((x(tick) - 12, bottom + 6), f"{tick:.1f} s", fill=INK)
    for seconds in true_seconds:
        draw.line([(x(seconds), top), (x(seconds), bottom)], fill=TRUTH, width=3)
    for event in clip.events:
        shade = round(215 - 150 * event.strength)
        span = [x(event.start_seconds), bottom + 1, x(event.end_seconds), bottom + 5]
        draw.rectangle(span, fill=(shade, shade, 255), outline=LINE)
    points = [(x(t), bottom - s * (bottom - top)) for t, s in zip(clip.curve_seconds, clip.curve_scores, strict=True)]
    if len(points) > 1:
        draw.line(points, fill=LINE, width=2)
    for rank, t in enumerate(clip.candidate_seconds):
        y = bottom - float(np.interp(t, clip.curve_seconds, clip.curve_scores)) * (bottom - top)
        draw.ellipse([x(t) - 4, y - 4, x(t) + 4, y + 4], fill=MARK)
        draw.text((x(t) + 5, max(top - 8, y - 14)), str(rank + 1), fill=MARK)
