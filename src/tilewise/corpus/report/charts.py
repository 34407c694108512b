"""Pictures of a report as SVG text: bars of a waterfall, histograms with their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Final

from tilewise.corpus.stats import bin_of, bin_start
from tilewise.corpus.thresholds import Limits

WIDTH: Final = 360
HEIGHT: Final = 120
_BOTTOM: Final = 18
_MOST_BARS: Final = 60
_LEAST_BARS: Final = 12
"""So that a single value is a bar among empty places, and not a wall."""


def bar(share: float, kind: str, title: str, start: float = 0.0) -> str:
    """A bar of a table, as wide as its share of the greatest, that begins at another share."""
    before = max(0.0, min(1.0, start)) * 100
    width = max(0.0, min(1.0 - before / 100, share)) * 100
    return (
        f'<div class="bar" title="{escape(title)}"><div class="{kind}" '
        f'style="margin-left:{before:.2f}%;width:{width:.2f}%"></div></div>'
    )


def histogram(bins: Mapping[int, list[int]], limits: Limits) -> str:
    """Documents by a measured value, kept and dropped, and lines where the limits are.

    Args:
        bins: of ``stats.bin_of``, with numbers of kept and of dropped documents.
        limits: least and greatest value that is kept.
    """
    lines = [value for value in limits if value is not None and math.isfinite(value)]
    low = min([*bins, *map(bin_of, lines)])
    high = max([*bins, *map(bin_of, lines)]) + 1
    below = min(max(_LEAST_BARS - (high - low), 0) // 2, max(low, 0))
    low, high = low - below, max(high, low - below + _LEAST_BARS)
    wide = -(-(high - low) // _MOST_BARS)  # bins of a bar
    bars: dict[int, list[int]] = {}
    for place, (kept, dropped) in bins.items():
        have = bars.setdefault((place - low) // wide, [0, 0])
        have[0] += kept
        have[1] += dropped
    count = -(-(high - low) // wide)
    most = max(sum(both) for both in bars.values())
    step, room = WIDTH / count, HEIGHT - _BOTTOM
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    for place, (kept, dropped) in sorted(bars.items()):
        start = bin_start(low + place * wide)
        title = f"from {start:.3g}: {kept:,} kept, {dropped:,} dropped"
        tall, over = kept / most * room, dropped / most * room
        x, wide_px = place * step, max(step - 0.5, 0.5)
        parts.append(f"<g><title>{title}</title>")
        for kind, y, height in (("kept", room - tall, tall), ("gone", room - tall - over, over)):
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{wide_px:.1f}" '
                f'height="{height:.1f}"/>'
            )
        parts.append("</g>")
    for value in lines:
        x = (_place(value) - low) / wide * step
        parts.append(
            f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{room}"/>'
            f'<text class="limit" x="{min(x + 2, WIDTH - 40):.1f}" y="10">{value:g}</text>'
        )
    parts += _axis(low, high, wide, step)
    return "".join([*parts, "</svg>"])


def _place(value: float) -> float:
    """Where a value lies among bins, between two of them too."""
    place = bin_of(value)
    start, end = bin_start(place), bin_start(place + 1)
    return place + (value - start) / (end - start) if end > start else place


def _axis(low: int, high: int, wide: int, step: float) -> list[str]:
    """Values under the first, the middle and the last bar."""
    found = []
    for place, anchor in ((low, "start"), ((low + high) // 2, "middle"), (high, "end")):
        x = (place - low) / wide * step
        found.append(
            f'<text x="{min(x, WIDTH):.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">'
            f"{bin_start(place):.3g}</text>"
        )
    return found
