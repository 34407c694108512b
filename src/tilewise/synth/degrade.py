"""What happens to pages before they are read: scaling, turning, noise, blur, JPEG, inversion."""

from __future__ import annotations

import io
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tilewise.synth.sheet import Glyphs


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What to do to one page; the geometry is known before anything is drawn."""

    scale: float
    turn: float
    blur: float
    noise: float
    jpeg: int
    is_inverted: bool
    seed: int


def pick_damage(rng: Random, text_px: float) -> Damage:
    """Choose damage that leaves text of ``text_px`` px per em legible, at 10 px or above."""
    scale = 1.0
    if rng.random() < 0.4:
        scale = rng.uniform(max(10.5 / text_px, 0.5), 1.15) if text_px > 11 else 1.0
    return Damage(
        scale=scale,
        turn=rng.gauss(0, 0.006) if rng.random() < 0.2 else 0.0,
        blur=rng.uniform(0.3, 0.8) if rng.random() < 0.2 else 0.0,
        noise=rng.uniform(2, 14) if rng.random() < 0.4 else 0.0,
        jpeg=rng.randint(35, 90) if rng.random() < 0.3 else 0,
        is_inverted=rng.random() < 0.08,
        seed=rng.randrange(2**31),
    )


def damage_glyphs(glyphs: Glyphs, width: int, height: int, how: Damage) -> Glyphs:
    """Glyphs of a damaged page of ``width`` × ``height`` px before scaling."""
    cx, cy = width / 2, height / 2
    turned = glyphs.moved(1.0, -cx, -cy).moved(1.0, cx, cy, how.turn) if how.turn else glyphs
    return turned.moved(how.scale, 0.0, 0.0)


def damage_pixels(pixels: NDArray[np.uint8], how: Damage) -> NDArray[np.uint8]:
    """Picture of a damaged page, uint8 of the same channels."""
    image = Image.fromarray(pixels)
    if how.turn:
        paper = tuple(int(v) for v in pixels[0, 0]) if pixels.ndim == 3 else int(pixels[0, 0])
        image = image.rotate(-np.degrees(how.turn), Image.Resampling.BICUBIC, fillcolor=paper)
    if how.scale != 1.0:
        size = (max(1, round(image.width * how.scale)), max(1, round(image.height * how.scale)))
        image = image.resize(
            size, Image.Resampling.BILINEAR if how.seed % 2 else Image.Resampling.BICUBIC
        )
    if how.blur:
        image = image.filter(ImageFilter.GaussianBlur(how.blur))
    if how.jpeg:
        store = io.BytesIO()
        image.save(store, "JPEG", quality=how.jpeg)
        image = Image.open(store)
    out = np.asarray(image)
    if how.noise:
        noise = (
            np.random.default_rng(how.seed).normal(0, how.noise, out.shape[:2]).astype(np.float32)
        )
        out = np.clip(out + (noise[..., None] if out.ndim == 3 else noise), 0, 255).astype(np.uint8)
    return 255 - out if how.is_inverted else out
