"""Text on one line: spaces folded, signs that are not seen left out."""

from __future__ import annotations

from typing import Final

CONTROLS: Final = {
    **dict.fromkeys((*range(9), *range(11, 32), *range(127, 160))),
    **dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF, 0x200E, 0x200F, *range(0x202A, 0x202F))),
}
"""Control characters, soft hyphens, marks of width nothing, of direction and of order."""


def clean(text: str) -> str:
    """Text on one line, spaces folded, without signs that are not seen."""
    if text.isprintable() and "  " not in text:  # no other white space is printable
        return text.strip()
    text = " ".join(text.split())
    return text if text.isprintable() else text.translate(CONTROLS).strip()
