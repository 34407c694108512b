"""The characters that tilewise-nano knows, on the page and in text."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

ASCII: Final = "".join(chr(c) for c in range(33, 127))
EXTRA: Final = "€£¥°•©®±×§µ…·→äöüÄÖÜßéèêëàâáåçñíîóôøúûæÉ"

PAGE_CHARS: Final = ASCII + EXTRA
"""Characters that a slot of the page may hold; class 0 is blank, class i is PAGE_CHARS[i - 1]."""

CLASSES: Final = len(PAGE_CHARS) + 1

PAD, QUESTION, ANSWER, END, NOT_FOUND, UNSUPPORTED, COPY = range(7)
"""Ids of the text vocabulary that are no characters. COPY stands for «the next one on the page»."""

TEXT_CHARS: Final = " \n" + PAGE_CHARS
FIRST_CHAR: Final = 7
VOCABULARY: Final = FIRST_CHAR + len(TEXT_CHARS)
FIRST_PAGE_CHAR: Final = FIRST_CHAR + 2
"""Text id of class 1: a page character of class i has the id FIRST_PAGE_CHAR + i - 1."""

_ADVANCES: Final = {
    0.18: "'", 0.24: "!,.:;ijl|·íî", 0.3: "()-/IJ[\\]`ft", 0.36: '"r{}°•', 0.42: "*?sz",
    0.54: "#+<=>EPSTYbdhnpu~€±×µüßñúûÉ", 0.6: "ABCKRVXZÄ", 0.66: "&DGUÜ", 0.72: "%HNOQw…→Öæ",
    0.78: "m©®", 0.84: "M", 0.9: "@W",
}  # fmt: skip

ADVANCE_EM: Final = np.full(CLASSES, 0.48, np.float32)
"""Advance of each class in em, (CLASSES,): the narrower third of the training fonts."""
for _advance, _chars in _ADVANCES.items():
    for _char in _chars:
        ADVANCE_EM[1 + PAGE_CHARS.index(_char)] = _advance
ADVANCE_EM.flags.writeable = False

_FOLDS: Final = {
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "“": '"', "”": '"', "„": '"', "″": '"',
    "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "−": "-", "\u00ad": "-",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\t": " ", "\r": " ", "\u2022": "•", "∙": "·",
    "μ": "µ", "º": "°", "⋅": "·", "●": "•",
}  # fmt: skip

_CLASS: Final = {char: i + 1 for i, char in enumerate(PAGE_CHARS)}
_TEXT: Final = {char: i + FIRST_CHAR for i, char in enumerate(TEXT_CHARS)}


def fold(text: str) -> str:
    """Replace typographic variants by the characters that the reader knows."""
    return "".join(_FOLDS.get(c, c) for c in text)


def class_of(char: str) -> int:
    """Class of a page character; 0 for one that the reader does not know."""
    return _CLASS.get(_FOLDS.get(char, char), 0)


def classes_of(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Classes of code points, (n,) → (n,); 0 for those the reader does not know."""
    return np.array([class_of(chr(c)) for c in codes.tolist()], np.int64)


def encode(text: str) -> list[int]:
    """Text → ids; characters outside the vocabulary become «?»."""
    unknown = _TEXT["?"]
    return [_TEXT.get(c, unknown) for c in fold(text)]


def decode(ids: list[int]) -> str:
    """Ids of characters → text; other ids give nothing."""
    return "".join(TEXT_CHARS[i - FIRST_CHAR] for i in ids if i >= FIRST_CHAR)


def _folded_classes() -> NDArray[np.int64]:
    """Class → class of its lower case, so that matching can ignore case; (CLASSES,)."""
    table = np.arange(CLASSES)
    for char, index in _CLASS.items():
        lower = _CLASS.get(char.lower())
        if lower is not None:
            table[index] = lower
    return table


FOLDED: Final = _folded_classes()
