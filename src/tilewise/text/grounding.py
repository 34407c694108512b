"""Names and boxes in texts: ``<ref>name</ref><box>[[x1, y1, x2, y2], ...]</box>``.

Coordinates go from 0 to 1000 over the width and the height of a page. Some published data has
fractions instead (OpenGVLab/InternVL#844): a box is read so if one of its numbers has a decimal
point and none is above 1. ``<quad>`` has four corners in place of two opposite ones, and is read
as the box around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tilewise.errors import PromptError
from tilewise.records import Box, Evidence
from tilewise.text.templates import GROUNDING_TAGS

UNITS: Final = 1000
"""A page is so many units wide, and as many high."""

_NUMBER: Final = r"[+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_REGION: Final = re.compile(
    r"(?:<ref>(?P<name>(?:(?!</?ref>).)*)</ref>\s*)?"
    r"<(?P<tag>box|quad)>(?P<places>[^<>]*)</(?P=tag)>",
    re.DOTALL,
)
_LIST: Final = re.compile(rf"[\[(][\s,]*({_NUMBER}(?:[\s,]+{_NUMBER})*)[\s,]*[\])]")
_PAGE: Final = re.compile(r"\b(image|frame)[ -]?(\d{1,6})\b", re.IGNORECASE)


class Share(NamedTuple):
    """A rectangle in fractions of a page's width and height, within 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float

    def on(self, width: int, height: int) -> Box:
        """The same in pixels of a page of this size."""
        return Box(self.left * width, self.top * height, self.right * width, self.bottom * height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """What a text names, where it is, and from which character of the text on it is said."""

    name: str
    shares: tuple[Share, ...]
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page as a model was shown it: its name, such as ``Image-2``, and its size in pixels."""

    width: int
    height: int
    name: str = ""


def read_regions(text: str) -> tuple[Region, ...]:
    """All names with boxes in a text, in order.

    What is no list of boxes is left to the text it is in: other counts of numbers, words,
    unclosed tags. Boxes are cut to the page and turned so that left comes before right.
    """
    return tuple(_regions(text))


def read_evidence(text: str, pages: Sequence[Shown]) -> tuple[Evidence, ...]:
    """The boxes of an answer in pixels of the pages it is about.

    With several pages, a box is on the one that the answer named last in front of it
    (``Image-2``, ``Frame 3``); where it named none that was shown, the box is left out, for it
    would be a guess.

    Args:
        text: the answer.
        pages: as they were shown, in order.

    Returns:
        One entry a box, with the name in the answer as its text.
    """
    found: list[Evidence] = []
    for region in read_regions(text):
        place = _page_of(text[: region.start], pages)
        if place is None:
            continue
        page = pages[place]
        found += [
            Evidence(page=place + 1, box=share.on(page.width, page.height), text=region.name)
            for share in region.shares
        ]
    return tuple(found)


def write_region(name: str, boxes: Sequence[Box], width: int, height: int) -> str:
    """A name and its boxes as a model reads and writes them.

    Args:
        name: what is there; may be empty, then there is no ``<ref>``.
        boxes: in pixels of the page; cut to it.
        width, height: of the page.

    Raises:
        PromptError: no box, or a name that holds one of the tags.

    Source: InternVL's data format, which rounds to the nearest unit.
    """
    if not boxes or any(tag in name for tag in GROUNDING_TAGS):
        raise PromptError(
            f"{name!r} with {len(boxes)} boxes cannot be written; it needs one box at least and a "
            f"name without {' '.join(GROUNDING_TAGS)}."
        )
    written = ", ".join(
        f"[{_unit(b.left, width)}, {_unit(b.top, height)}, "
        f"{_unit(b.right, width)}, {_unit(b.bottom, height)}]"
        for b in boxes
    )
    return (f"<ref>{name}</ref>" if name else "") + f"<box>[{written}]</box>"


def _unit(at: float, size: int) -> int:
    return min(max(round(UNITS * at / size), 0), UNITS)


def _regions(text: str) -> Iterator[Region]:
    for match in _REGION.finditer(text):
        shares = _shares(match["places"], 4 if match["tag"] == "quad" else 2)
        if shares:
            yield Region(name=(match["name"] or "").strip(), shares=shares, start=match.start())


def _shares(places: str, corners: int) -> tuple[Share, ...]:
    """The rectangles around so many corners each, none if the text is no list of such."""
    lists = [re.findall(_NUMBER, numbers) for numbers in _LIST.findall(places)]
    if {len(numbers) for numbers in lists} == {2}:  # each corner is a list of its own
        flat = [number for pair in lists for number in pair]
        lists = [flat[n : n + 2 * corners] for n in range(0, len(flat), 2 * corners)]
    is_list = not _LIST.sub("", places).strip("[](), \t\r\n")
    is_whole = all(len(numbers) == 2 * corners for numbers in lists)
    return tuple(map(_share, lists)) if is_list and is_whole else ()


def _share(numbers: Sequence[str]) -> Share:
    values = [float(number) for number in numbers]
    is_fraction = any("." in number for number in numbers) and max(values) <= 1
    cut = [min(max(value / (1 if is_fraction else UNITS), 0.0), 1.0) for value in values]
    across, down = cut[::2], cut[1::2]
    return Share(min(across), min(down), max(across), max(down))


def _page_of(said: str, pages: Sequence[Shown]) -> int | None:
    """Which page is meant behind what an answer has said so far, None if that is open."""
    if len(pages) == 1:
        return 0
    named = {_plain(page.name): place for place, page in enumerate(pages) if page.name}
    mentions = [named.get(f"{m[1].lower()}{int(m[2])}") for m in _PAGE.finditer(said)]
    return next((place for place in reversed(mentions) if place is not None), None)


def _plain(name: str) -> str:
    """``Image-2`` → ``image2``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
