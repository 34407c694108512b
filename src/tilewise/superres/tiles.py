"""An image enlarged tile by tile, the result in strips from top to bottom.

Tiles overlap by as far as the enlarger sees, and what only one of two neighbours sees whole is
taken from that one. So there is nothing to blend: tiles give what the whole image gives, up to the
rounding of sums. Beyond its borders the image is mirrored as far as the enlarger sees: the zeros
that networks set there would draw a grey line around white pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, isqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import ConfigError, TilewiseError, WeightsError
from tilewise.superres.enlargers import Enlarger, Interpolation
from tilewise.superres.resample import (
    Floats,
    Kernel,
    Taps,
    mirrored,
    resize_cols,
    resize_rows,
    taps,
)

LEAST_TILE: Final = 16
MOST_TILE: Final = 512
"""Sides in pixels that are chosen when none is asked for; larger ones save hardly any overlap."""

MOST_WORK: Final = 96 << 20
"""Bytes at work for a tile that is chosen: more, and the system clears fresh memory for every
layer of a network. A tile of 512 px took 2.4 s of processor time a megapixel, one of 192 px 1.5."""

RESIZED: Final[Kernel] = "lanczos"
"""What brings a network's result to a factor that is not its own."""

Rows = Callable[[int, int], Floats]
"""Gives rows top..bottom of an image, float32 (bottom - top, w, c): 1 grey or 3 colours, and
transparency last if there are 2 or 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the work is told from outside.

    ``progress`` takes the tiles done and how many there are; ``cancel`` is asked between tiles.
    """

    name: str = "the image"
    progress: Callable[[int, int], None] = field(default=lambda done, total: None)
    cancel: Callable[[], bool] = field(default=lambda: False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an image ``height`` x ``width`` of ``channels`` becomes ``new_height`` x ``new_width``.

    ``tile_height`` and ``tile_width`` are in pixels of the image, without the overlap.
    """

    height: int
    width: int
    channels: int
    new_height: int
    new_width: int
    tile_height: int
    tile_width: int

    @property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return ceil(self.height / self.tile_height)

    @property
    def cols(self) -> int:
        """Tiles from left to right."""
        return ceil(self.width / self.tile_width)


def plan(
    size: tuple[int, int, int],
    new_size: tuple[int, int],
    enlarger: Enlarger,
    memory_bytes: int,
    tile: int = 0,
    copies: int = 4,
    total_bytes: int = 0,
) -> Plan:
    """Choose tiles that memory holds, with the strip of the result that they make.

    Args:
        size: (height, width, channels) of the image.
        new_size: (height, width) of the result.
        enlarger: what will be used.
        memory_bytes: for tiles and strips at work.
        tile: side in pixels; 0 lets the memory decide.
        copies: of the rows that a strip is made from, while they are read.
        total_bytes: what the whole program may hold, of which ``memory_bytes`` are left; 0 where
            nobody said. It is told how much more is needed.

    Raises:
        ConfigError: not even the least tiles fit, or the asked ones do not.
    """
    height, width, channels = size
    factor = max(new_size[0] / height, 1.0)
    wide = max(width * _scale(size, new_size, enlarger), new_size[1])
    margin = 2 * enlarger.radius
    read_bytes = 4 * channels * width * copies
    strip_bytes = int(4 * channels * wide * max(factor, enlarger.scale) * 2.5)
    row_bytes, still_bytes = read_bytes + strip_bytes, margin * read_bytes + 8 * strip_bytes

    def needed(rows: int, cols: int) -> int:
        work = (rows + margin) * (cols + margin) * enlarger.pixel_bytes
        return still_bytes + rows * row_bytes + work

    if tile:
        chosen = min(tile, height), min(tile, width)
    else:
        half = (memory_bytes // 2 - still_bytes) // row_bytes
        rows = min(height, MOST_TILE, max(LEAST_TILE, half))
        left = min(MOST_WORK, max(0, memory_bytes - still_bytes - rows * row_bytes))
        left //= enlarger.pixel_bytes
        square = isqrt(left) - margin
        rows = max(min(rows, square), min(height, LEAST_TILE))
        cols = left // (rows + margin) - margin
        chosen = rows, max(min(width, cols, MOST_TILE), min(width, LEAST_TILE))
    if (least := needed(*chosen)) > memory_bytes:
        asked = f" in tiles of {tile} px" if tile else ""
        more = total_bytes + least - memory_bytes if total_bytes else least
        raise ConfigError(
            f"{width}x{height} px to {new_size[1]}x{new_size[0]} px{asked} takes "
            f"{-(-more // 10**6):,} MB of memory and {(total_bytes or memory_bytes) / 1e6:,.0f} MB "
            f"are allowed; allow more (--memory){' or smaller tiles (--tile)' if tile else ''}."
        )
    return Plan(
        height=height,
        width=width,
        channels=channels,
        new_height=new_size[0],
        new_width=new_size[1],
        tile_height=chosen[0],
        tile_width=chosen[1],
    )


def strips(rows: Rows, plan: Plan, enlarger: Enlarger, work: Work) -> Iterator[Floats]:
    """Enlarge an image.

    Yields:
        The result from top to bottom, (n, new_width, channels), not cut to 0 to 1.

    Raises:
        WeightsError: a network gave what is no number.
        TilewiseError: the work was cancelled.
    """
    size = (plan.height, plan.width, plan.channels)
    if isinstance(enlarger, Interpolation):
        return _interpolated(rows, plan, enlarger.kernel, work)
    if _scale(size, (plan.new_height, plan.new_width), enlarger) != enlarger.scale:
        return _interpolated(rows, plan, RESIZED, work)
    return _resized(_enlarged(rows, plan, enlarger, work), plan, enlarger.scale)


def _scale(size: tuple[int, int, int], new_size: tuple[int, int], enlarger: Enlarger) -> int:
    """What the enlarger itself does: 1 where the image is resized at once."""
    is_larger = new_size[0] > size[0] or new_size[1] > size[1]
    return enlarger.scale if is_larger and not isinstance(enlarger, Interpolation) else 1


def _interpolated(rows: Rows, plan: Plan, kernel: Kernel, work: Work) -> Iterator[Floats]:
    down = taps(plan.height, plan.new_height, kernel)
    across = taps(plan.width, plan.new_width, kernel)
    step = max(1, round(plan.tile_height * plan.new_height / plan.height))
    starts = range(0, plan.new_height, step)
    for done, start in enumerate(starts):
        _check_cancel(work, done, len(starts))
        stop = min(start + step, plan.new_height)
        low, high = down.span(start, stop)
        strip = resize_rows(_columns(rows(low, high), across), low, down, start, stop)
        work.progress(done + 1, len(starts))
        yield strip


def _columns(strip: Floats, across: Taps) -> Floats:
    return strip if len(across.first) == across.size else resize_cols(strip, across)


def _resized(found: Iterator[Floats], plan: Plan, scale: int) -> Iterator[Floats]:
    """Strips at the enlarger's scale, brought to the size that is wanted."""
    height, width = plan.height * scale, plan.width * scale
    if (height, width) == (plan.new_height, plan.new_width):
        yield from found
        return
    down, across = taps(height, plan.new_height, RESIZED), taps(width, plan.new_width, RESIZED)
    kept = np.empty((0, plan.new_width, plan.channels), np.float32)
    top = start = 0
    past = np.minimum(down.first + down.weights.shape[1], height)
    for strip in found:
        kept = np.concatenate([kept, _columns(strip, across)])
        stop = int(np.searchsorted(past, top + len(kept), "right"))
        if stop > start:
            yield resize_rows(kept, top, down, start, stop)
            low = int(down.first[stop]) if stop < plan.new_height else height
            kept, top, start = kept[max(0, low - top) :].copy(), max(low, top), stop


def _enlarged(rows: Rows, plan: Plan, enlarger: Enlarger, work: Work) -> Iterator[Floats]:
    """Strips of whole tiles, at the enlarger's scale."""
    scale, radius = enlarger.scale, enlarger.radius
    total, done = plan.rows * plan.cols, 0
    for top, bottom in _cuts(plan.height, plan.tile_height):
        down = mirrored(top - radius, bottom + radius, plan.height)
        first = int(down.min())
        seen = rows(first, int(down.max()) + 1)[down - first]
        shape = ((bottom - top) * scale, plan.width * scale, plan.channels)
        strip = np.empty(shape, np.float32)
        for left, right in _cuts(plan.width, plan.tile_width):
            _check_cancel(work, done, total)
            across = mirrored(left - radius, right + radius, plan.width)
            inner = (slice(radius, radius + bottom - top), slice(radius, radius + right - left))
            tile = _tile(seen[:, across], inner, enlarger)
            done += 1
            if not np.isfinite(tile).all():
                raise WeightsError(
                    f"{work.name}: tile {done} of {total} (columns {left} to {right}, rows {top} "
                    f"to {bottom}) came out of {enlarger.name} with values that are no numbers; "
                    "take other weights, or --method bicubic."
                )
            strip[:, left * scale : right * scale] = tile
            work.progress(done, total)
        yield strip


def _cuts(length: int, step: int) -> Iterator[tuple[int, int]]:
    return pairwise([*range(0, length, step), length])


def _tile(seen: Floats, inner: tuple[slice, slice], enlarger: Enlarger) -> Floats:
    """Enlarge what lies ``inner`` of what is seen, channel group by channel group."""
    channels, scale = seen.shape[2], enlarger.scale
    outer = tuple(slice(part.start * scale, part.stop * scale) for part in inner)
    colours = 3 if channels >= 3 else 1
    rgb = seen[..., :colours] if colours == 3 else np.repeat(seen[..., :1], 3, 2)
    found = enlarger(rgb)[outer]
    if colours == 1:  # grey stays grey
        found = found.mean(2, keepdims=True)
    if channels == colours:
        return found
    return np.concatenate([found, _alpha(seen[..., -1], inner, outer, enlarger)], 2)


def _alpha(
    alpha: Floats, inner: tuple[slice, slice], outer: tuple[slice, ...], enlarger: Enlarger
) -> Floats:
    """Transparency, as a grey image; what is the same all round a pixel stays exactly that.

    Shape: alpha (h, w) -> (h', w', 1)
    """
    scale = enlarger.scale
    low, high = (_near(alpha, pick)[inner] for pick in (np.minimum, np.maximum))
    is_same, kept = low == high, alpha[inner]
    if is_same.all():
        return _repeated(kept, scale)[..., None]
    found = enlarger(np.repeat(alpha[..., None], 3, 2))[outer].mean(2)
    found = np.where(_repeated(is_same, scale), _repeated(kept, scale), found)
    return found[..., None]


def _near(values: Floats, pick: np.ufunc, reach: int = 2) -> Floats:
    """The least or the largest value within ``reach`` pixels."""
    for axis in (0, 1):
        result = values.copy()
        for shift in range(1, min(reach, values.shape[axis] - 1) + 1):
            ahead = [slice(None), slice(None)]
            behind = [slice(None), slice(None)]
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            a, b = tuple(ahead), tuple(behind)
            result[a] = pick(result[a], values[b])
            result[b] = pick(result[b], values[a])
        values = result
    return values


def _repeated(values: NDArray[Any], scale: int) -> NDArray[Any]:
    return values.repeat(scale, 0).repeat(scale, 1)


def _check_cancel(work: Work, done: int, total: int) -> None:
    if work.cancel():
        raise TilewiseError(f"{work.name}: cancelled after {done} of {total} tiles.")
