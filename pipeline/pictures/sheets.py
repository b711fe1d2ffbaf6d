"""Pictures in rows with captions under a heading: a contact sheet, and what its file is called."""

from collections.abc import Sequence
from urllib.parse import quote

from PIL import Image, ImageDraw

from pipeline.frames.geometry import Image as Pixels
from pipeline.frames.shards import digest

WIDTH, MARGIN = 960, 14
INK, PAPER = "#1f2937", "#ffffff"


def frames_sheet(pictures: Sequence[Pixels], captions: Sequence[str], heading: str) -> Image.Image:
    """Pictures `uint8 [H, W, 3]` side by side in rows of at most eight, each with its caption, under a heading."""
    columns = max(1, min(8, len(pictures)))
    cell = (WIDTH - 2 * MARGIN) // max(columns, 4)
    heights = [round(p.shape[0] * (cell - 4) / p.shape[1]) for p in pictures]
    row_height = max(heights, default=0) + 20
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (WIDTH, 26 + rows * row_height + 4), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 6), heading, fill=INK)
    for i, (picture, caption, height) in enumerate(zip(pictures, captions, heights, strict=True)):
        x, y = MARGIN + i % columns * cell, 26 + i // columns * row_height
        sheet.paste(Image.fromarray(picture).resize((cell - 4, height)), (x, y))
        draw.text((x, y + height + 2), caption, fill=INK)
    return sheet


def sheet_name(clip_id: str) -> str:
    """File name of a clip's sheet: ids may hold slashes or be longer than a name can be."""
    name = quote(clip_id, safe=" @")
    return f"{name}.jpg" if len(name) < 200 else f"{name[:160]}-{digest(clip_id)}.jpg"
