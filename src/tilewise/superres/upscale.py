"""One picture file to an enlarged one, in bounded memory: read, enlarge strip by strip, write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tilewise.errors import ConfigError
from tilewise.superres.alpha import bled
from tilewise.superres.enlarge import new_size
from tilewise.superres.enlargers import Enlarger, Interpolation
from tilewise.superres.icc import Space, space_of
from tilewise.superres.metadata import Facts, carried
from tilewise.superres.output import (
    Format,
    Values,
    check_size,
    depth,
    held_bytes,
    new_output,
    start,
)
from tilewise.superres.pictures import Picture, read_picture
from tilewise.superres.resample import Floats
from tilewise.superres.tiles import Rows, Work, plan, strips
from tilewise.weights.room import free_on_cpu

_BAND_VALUES: Final = 1 << 20

KEPT_BYTES: Final = 48 << 20
"""Of the memory, what is left to Python, torch and the packing of results while tiles work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upscaling:
    """How pictures are enlarged.

    ``memory_bytes`` is for the whole process, ``tile`` a side in pixels (0: by the memory),
    ``quality`` of JPEG and WebP from 1 to 100. ``is_stripped`` leaves out what the file says of
    the picture, save its profile; ``is_first_enough`` takes the first of several frames;
    ``made_by`` names this program and its version in the file.
    """

    factor: float
    memory_bytes: int
    tile: int = 0
    quality: int = 95
    is_stripped: bool = False
    is_first_enough: bool = False
    made_by: str = "tilewise"

    def __post_init__(self) -> None:
        new_size(1, 1, self.factor)
        if self.tile < 0:
            raise ConfigError(f"the tile is {self.tile} px; 0 (automatic) or more is allowed.")
        if not 1 <= self.quality <= 100:
            raise ConfigError(f"the quality is {self.quality}; 1 to 100 is allowed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upscaled:
    """What was made: sizes in pixels, and ``notes`` on what could not be kept as it was."""

    width: int
    height: int
    new_width: int
    new_height: int
    tiles: int
    notes: tuple[str, ...]


def upscale(
    source: Path,
    target: Path,
    kind: Format,
    enlarger: Enlarger,
    settings: Upscaling,
    *,
    progress: Callable[[int, int], None] | None = None,
    before: Callable[[int], None] | None = None,
) -> Upscaled:
    """Enlarge one picture file.

    Args:
        source, target: files.
        kind: format of the new one.
        enlarger: see ``enlarge.enlarger``.
        settings: how.
        progress: given the tiles done and how many there are.
        before: called with the new file's bytes when it is whole, before it gets its name.

    Raises:
        SourceError: the picture cannot be read.
        ConfigError: it, or the new one, is too large for the memory or the format.
        WeightsError: a network gave what is no number.
        DataError: the new file cannot be written.
    """
    left = settings.memory_bytes - resident_bytes() - KEPT_BYTES
    if left <= 0:
        own = settings.memory_bytes - left
        raise ConfigError(
            f"{source}: the program itself takes {own / 1e6:,.0f} MB of memory and "
            f"{settings.memory_bytes / 1e6:,.0f} MB are allowed; allow more (--memory)."
        )
    picture = read_picture(source, is_first_enough=settings.is_first_enough, memory_bytes=left)
    notes = list(picture.notes)
    space = None if isinstance(enlarger, Interpolation) else _space(picture, notes)
    height, width = new_size(picture.height, picture.width, settings.factor)
    check_size(target, kind, width, height)
    left = settings.memory_bytes - resident_bytes() - KEPT_BYTES
    left -= held_bytes(kind, width, height, picture.samples)
    try:
        size = (picture.height, picture.width, picture.samples)
        copies = 4 if picture.samples in (1, 3) and space is None else 16
        chosen = plan(
            size, (height, width), enlarger, left, settings.tile, copies, settings.memory_bytes
        )
    except ConfigError as err:
        advice = (
            "" if kind in ("PNG", "TIFF") else f" A {kind} is held whole; .png and .tif are not."
        )
        raise ConfigError(f"{source}: {err}{advice}") from err
    bits = depth(kind, picture.bits)
    if bits != picture.bits:
        notes.append(f"{picture.bits} bits become {bits}, as {kind} has no more")
    if kind == "JPEG" and picture.samples in (2, 4):
        notes.append("what is transparent lies on white, as JPEG has no transparency")
    work = Work(name=str(source)) if progress is None else Work(name=str(source), progress=progress)
    rows = _model_rows(picture, enlarger, space)
    facts = _facts(picture, enlarger, settings, (width, height))
    with new_output(target, before) as file:
        shape = (height, width, picture.samples)
        out = start(file, kind, shape, bits, facts, settings.quality)
        for strip in strips(rows, chosen, enlarger, work):
            for band in _bands(strip):
                out.write(_stored(band, space, bits))
        out.close()
    return Upscaled(
        width=picture.width,
        height=picture.height,
        new_width=width,
        new_height=height,
        tiles=chosen.rows * chosen.cols,
        notes=tuple(notes),
    )


def default_memory() -> int:
    """Half of what is free, at least 1 GB; 2 GB where the system does not say."""
    free = free_on_cpu()
    return 2_000_000_000 if free is None else max(1_000_000_000, free // 2)


def resident_bytes() -> int:
    """Memory that this process holds; 0 where the system does not say (Linux)."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _space(picture: Picture, notes: list[str]) -> Space | None:
    """Colours of the picture's profile where they are not sRGB."""
    if picture.profile is None:
        return None
    try:
        found = space_of(picture.profile)
    except ValueError as err:
        notes.append(f"colours of its profile are taken as they are, as {err}")
        return None
    return found


def _model_rows(picture: Picture, enlarger: Enlarger, space: Space | None) -> Rows:
    """Rows as the enlarger wants them: sRGB, and colours beneath what is transparent."""
    rows: Rows = picture.rows
    if picture.samples in (2, 4):
        # What is seen at all lies within the radius of the visible, and sees as far again.
        rows = bled(rows, picture.height, 2 * enlarger.radius)
    return rows if space is None else lambda top, bottom: _mapped(rows(top, bottom), space.to_srgb)


def _bands(strip: Floats) -> Iterator[Floats]:
    """Some rows at a time, so that what is made of them on the way to the file stays small."""
    rows = max(1, _BAND_VALUES // (strip.shape[1] * strip.shape[2]))
    return (strip[top : top + rows] for top in range(0, len(strip), rows))


def _stored(band: Floats, space: Space | None, bits: int) -> Values:
    """Rows as samples of so many bits."""
    if space is not None:
        band = _mapped(band, space.from_srgb)
    values = np.rint(band.clip(0, 1) * np.float32(2**bits - 1))
    return values.astype(np.uint8) if bits == 8 else values.astype(np.uint16)


def _mapped(strip: Floats, change: Callable[[Floats], Floats]) -> Floats:
    """Change the colours and leave the transparency."""
    colours = 1 if strip.shape[2] < 3 else 3
    strip = strip.copy()
    strip[..., :colours] = change(strip[..., :colours])
    return strip


def _facts(
    picture: Picture, enlarger: Enlarger, settings: Upscaling, size: tuple[int, int]
) -> Facts:
    if settings.is_stripped:
        return Facts(profile=picture.profile)
    return carried(
        picture.exif,
        picture.xmp,
        picture.profile,
        picture.dpi,
        size=size,
        factor=settings.factor,
        software=f"{settings.made_by}, {enlarger.name} x{settings.factor:g}",
    )
