"""How many frames of a video are looked at, and from which part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tilewise.errors import ConfigError

DEFAULT_FRAMES: Final = 8
MAX_FRAMES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """What of a video becomes pages.

    ``frames``: how many, spread evenly. ``start_s``, ``end_s``: the part to take them from, in
    seconds from the beginning; default, the whole video.
    """

    frames: int = DEFAULT_FRAMES
    start_s: float | None = None
    end_s: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= MAX_FRAMES:
            raise ConfigError(
                f"{self.frames} frames of a video are asked for; 1 to {MAX_FRAMES} are allowed "
                "(--frames)."
            )
        start_s, end_s = self.start_s or 0.0, math.inf if self.end_s is None else self.end_s
        if not 0 <= start_s < math.inf:  # also false of not-a-number
            raise ConfigError(
                f"the video is to start at {start_s:g} s; 0 s or later is allowed (--start)."
            )
        if not end_s > start_s:
            raise ConfigError(
                f"the video is to end at {end_s:g} s and to start at {start_s:g} s; the end must "
                "come later (--end)."
            )

    @property
    def has_part(self) -> bool:
        """Whether less than the whole video is asked for."""
        return self.start_s is not None or self.end_s is not None
