"""Page ranges as users write them."""

from __future__ import annotations

import re

from tilewise.errors import SourceError

_PART = re.compile(r"([0-9]{1,9})\s*(?:(-)\s*([0-9]{1,9})?)?")


def parse_page_range(text: str, count: int, name: str = "source") -> tuple[int, ...]:
    """Turn ``"1-3,7"`` into page numbers, in the order written, each once.

    Args:
        text: pages and ranges divided by commas; ``"5-"`` runs to the last page.
        count: number of pages that the source has.
        name: what the source is called in messages.

    Returns:
        Page numbers from 1 to ``count``, at least one.

    Raises:
        SourceError: the text is no page range, runs backwards, or goes beyond the last page.
    """
    numbers: dict[int, None] = {}
    for part in text.split(","):
        first, last = _ends(part.strip(), text, count)
        if first < 1 or last < first:
            raise SourceError(
                f"page range {text!r} holds {part.strip()!r}; pages count from 1 and a range "
                "runs upwards, for example 1-3,7."
            )
        if last > count:
            pages = "1 page" if count == 1 else f"{count} pages"
            raise SourceError(
                f"page range {text!r} asks for page {last}, but {name} has {pages}; "
                f"choose from 1 to {count}."
            )
        numbers.update(dict.fromkeys(range(first, last + 1)))
    return tuple(numbers)


def _ends(part: str, text: str, count: int) -> tuple[int, int]:
    """First and last page of one part; an open end is the last page."""
    match = _PART.fullmatch(part)
    if match is None:
        raise SourceError(
            f"page range {text!r} is not understood; write pages and ranges with commas, "
            "for example 1-3,7."
        )
    first = int(match[1])
    if match[2] is None:
        return first, first
    return first, int(match[3]) if match[3] else max(first, count)
