"""Where a title ends: told by its type where that is plain, left to the decoder where it is not."""

from __future__ import annotations

from typing import Final

import numpy as np

from tilewise.models.nano.reading import LINE, SPACE, Reading

ALIKE: Final = 1.12
"""Sizes of type within this ratio are one size."""
HEADING: Final = 1.15
"""A title this much larger than the page's middle type is a heading by its size."""
NEXT_LINE: Final = 1.9
"""Largest drop, in em, to the next line of one title."""


def goes_on(reading: Reading, at: int) -> bool | None:
    """Whether a title goes on behind its character ``at``; None where type cannot tell."""
    if reading.gap[at] <= SPACE:
        return True
    if at + 1 >= len(reading):
        return False
    own, following = _size(reading, at), _size(reading, at + 1)
    if own > ALIKE * following:
        return False
    is_heading = own > HEADING * float(np.median(reading.chars.height))
    drop = float(reading.chars.y[at + 1] - reading.chars.y[at]) / own
    is_next_line = reading.gap[at] >= LINE and 0.6 < drop < NEXT_LINE
    if is_heading and is_next_line and following < ALIKE * own:
        return True
    return None


def _size(reading: Reading, at: int) -> float:
    """Px per em of the segment that a character stands in."""
    return float(np.median(reading.chars.height[reading.segment == reading.segment[at]]))
