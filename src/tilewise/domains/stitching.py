"""Pictures of domains: six cameras on one canvas, and marks drawn on a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from tilewise.domains.cameras import CELL_HEIGHT, CELL_WIDTH, CELLS, COLS, ROWS
from tilewise.errors import DataError
from tilewise.records import Box

MAGENTA: Final = (255, 0, 255)
RED: Final = (255, 0, 0)

_NAME_SIZE: Final = 50
_STROKE: Final = 1
"""Pixels that make the type of Pillow's own font bold, so that every machine draws the same."""


def stitch(images: Mapping[str, Image.Image]) -> Image.Image:
    """Six cameras' images on one canvas of 2688 × 896 px, each with its camera's name.

    Each is resized to 896 × 448 px, whatever its shape, so that a tile of 448 px never holds two.

    Args:
        images: by camera, of all six.

    Raises:
        DataError: a camera is missing.

    Source: the DriveLM adaptation of Mini-InternVL (arXiv 2410.16261).
    """
    absent = [camera for camera in CELLS if camera not in images]
    if absent:
        raise DataError(f"no image of {', '.join(absent)}; all of {', '.join(CELLS)} are needed.")
    canvas = Image.new("RGB", (COLS * CELL_WIDTH, ROWS * CELL_HEIGHT))
    font = ImageFont.load_default(_NAME_SIZE)
    for camera, (col, row) in CELLS.items():
        cell = images[camera].convert("RGB").resize((CELL_WIDTH, CELL_HEIGHT))
        draw = ImageDraw.Draw(cell)
        draw.text((0, 0), camera, MAGENTA, font, stroke_width=_STROKE, stroke_fill=MAGENTA)
        canvas.paste(cell, (col * CELL_WIDTH, row * CELL_HEIGHT))
    return canvas


def marked(image: Image.Image, boxes: Sequence[Box], *, width: int = 0) -> Image.Image:
    """A copy of a picture with red frames drawn on it: regions that a question is about.

    Args:
        image: the picture.
        boxes: in its pixels.
        width: of the lines; 0 is a two-hundredth of the shorter side, 2 at least.
    """
    made = image.convert("RGB")
    draw = ImageDraw.Draw(made)
    for box in boxes:
        draw.rectangle(tuple(box), outline=RED, width=width or max(2, min(made.size) // 200))
    return made
