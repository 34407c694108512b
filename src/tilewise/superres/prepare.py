"""A page as the reader shall see it: enlarged, sharpened, or left as it is, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFilter

from tilewise.errors import ConfigError
from tilewise.records import Page, Pixels
from tilewise.superres.deblur import deblurred
from tilewise.superres.measure import PageMeasure, measure
from tilewise.superres.policy import Choice, Decision, PolicyConfig, Upscale, decide

Fitted = Callable[[int, int], float]
"""(width, height) of a page in px → width in px at which a reader sees it."""

Redraw = Callable[[float], Page]
"""Renders a vector page anew, so many times as large as it would be."""

MOST_PIXELS: Final = 120_000_000
"""Of a page enlarged by a factor that was asked for; no reader sees more than a part of them."""

RENDERING: Final = "rendering"
"""The method of vector pages, which have as many pixels as they are asked for."""

INTERPOLATION: Final = "bicubic"
"""What enlarges where no trained network measured better, or where the gate refuses one."""

_PIECE: Final = 512
"""Side of the squares that are compared by the gate."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A page to be shown to the reader in the place of the one that came, and what was done."""

    page: Page
    decision: Decision


def prepared(
    page: Page,
    upscale: Upscale,
    fitted: Fitted,
    redraw: Redraw | None = None,
    cfg: PolicyConfig | None = None,
) -> Prepared:
    """Do to a page what the setting says, or what the rules decide.

    Args:
        page: as it came. Frames of videos are left alone.
        upscale: "off", "auto" or a factor.
        fitted: the width at which the reader sees a page of a size, with this page's tile budget.
        redraw: renders a vector page so many times as large; None where a page is pixels.
        cfg: limits of the rules.

    Raises:
        ConfigError: a factor that makes the page larger than ``MOST_PIXELS``.
    """
    if upscale == "off" or page.is_frame:
        said = "not asked for" if upscale == "off" else "frames of videos are left alone"
        return _left(page, Decision(factor=1.0, method="none", reason=said))
    if upscale != "auto":
        return _by_factor(page, float(upscale), redraw)
    cfg = cfg or PolicyConfig()
    found = measure(page.pixels)

    def seen(factor: float) -> float:
        width, height = (max(1, round(side * factor)) for side in (page.width, page.height))
        return fitted(width, height) / width

    choice = decide(found, seen, cfg)
    decision = Decision(factor=choice.factor, method="none", reason=choice.reason, **_told(found))
    if choice.method == "deblur":
        return _sharpened(page, found, decision, cfg)
    if choice.method == "enlarge":
        if redraw is not None:
            made = redraw(choice.factor)
            return Prepared(page=made, decision=replace(decision, method=RENDERING))
        return _enlarged(page, found, choice, decision, cfg)
    return _left(page, decision)


def unenlarged(made: Prepared, page: Page, why: str) -> Prepared:
    """What was made of a page, or the page itself where it was enlarged and cannot be shown so."""
    if made.decision.factor == 1.0:
        return made
    reason = f"{made.decision.reason}, but enlarged it would not fit: {why}"
    return _left(page, replace(made.decision, factor=1.0, method="none", reason=reason))


def as_json(decision: Decision) -> dict[str, Any]:
    """A decision as plain values, lengths to two decimals."""
    told = asdict(decision)
    return {k: round(v, 2) if isinstance(v, float) else v for k, v in told.items()}


def said(decision: Decision) -> str:
    """A decision in one line."""
    if decision.method == "none":
        return f"left as it is: {decision.reason}"
    resized = "enlarged" if decision.factor >= 1 else "made smaller"
    done = "sharpened" if decision.method == "deblur" else f"{resized} x{decision.factor:g}"
    by = "" if decision.method == "deblur" else f" by {decision.method}"
    return f"{done}{by}: {decision.reason}"


def _left(page: Page, decision: Decision) -> Prepared:
    return Prepared(page=page, decision=decision)


def _by_factor(page: Page, factor: float, redraw: Redraw | None) -> Prepared:
    pixels = page.width * page.height * factor**2
    if pixels > MOST_PIXELS:
        raise ConfigError(
            f"{page.name}, page {page.number}: enlarged by {factor:g} it has {pixels / 1e6:.0f} "
            f"Mpx; {MOST_PIXELS // 10**6} Mpx are allowed. Lower the factor."
        )
    name = _best(factor) if redraw is None else RENDERING
    decision = Decision(factor=factor, method=name, reason="asked for")
    made = _made(page, factor, name) if redraw is None else redraw(factor)
    return Prepared(page=made, decision=decision)


