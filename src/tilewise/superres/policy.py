"""Whether a page is enlarged or sharpened before it is read, and by how much.

Letters that are small and sharp are enlarged until a reader sees them at the size it reads best.
Blurred letters are not: interpolation makes them larger, not clearer. Their blur was measured, so
it is undone instead, by a filter that invents nothing. Everything else is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from tilewise.errors import ConfigError
from tilewise.superres.measure import PageMeasure

Upscale = Literal["off", "auto"] | float
"""``off`` reads pages as they are, ``auto`` decides for each, a number enlarges all by it."""

Method = Literal["none", "enlarge", "deblur"]

Seen = Callable[[float], float]
"""How many px of what a reader sees a px of the page takes, when the page is enlarged so much."""

MOST_FACTOR: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """Limits of the policy; the defaults were found on other pages than they are reported on.

    ``small_px``: letters whose x-height is below it, as a reader sees them, are small.
    ``wanted_px``: they are enlarged by the first of ``factors`` that brings them to it.
    ``blur_share``: blur (standard deviation) by x-height from which on print is blurred.
    ``least_gain``: enlarging must make what a reader sees so many times larger, or it is left.
    ``most_share``, ``most_noise``: blur by x-height, and noise in grey levels, above which a blur
    is not undone. ``floor``: see ``deblur.deblurred``; ``jpeg_floor`` where JPEG left traces.
    ``faithful_db``: PSNR of what came out, made small or blurred again, against the page;
    ``noisy_db`` where JPEG left traces or noise is above ``noisy``, and no network enlarges there.
    """

    small_px: float = 7.0
    wanted_px: float = 8.0
    factors: tuple[float, ...] = (2.0, 3.0, 4.0)
    blur_share: float = 0.15
    least_gain: float = 1.5
    most_share: float = 0.36
    most_noise: float = 10.0
    floor: float = 0.005
    jpeg_floor: float = 0.03
    faithful_db: float = 35.0
    noisy_db: float = 30.0
    noisy: float = 3.0

    def __post_init__(self) -> None:
        if not self.factors or min(self.factors) <= 1 or max(self.factors) > MOST_FACTOR:
            raise ConfigError(
                f"factors are {self.factors}; numbers above 1 up to {MOST_FACTOR:g} are allowed."
            )

    def least_db(self, found: PageMeasure) -> float:
        """What the gate asks of a page."""
        is_noisy = found.jpeg is not None or found.noise > self.noisy
        return self.noisy_db if is_noisy else self.faithful_db


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was done to a page before it was read, and why.

    ``factor``: how many times as large it became. ``method``: "none", "deblur", or the name of
    what enlarged it. Lengths are in px of the page as it came; None where no print was found.
    """

    factor: float
    method: str
    reason: str
    x_height: float | None = None
    blur: float | None = None
    noise: float | None = None
    jpeg: int | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the reader sees other pixels than the page's own."""
        return self.method != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the rules say is to be done, before any pixel changes."""

    method: Method
    factor: float
    reason: str


def decide(found: PageMeasure, seen: Seen, cfg: PolicyConfig | None = None) -> Choice:
    """Apply the rules to a page.

    Args:
        found: what was measured.
        seen: of the reader with the page's tile budget; ``seen(1)`` is for the page as it is.
        cfg: the limits.
    """
    cfg = cfg or PolicyConfig()
    if found.x_height is None or found.blur is None:
        return _leave("no print was found")
    share = found.blur / found.x_height
    if share > cfg.blur_share:
        return _blurred(found, share, cfg)
    now = found.x_height * seen(1.0)
    if now >= cfg.small_px:
        return _leave(f"print is sharp, small letters are {now:.1f} px high")
    if seen(1.0) < 0.99:
        return _leave(
            f"small letters are {found.x_height:.1f} px high and the tile budget, which is full, "
            f"leaves {now:.1f} px; raise --max-tiles, or ask about fewer pages or a crop"
        )
    return _small(found.x_height, now, seen, cfg)


def _small(height: float, now: float, seen: Seen, cfg: PolicyConfig) -> Choice:
    """The first factor that makes letters large enough; less where the tile budget ends before."""
    wanted = next((f for f in cfg.factors if f * now >= cfg.wanted_px), cfg.factors[-1])
    factor = wanted
    while factor > 1 and factor * seen(factor) < 0.97 * factor * seen(1.0):
        factor -= 0.25
    if factor * seen(factor) < cfg.least_gain * seen(1.0):
        return _leave(
            f"small letters are {now:.1f} px high, and the grid of tiles cannot grow; raise "
            "--max-tiles, or ask about fewer pages or a crop"
        )
    less = f", x{wanted:g} does not fit the tile budget" if factor < wanted else ""
    return Choice(
        method="enlarge",
        factor=factor,
        reason=f"print is sharp but small letters are {height:.1f} px high{less}",
    )


def _blurred(found: PageMeasure, share: float, cfg: PolicyConfig) -> Choice:
    said = f"print is blurred ({found.blur:.1f} px at letters of {found.x_height:.1f} px)"
    if share > cfg.most_share:
        return _leave(f"{said}, too much to be undone")
    if found.noise > cfg.most_noise:
        return _leave(f"{said}, and too noisy ({found.noise:.0f} levels) for that to be undone")
    return Choice(method="deblur", factor=1.0, reason=said)


def _leave(reason: str) -> Choice:
    return Choice(method="none", factor=1.0, reason=reason)


def checked(upscale: Upscale) -> Upscale:
    """The setting itself.

    Raises:
        ConfigError: neither off nor auto nor a number from above 0 to 8.
    """
    if upscale == "off" or upscale == "auto":
        return upscale
    is_number = isinstance(upscale, int | float) and not isinstance(upscale, bool)
    if not is_number or not 0 < upscale <= MOST_FACTOR:
        raise ConfigError(
            f"upscale is {upscale!r}; off, auto, or a factor above 0 and up to {MOST_FACTOR:g} "
            "is allowed."
        )
    return float(upscale)
