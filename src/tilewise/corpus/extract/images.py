"""Where an image of a page truly lies: lazy loading, sets of sizes, placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin

_LAZY: Final = (
    "data-src", "data-original", "data-lazy-src", "data-actualsrc", "data-original-src",
    "data-hi-res-src", "data-full-src", "data-large-file", "data-orig-file", "data-lazy",
    "data-lazyload", "data-echo", "data-url", "data-image", "data-img-src", "data-img", "lazy-src",
    "data-cfsrc", "data-ezsrc", "data-backup", "_src", "file", "zoomfile", "original",
)  # fmt: skip
"""Attributes that hold the true address while ``src`` holds a placeholder, by how sure it is."""

_LAZY_SETS: Final = ("data-srcset", "data-lazy-srcset", "data-original-set", "lazy-srcset")

_PLACEHOLDER: Final = re.compile(
    r"(?:^|[/_.-])(?:blank|spacer|transparent|placeholder|pixel|1x1|loading|lazy|grey|dummy|clear"
    r"|empty|none|s)(?:[_-]?\d+x\d+)?\.(?:gif|png|svg|jpe?g|webp)(?:$|[?#])",
    re.IGNORECASE,
)
_DESCRIPTOR: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([wx])(?:,(.*))?")
_SIZE: Final = re.compile(r"\s*(\d{1,6})(?:px)?\s*$")
_MOST: Final = 4000
"""Characters of an address at most."""


def image_url(attributes: Mapping[str, str], base: str, sets: tuple[str, ...] = ()) -> str:
    """The address of an image, "" if it has none that can be asked for.

    Args:
        attributes: of the ``img``.
        base: address that others start from.
        sets: ``srcset`` of the sources of its ``picture``.
    """
    for name in _LAZY:
        if name in attributes and _is_address(attributes[name]):
            return absolute(attributes[name], base)
    for name in _LAZY_SETS:
        if found := largest(attributes.get(name, ""), base):
            return found
    src = attributes.get("src", "").strip()
    if _is_address(src) and not _PLACEHOLDER.search(src):
        return absolute(src, base)
    for one in (attributes.get("srcset", ""), *sets):
        if found := largest(one, base):
            return found
    return absolute(src, base) if _is_address(src) else ""


def largest(srcset: str, base: str) -> str:
    """The largest image of a ``srcset``, "" if there is none; the first of equals."""
    best, most, address = "", 0.0, ""
    for word in [*srcset[:_MOST].split(), ""]:
        match = _DESCRIPTOR.fullmatch(word) if address else None
        size = 1.0
        if match:
            size = float(match[1]) * (100 if match[2] == "x" else 1)  # densities are small numbers
        is_usable = _is_address(address) and not _PLACEHOLDER.search(address)
        if is_usable and size > most:
            best, most = address, size
        address = ((match[3] or "") if match else word).strip(",")
    return absolute(best, base) if best else ""


def is_pixel(attributes: Mapping[str, str]) -> bool:
    """Whether an image says that it is a pixel or two, as counters of visits are."""
    for name in ("width", "height"):
        match = _SIZE.match(attributes.get(name, ""))
        if match and int(match[1]) <= 3:
            return True
    return False


def absolute(address: str, base: str) -> str:
    """An address without relation to others and without its fragment; "" if it is none."""
    address = address.strip()
    if not _WHOLE.match(address):
        try:
            address = urljoin(base, address.translate(_BREAKS))
        except ValueError:
            return ""
        if ":" not in address:
            return ""
    if len(address) > _MOST:
        return ""
    return address.partition("#")[0].replace(" ", "%20")


_WHOLE: Final = re.compile(r"https?://[^\s/?#.]+\.[^\s/?#]+(?:/[^\s]*)?$", re.IGNORECASE)
_BREAKS: Final = dict.fromkeys(map(ord, "\n\t\r"))


_NOT_ASKED: Final = ("data:", "about:", "javascript:", "blob:", "cid:", "#", "{", "<", "%7b", "[")


def _is_address(text: str) -> bool:
    text = text.strip()
    return bool(text) and not text.lower().startswith(_NOT_ASKED) and len(text) <= _MOST
