"""Pages of degraded print with known text: made large, made small, blurred, noised, compressed.

A page has nine lines of words, names, numbers and codes in one of several faces. Its x-height,
blur (standard deviation in px of the small page), noise (the same in grey levels) and JPEG
quality are given.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tilewise.records import Pixels
from tilewise.synth import words

LARGER: Final = 6
"""Type is drawn so many times as large and averaged down."""

LINES: Final = 9
ROOT: Final = Path("/usr/share/fonts/truetype/liberation")
FACES: Final = (
    "LiberationSerif-Regular",
    "LiberationSans-Regular",
    "LiberationSerif-Bold",
    "LiberationMono-Regular",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """What is done to a page: sizes in px of the page, noise in grey levels, JPEG 0 for none."""

    x_height: float
    blur: float = 0.0
    noise: float = 2.0
    jpeg: int = 0

    def name(self) -> str:
        """A short name."""
        jpeg = f", JPEG {self.jpeg}" if self.jpeg else ""
        return f"x-height {self.x_height:g}, blur {self.blur:g}, noise {self.noise:g}{jpeg}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Print:
    """A page: grey as RGB, uint8 (height, width, 3), and what stands on it."""

    pixels: Pixels
    text: str
    wear: Wear
    face: str


def prints(wear: Wear, seed: int, count: int) -> Iterator[Print]:
    """Pages of one kind; the same seed gives the same texts whatever the wear."""
    for number in range(count):
        yield make_print(wear, seed * 1000 + number)


def make_print(wear: Wear, seed: int) -> Print:
    """One page.

    Raises:
        FileNotFoundError: the Liberation fonts are not installed.
    """
    rng = Random(seed)
    face = FACES[seed % len(FACES)]
    lines = [_line(rng) for _ in range(LINES)]
    picture = _drawn(lines, face, wear.x_height)
    if wear.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(wear.blur))
    noise = np.random.default_rng(seed).normal(0, wear.noise, (picture.height, picture.width))
    levels = (np.asarray(picture) + noise).round().clip(0, 255).astype(np.uint8)
    if wear.jpeg:
        store = io.BytesIO()
        Image.fromarray(levels).save(store, "JPEG", quality=wear.jpeg)
        levels = np.asarray(Image.open(store))
    pixels = np.ascontiguousarray(np.repeat(levels[..., None], 3, 2))
    return Print(pixels=pixels, text="\n".join(lines), wear=wear, face=face)


def _drawn(lines: list[str], face: str, x_height: float) -> Image.Image:
    """Lines in a face whose small x is as high as wanted, to a tenth of a pixel."""
    path = ROOT / f"{face}.ttf"
    probe = ImageFont.truetype(str(path), 1000).getbbox("x", anchor="ls")
    font = ImageFont.truetype(str(path), round(1000 * x_height * LARGER / -probe[1]))
    pitch, margin = round(font.size * 1.55), round(font.size)
    width = max(round(font.getlength(line)) for line in lines) + 2 * margin
    height = pitch * len(lines) + 2 * margin
    size = (-(-width // LARGER) * LARGER, -(-height // LARGER) * LARGER)
    sheet = Image.new("L", size, 245)
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        pen.text((margin, margin + round((number + 0.8) * pitch)), line, 20, font, anchor="ls")
    return sheet.reduce(LARGER)


def _line(rng: Random) -> str:
    """About 45 characters."""
    said = ""
    while len(said) < 38:
        kind = rng.random()
        if kind < 0.7:
            word = words.prose_word(rng, "test")
        elif kind < 0.8:
            word = words.name(rng, "test", 1)
        elif kind < 0.92:
            word = words.number(rng)
        else:
            word = words.code(rng)
        said = f"{said} {word}".strip()
    return said
