"""Contact sheets, thumbnails and data URIs: pictures of pictures, small enough to be looked at.

What belongs here: arranging, captioning and packing pixels for people. What does not: exported
images (`crops`) and figures drawn from tables (`figures`). The same input gives the same bytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from identity_pipeline.media.crops import ImageBGR, encode_jpeg
from identity_pipeline.media.svg import SET_COLOURS

SetColour = tuple[int, int, int]

SHEET_BGR: Final[SetColour] = (30, 25, 22)
TILE_BGR: Final[SetColour] = (46, 40, 36)
CAPTION_BGR: Final[SetColour] = (232, 226, 222)
ACCENT_PX: Final = 4
CAPTION_LINES: Final = 3
QUALITIES: Final = (90, 84, 78, 70, 62, 54, 46)
SCALE_STEP: Final = 0.85
SMALLEST_SIDE_PX: Final = 24


def _bgr(colour: str) -> SetColour:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red


SET_ACCENTS: Final = {name: _bgr(colour) for name, colour in SET_COLOURS.items()}
"""Accent of each set (`anchor`, `coverage`, `challenge`, `pair`), BGR."""


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes:
        image: (h, w, 3) BGR uint8, of any size.
        caption: at most three lines; a long one is broken after `_` or a space, what is still
            too long ends in `...`, and what is not ASCII becomes `?`.
        accent: BGR colour of the bar above the picture, e.g. from `SET_ACCENTS`; None: no bar.
    """

    image: ImageBGR
    caption: str
    accent: SetColour | None = None


def contact_sheet(tiles: Sequence[Tile], *, columns: int, tile_px: int) -> NDArray[np.uint8]:
    """All tiles on one dark sheet, row by row, each letterboxed into a square, never squeezed.

    Args:
        tiles: pictures in reading order; with none the sheet says so.
        columns: tiles per row, >= 1; fewer tiles make a narrower sheet.
        tile_px: side of the square that holds a picture, >= 32.

    Returns:
        (H, W, 3) BGR uint8.

    Raises:
        ValueError: `columns` or `tile_px` is too small, or a tile has no pixels.
    """
    if columns < 1 or tile_px < 32:
        raise ValueError(f"a sheet needs columns >= 1 and tile_px >= 32, got {columns}, {tile_px}")
    font_px = int(np.clip(tile_px // 12, 10, 20))
    line_px = round(font_px * 1.3)
    gap = max(6, tile_px // 20)
    captions = [_wrap(tile.caption, font_px, tile_px) for tile in tiles]
    lines = max((len(caption) for caption in captions), default=0)
    cell_h = ACCENT_PX + tile_px + (lines * line_px + gap // 2 if lines else 0)
    across = max(1, min(columns, len(tiles)))
    rows = max(1, -(-len(tiles) // across))
    sheet = np.empty((gap + rows * (cell_h + gap), gap + across * (tile_px + gap), 3), np.uint8)
    sheet[:] = SHEET_BGR
    texts: list[tuple[int, int, str]] = []
    for i, tile in enumerate(tiles):
        x = gap + i % across * (tile_px + gap)
        y = gap + i // across * (cell_h + gap)
        if tile.accent is not None:
            sheet[y : y + ACCENT_PX, x : x + tile_px] = tile.accent
        top = y + ACCENT_PX
        sheet[top : top + tile_px, x : x + tile_px] = TILE_BGR
        _place(sheet[top : top + tile_px, x : x + tile_px], tile.image)
        for n, line in enumerate(captions[i]):
            texts.append((x, top + tile_px + gap // 2 + n * line_px, line))
    if not tiles:
        texts.append((2 * gap, gap + tile_px // 2, _fit("no images", font_px, tile_px)))
    return _write(sheet, texts, font_px)


def _place(square: NDArray[np.uint8], image: ImageBGR) -> None:
    """Draws the image centred and as large as it fits, its aspect ratio kept."""
    fitted = thumbnail(image, square.shape[0], enlarge=True)
    height, width = fitted.shape[:2]
    top, left = (square.shape[0] - height) // 2, (square.shape[1] - width) // 2
    square[top : top + height, left : left + width] = fitted


def thumbnail(image: ImageBGR, side_px: int, *, enlarge: bool = False) -> ImageBGR:
    """The image with its longer side at most (with `enlarge`: exactly) `side_px`.

    Raises:
        ValueError: the image has no pixels or is not (h, w, 3).
    """
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a picture is (h, w, 3) with pixels, got {image.shape}")
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1 and not enlarge:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Area averaging where it shrinks: plain bilinear would skip pixels and alias.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow carries this font in itself: the same letters on every machine.
    return ImageFont.load_default(size)


def _wrap(caption: str, font_px: int, width: int) -> list[str]:
    """At most `CAPTION_LINES` lines of ASCII that fit `width` pixels, broken after `_` or space."""
    font = _font(font_px)
    lines: list[str] = []
    for line in caption.encode("ascii", "replace").decode("ascii").splitlines():
        current = ""
        for piece in re.findall(r"[^_ ]*[_ ]?", line):
            if current and font.getlength((current + piece).rstrip()) > width:
                lines.append(current.rstrip())
                current = ""
            current += piece
        lines.append(current.rstrip())
    if len(lines) > CAPTION_LINES:
        lines = [*lines[: CAPTION_LINES - 1], " ".join(lines[CAPTION_LINES - 1 :])]
    return [_fit(line, font_px, width) for line in lines]


def _fit(line: str, font_px: int, width: int) -> str:
    """The line, cut so that it fits `width` pixels."""
    font = _font(font_px)
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "...") > width:
        line = line[:-1]
    return line.rstrip() + "..."


def _write(
    sheet: NDArray[np.uint8], texts: Sequence[tuple[int, int, str]], font_px: int
) -> NDArray[np.uint8]:
    # Pillow draws in whatever channel order it is told, so BGR needs no conversion.
    canvas = Image.fromarray(sheet)
    draw = ImageDraw.Draw(canvas)
    for x, y, line in texts:
        draw.text((x, y), line, fill=CAPTION_BGR, font=_font(font_px))
    return np.asarray(canvas, dtype=np.uint8).copy()


def encode_jpeg_below(image: ImageBGR, max_bytes: int = 60_000) -> bytes:
    """JPEG bytes no longer than `max_bytes`: lowers the quality first, then the scale.

    Raises:
        ValueError: not even the smallest version fits.
    """
    side = float(max(image.shape[:2]))
    current = image
    while True:
        for quality in QUALITIES:
            data = encode_jpeg(current, quality)
            if len(data) <= max_bytes:
                return data
        side *= SCALE_STEP
        if side < SMALLEST_SIDE_PX:
            height, width = image.shape[:2]
            raise ValueError(
                f"a picture of {width}x{height} px does not fit {max_bytes} bytes as JPEG"
            )
        current = thumbnail(image, round(side))


def data_uri(data: bytes, mime: str) -> str:
    """Bytes as a `data:` URI, e.g. of `image/jpeg` or `image/svg+xml`.

    Raises:
        ValueError: `mime` is not of the form `type/subtype`.
    """
    kind, slash, subtype = mime.partition("/")
    if not (kind and slash and subtype) or any(c in mime for c in ' ;,"<>'):
        raise ValueError(f"{mime!r} is no MIME type")
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