def _enlarged(
    page: Page, found: PageMeasure, choice: Choice, decision: Decision, cfg: PolicyConfig
) -> Prepared:
    """Enlarge by what measured best; by interpolation where that is truer to the page.

    Thin sharp strokes are given back by nothing to the limit's dB; interpolation, which softens
    them, least of all. So a network below the limit is compared with what would take its place.
    Noisy paper is never shown to a network, which makes black specks of its noise.
    """
    name = _best(choice.factor)
    if name != INTERPOLATION and found.noise > cfg.noisy:
        reason = f"{decision.reason}; too noisy for a network ({found.noise:.0f} levels)"
        name, decision = INTERPOLATION, replace(decision, reason=reason)
    made = _made(page, choice.factor, name)
    if name != INTERPOLATION:
        blur, least = found.blur or 0.0, cfg.least_db(found)
        match = likeness(page.pixels, made.pixels, blur)
        if match < least:
            other = _made(page, choice.factor, INTERPOLATION)
            if likeness(page.pixels, other.pixels, blur) > match:
                reason = (
                    f"{decision.reason}; {name} was not true to the page ({match:.1f} dB of "
                    f"{least:g} dB), so it is interpolated"
                )
                made, name, decision = other, INTERPOLATION, replace(decision, reason=reason)
    return Prepared(page=made, decision=replace(decision, method=name))


def _sharpened(page: Page, found: PageMeasure, decision: Decision, cfg: PolicyConfig) -> Prepared:
    """Undo the blur; leave the page where what comes out does not give it back when blurred."""
    assert found.blur is not None
    floor = cfg.floor if found.jpeg is None else cfg.jpeg_floor
    pixels = deblurred(page.pixels, found.blur, floor)
    match = likeness(page.pixels, pixels, found.blur)
    if match < cfg.least_db(found):
        reason = (
            f"{decision.reason}, and sharpening was not true to the page ({match:.1f} dB of "
            f"{cfg.least_db(found):g} dB)"
        )
        return _left(page, replace(decision, reason=reason))
    made = replace(page, pixels=pixels)
    return Prepared(page=made, decision=replace(decision, method="deblur"))


def likeness(pixels: Pixels, made: Pixels, blur: float) -> float:
    """PSNR in dB between a page and what was made of it, brought back to the page's size.

    What was made is made small by averaging and by cubic weights, as it is and blurred as much
    as the page was found to be; the best counts, as any of these may be how the page came about.

    Args:
        pixels: uint8 (height, width, 3).
        made: the same, of any size.
        blur: standard deviation in px of the page.
    """
    size = (pixels.shape[1], pixels.shape[0])
    factor = made.shape[1] / pixels.shape[1]
    picture = Image.fromarray(made)
    best = 0.0
    for sigma in {0.0, blur}:
        blurred = picture.filter(ImageFilter.GaussianBlur(sigma * factor)) if sigma else picture
        for kernel in (Image.Resampling.BOX, Image.Resampling.BICUBIC):
            again = np.asarray(blurred if factor == 1 else blurred.resize(size, kernel))
            best = max(best, _psnr(pixels, again))
    return best


def _psnr(a: Pixels, b: Pixels) -> float:
    total = 0.0
    for top in range(0, len(a), _PIECE):
        apart = a[top : top + _PIECE].astype(np.float32) - b[top : top + _PIECE]
        total += float(np.square(apart, out=apart).sum(dtype=np.float64))
    return 99.0 if total == 0 else float(10 * np.log10(255.0**2 * a.size / total))


def _best(factor: float) -> str:
    if factor <= 1:
        return INTERPOLATION
    from tilewise.superres.enlarge import best_enlarger  # noqa: PLC0415 - torch, where it is used

    return best_enlarger("print", max(1, int(np.ceil(factor))))


def _made(page: Page, factor: float, name: str) -> Page:
    from tilewise.superres.enlarge import enlarged_page, enlarger  # noqa: PLC0415 - as above

    return enlarged_page(page, factor, enlarger(name, max(1, int(np.ceil(factor)))))


def _told(found: PageMeasure) -> dict[str, Any]:
    return {
        "x_height": found.x_height,
        "blur": found.blur,
        "noise": found.noise,
        "jpeg": found.jpeg,
    }
