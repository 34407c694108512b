"""Scanned pages put straight: a small skew and a turn by 90, 180 or 270 degrees are undone.

A page that is straight, or about which the measures are not sure, keeps its very pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from tilewise.records import Page, Pixels
from tilewise.sources.components import grey, ink_of
from tilewise.sources.skew import measure_skew
from tilewise.sources.source import Closes, PageSize, RasterSize, Source
from tilewise.sources.upright import measure_upright

LEAST_SKEW_DEG: Final = 0.15
"""A page turned by less is straight enough and stays as it is."""

LEAST_PEAK: Final = 1.8
"""How much sharper lines must be at the angle found than at most angles."""

LEAST_GAIN: Final = 1.15
"""How much sharper lines must be at the angle found than at none."""

MOST_SPREAD_DEG: Final = 0.35
"""How far the two halves of a page may disagree."""

LEAST_MARGIN: Final = 0.45
"""Mean log-probability per letter that the best turn must be ahead of the next."""

LEAST_EVIDENCE: Final = 5.0
"""The same times the square root of the number of letters, as few letters say less."""

MOST_PIXELS: Final = 120_000_000
"""A larger page stays as it is: turning takes 11 bytes of memory for each pixel."""

_SKEW_SIDE_PX: Final = 1800
_LEAST_SIDE_PX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Straight:
    """A page put straight: the picture given, turned about its centre.

    ``turned_deg`` is anticlockwise, from above -180 to 180 and the skew beyond; 0 means that
    ``pixels`` are those given. A turn that is no quarter enlarges the picture so that nothing is
    cut; the corners are filled with the colour of its border.
    """

    pixels: Pixels
    turned_deg: float


def straighten(pixels: Pixels) -> Straight:
    """Undo a skew of up to 15 degrees and quarter turns, where both are sure.

    A page of more than ``MOST_PIXELS`` is left as it is.

    Args:
        pixels: uint8 (height, width, 3).

    Returns:
        The same array if nothing is to be done, else a new one.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < _LEAST_SIDE_PX or height * width > MOST_PIXELS:
        return Straight(pixels=pixels, turned_deg=0.0)
    skew_deg = _sure_skew(pixels)
    level = _turned(pixels, skew_deg) if skew_deg else pixels
    quarters = _sure_quarters(level)
    if quarters:
        level = np.ascontiguousarray(np.rot90(level, quarters))
    whole = quarters * 90 if quarters < 3 else -90
    return Straight(pixels=level, turned_deg=whole + skew_deg)


def _sure_skew(pixels: Pixels) -> float:
    factor = max(1, -(-max(pixels.shape[:2]) // _SKEW_SIDE_PX))
    skew = measure_skew(ink_of(grey(pixels, factor)))
    if (
        skew is None
        or abs(skew.angle_deg) < LEAST_SKEW_DEG
        or skew.gain < LEAST_GAIN
        or skew.peak < LEAST_PEAK
        or skew.spread_deg > MOST_SPREAD_DEG
    ):
        return 0.0
    return skew.angle_deg


def _sure_quarters(pixels: Pixels) -> int:
    found = measure_upright(pixels)
    evidence = found.margin * found.letters**0.5
    is_sure = found.margin >= LEAST_MARGIN and evidence >= LEAST_EVIDENCE
    return found.quarters if is_sure else 0


def _turned(pixels: Pixels, angle_deg: float) -> Pixels:
    """Turn anticlockwise on a larger picture, filled with the median of the border."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    paper = tuple(int(value) for value in np.median(border, axis=0))
    channels = []
    for index, fill in enumerate(
        paper
    ):  # one by one: a colour picture takes Pillow 4 bytes a pixel
        image = Image.fromarray(np.ascontiguousarray(pixels[..., index]))
        turned = image.rotate(angle_deg, Image.Resampling.BICUBIC, expand=True, fillcolor=fill)
        channels.append(np.asarray(turned))
    return np.stack(channels, -1)


class StraightSource(Closes):
    """A source whose scanned pages are put straight as they are decoded.

    ``size`` is that of the source; a page that was turned has another.
    """

    def __init__(self, source: Source, is_scan: Callable[[int], bool] | None = None) -> None:
        """Wrap a source, which this one then owns.

        ``is_scan`` tells of a page number whether it is the picture of a page; default, all are.
        """
        self._source = source
        self._is_scan = is_scan

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._source.name

    @property
    def count(self) -> int:
        """Number of pages."""
        return self._source.count

    def size(self, number: int) -> PageSize:
        """Size before straightening."""
        return self._source.size(number)

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """Decode or render one page, and put it straight if it is a scan."""
        page = self._source.page(number, raster_size)
        if self._is_scan is not None and not self._is_scan(number):
            return page
        straight = straighten(page.pixels)
        if straight.turned_deg == 0.0:
            return page
        return replace(page, pixels=straight.pixels, turned_deg=straight.turned_deg)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
