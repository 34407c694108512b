"""How web pages are drawn, and what may be asked for on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tilewise.errors import ConfigError

MIN_WIDTH: Final = 200
MAX_WIDTH: Final = 8192
MAX_SCALE: Final = 4.0
MAX_PICTURE_WIDTH: Final = 16_384
"""Widest picture in pixels that Chromium draws in one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """How addresses are fetched and pages are drawn.

    ``width``: of the window in CSS pixels. ``scale``: pixels of the picture for one of those.
    ``javascript``: whether scripts of the page run. ``network``: whether a page may load
    anything besides itself and, for a file, its own folder. ``allow_private``: whether
    addresses of this machine and of private networks may be asked. ``time_limit_s``: for the
    download, and again for drawing. ``max_height``: where an endless page is cut, in CSS pixels.
    ``max_bytes``: most that one download, or all that one page loads, may hold.
    """

    width: int = 1280
    scale: float = 1.5
    javascript: bool = True
    network: bool = True
    allow_private: bool = False
    time_limit_s: float = 60.0
    max_height: int = 20_000
    max_bytes: int = 128 << 20

    def __post_init__(self) -> None:
        if not MIN_WIDTH <= self.width <= MAX_WIDTH:
            raise ConfigError(
                f"the width of a web page is {self.width}; {MIN_WIDTH} to {MAX_WIDTH} CSS pixels "
                "are allowed."
            )
        if not 0.25 <= self.scale <= MAX_SCALE:  # also false of not-a-number
            raise ConfigError(
                f"the scale of a web page is {self.scale:g}; 0.25 to {MAX_SCALE:g} is allowed."
            )
        if self.width * self.scale > MAX_PICTURE_WIDTH:
            raise ConfigError(
                f"a web page {self.width} wide at scale {self.scale:g} is over "
                f"{MAX_PICTURE_WIDTH} pixels wide; lower one of the two."
            )
        if not (0 < self.time_limit_s < math.inf):
            raise ConfigError(
                f"the time limit of a web page is {self.time_limit_s:g} s; it must be over 0."
            )
        if self.max_height < 1 or self.max_bytes < 1:
            raise ConfigError(
                f"max_height is {self.max_height} and max_bytes is {self.max_bytes}; both must be "
                "at least 1."
            )
