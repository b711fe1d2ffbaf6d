"""Contact sheets: pictures in rows with captions under a heading. Pillow draws; OpenCV only measures and encodes."""

from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageDraw

from pipeline.files import replacing
from pipeline.frames.geometry import Image as Pixels
from pipeline.frames.shards import digest

WIDTH, MARGIN, GAP, CAPTION, HEADING = 960, 14, 4, 18, 26
INK, PAPER, MARK = "#1f2937", "#ffffff", "#0b62b8"
FEWEST_COLUMNS = 4  # a single picture is not stretched over the whole width
QUALITY = 88


def frames_sheet(
    pictures: Sequence[Pixels],
    captions: Sequence[str],
    heading: str = "",
    marked: Collection[int] = (),
    columns: int = 8,
    width: int | None = None,
) -> Image.Image:
    """Pictures `uint8 [H, W, 3]` in rows of at most `columns`, each with its caption, under an optional heading.

    Args:
        marked: indices of pictures that get a thick border.
        width: pixels of a picture; None makes the sheet `WIDTH` wide. Small pictures are enlarged without smoothing,
            to show what the model sees.

    Raises:
        ValueError: the numbers of captions and pictures differ.
    """
    columns = max(1, min(columns, len(pictures)))
    whole = WIDTH if width is None else 2 * MARGIN + columns * (width + 2 * GAP)
    cell = (whole - 2 * MARGIN) // (max(columns, FEWEST_COLUMNS) if width is None else columns)
    shown = [_resized(picture, cell - 2 * GAP) for picture in pictures]
    top, row_height = HEADING if heading else GAP, max((p.height for p in shown), default=0) + 2 * GAP + CAPTION
    sheet = Image.new("RGB", (whole, top + -(-len(shown) // columns) * row_height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 6), heading, fill=INK)
    for i, (picture, caption) in enumerate(zip(shown, captions, strict=True)):
        x, y = MARGIN + i % columns * cell, top + i // columns * row_height
        if i in marked:
            draw.rectangle((x, y, x + picture.width + 2 * GAP - 1, y + picture.height + 2 * GAP - 1), fill=MARK)
        sheet.paste(picture, (x + GAP, y + GAP))
        draw.text((x + GAP, y + picture.height + 2 * GAP), caption, fill=MARK if i in marked else INK)
    return sheet


def _resized(picture: Pixels, width: int) -> Image.Image:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    how = Image.Resampling.BOX if picture.shape[1] > width else Image.Resampling.NEAREST
    return Image.fromarray(picture).resize((width, height), how)


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as JPEG, whole or not at all."""
    with replacing(path) as partial:
        sheet.save(partial, format="JPEG", quality=QUALITY, subsampling=0)


def sheet_name(clip_id: str) -> str:
    """File name of a clip's sheet. Ids may contain slashes or be too long for a file name."""
    name = quote(clip_id, safe=" @")
    return f"{name}.jpg" if len(name) < 200 else f"{name[:160]}-{digest(clip_id)}.jpg"
