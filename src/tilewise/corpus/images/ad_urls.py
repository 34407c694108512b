"""Addresses of images that are advertising, counters or furniture of a site, by their words."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

AD_WORDS: Final = (
    "ad", "ads", "adserver", "adservice", "adsystem", "advert", "adverts", "advertisement",
    "advertising", "banner", "banners", "beacon", "doubleclick", "googlesyndication", "1x1",
    "spacer", "sponsor", "sponsored", "sprite", "sprites", "tracker", "tracking",
)  # fmt: skip
"""Words that tell an advertisement anywhere in a host or path."""

AD_NAMES: Final = ("avatar", "button", "favicon", "icon", "logo", "pixel", "plugin", "widget")
"""Words that tell furniture where they are all of a file's name, a size or number aside.

Inside a longer name they may be what the page is about: a manual shows ``tab-menu-button.png``.
"""

_PARTS: Final = re.compile(r"[a-z0-9]+")
_SIZE: Final = re.compile(r"s?(?:[-_@.]?\d+(?:x\d+)?)*x?")
_ENDING: Final = re.compile(r"\.[a-z]{2,5}$")


def ad_word(
    url: str, words: tuple[str, ...] = AD_WORDS, names: tuple[str, ...] = AD_NAMES
) -> str | None:
    """The word of an address that tells advertising or furniture, or None.

    Args:
        url: of the image; what follows ``?`` does not count.
        words: that count anywhere, as a whole part between signs that are no letters or digits.
        names: that count as the whole name of the file, less an ending, a plural, a size.

    Source: arXiv 2406.08418 drops plainly advertising images by URL without giving the patterns;
    the words are those of OBELICS (arXiv 2306.16527) and ours.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).lower()
    seen = _PARTS.findall(f"{parts.hostname or ''} {path}")
    file = path.rpartition("/")[2]
    for word in words:
        if word in seen:
            return word
    stem = _ENDING.sub("", file)
    for name in names:
        if stem.startswith(name) and _SIZE.fullmatch(stem[len(name) :]):
            return name
    return None
