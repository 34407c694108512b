"""The text layer of a PDF page as glyphs: what every character is and where it stands.

Positions inside this module are points from the upper left corner of the visible page, y down;
``picture`` turns them into pixels of a rendered page.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from tilewise.records import Pixels
from tilewise.synth.sheet import END, MIDDLE, SAME_WORD, SPACE, Glyphs

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

UNKNOWN: Final = 0xFFFD
"""Code of a character that is drawn but that the text layer does not name."""

CELL: Final = 1.3
"""Gap in em from which the next word of a line is another cell."""

BULLETS: Final = frozenset("•◦▪‣·●○■□–-*")

_LETTERS: Final = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_FOLD: Final = str.maketrans(
    dict.fromkeys("‘’‚‛", "'") | dict.fromkeys("“”„‟", '"') | _LETTERS
    # the last two are what the library gives for a hyphen at the end of a line
    | dict.fromkeys("‐‑‒–—―−\xad\x02\ufffe", "-")
)  # fmt: skip


def normalise_char(char: str) -> str:
    """The plain characters that one typographic character stands for.

    Quotes and dashes become those of ASCII, every kind of blank one space, ligatures their
    letters, and a character that says nothing (control, private use, half a pair) U+FFFD.
    """
    if char.isspace() or char in "\u200b\ufeff\x00":
        return " "
    plain = char.translate(_FOLD)
    code = ord(plain[0])
    if code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xF900 or code >= 0xF0000:
        return chr(UNKNOWN)
    return plain


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Visible characters of a page in the order of its text layer, in points, y down.

    ``code`` uint32 (n,); ``cell`` float32 (n, 2): left and right of the advance; ``base`` (n,):
    baseline; ``em`` (n,): size; ``is_upright`` bool (n,); ``link`` and ``brk`` uint8 (n,) as in
    ``Glyphs``; ``figures`` float32 (k, 4): pictures, whose text the layer does not name.
    """

    width: float
    height: float
    code: NDArray[np.uint32]
    cell: Floats
    base: Floats
    em: Floats
    is_upright: NDArray[np.bool_]
    link: NDArray[np.uint8]
    brk: NDArray[np.uint8]
    figures: Floats

    def __len__(self) -> int:
        return len(self.code)


def read_layer(page: Any) -> Layer:
    """Read the text layer of an open ``pypdfium2.PdfPage``."""
    width, height = page.get_size()
    flip = _page_to_view(page, width, height)
    rows, spaces = _characters(page.get_textpage())
    table = np.array(rows, np.float64).reshape(len(rows), 6)
    code, em, is_upright = (
        table[:, 0].astype(np.uint32),
        table[:, 1].astype(np.float32),
        table[:, 4] > 0,
    )
    box = _points(flip, table[:, [2, 5]], table[:, [3, 5]])
    cell, base = box[:, [0, 2]], box[:, 1]
    link, brk = _links(code, cell, base, em, np.array(spaces, bool))
    figures = _points(flip, *_figures(page))
    return Layer(width, height, code, cell, base, em, is_upright, link, brk, figures)


def picture(
    page: Any, layer: Layer, scale: float, band: tuple[float, float]
) -> tuple[Pixels, Glyphs, Floats]:
    """Render the band from ``band[0]`` to ``band[1]`` points of a page at ``scale`` px per point.

    Returns:
        Grey uint8 (height, width), the glyphs whose line lies wholly inside, and figures, float32
        (k, 4), both in pixels of the picture.
    """
    whole = page.render(scale=scale, grayscale=True).to_numpy()
    whole = whole[:, :, 0] if whole.ndim == 3 else whole
    sy, sx = whole.shape[0] / layer.height, whole.shape[1] / layer.width
    top, bottom = round(band[0] * sy), round(band[1] * sy)
    pixels = np.ascontiguousarray(whole[top:bottom])
    middle = (layer.base - MIDDLE * layer.em) * sy - top
    half = 0.5 * layer.em * sy
    keep = (middle - half >= 0) & (middle + half <= pixels.shape[0])
    link, brk = layer.link.copy(), layer.brk.copy()
    last = keep & ~np.append(keep[1:], False)
    brk[last], link[last] = 2, END
    glyphs = Glyphs(
        layer.code[keep],
        (layer.cell.mean(1) * sx)[keep],
        middle[keep].astype(np.float32),
        (layer.em * sy)[keep].astype(np.float32),
        ((layer.cell[:, 1] - layer.cell[:, 0]) * sx)[keep],
        link[keep],
        brk[keep],
    )
    figures = layer.figures * np.array([sx, sy, sx, sy], np.float32)
    figures[:, [1, 3]] = (figures[:, [1, 3]] - top).clip(0, pixels.shape[0])
    return pixels, glyphs, without_text(figures[figures[:, 3] - figures[:, 1] >= 1], glyphs)


def without_text(figures: Floats, glyphs: Glyphs) -> Floats:
    """The boxes (k, 4) that hold no glyph; the others are backgrounds rather than figures."""
    x, y = glyphs.x[:, None], glyphs.y[:, None]
    left, top, right, bottom = figures.T
    return figures[~((x > left) & (x < right) & (y > top) & (y < bottom)).any(0)]


def flaw(layer: Layer) -> str | None:
    """Why a text layer cannot serve as the truth about its page, or None if it can."""
    n = max(len(layer), 1)
    code, em = layer.code, layer.em
    is_latin = (code < 0x250) | ((code >= 0x2000) & (code < 0x2300))
    middle = layer.base - MIDDLE * em
    is_out = (
        (layer.cell[:, 0] < -1)
        | (layer.cell[:, 1] > layer.width + 1)
        | (middle < 0)
        | (middle > layer.height)
    )
    if len(layer) < 80:
        return "fewer than 80 characters"
    if is_out.any():
        return "characters outside the page"
    if (~layer.is_upright).sum() > 0.01 * n:
        return "text that is not upright"
    if (code == UNKNOWN).sum() > 0.03 * n:
        return "characters without a name"
    if (~is_latin).sum() > 0.3 * n:
        return "not Latin"
    if _overlaps(layer.cell.mean(1), middle, em) > 0.01 * n:
        return "characters on top of each other"
    return None


def flaw_in_picture(pixels: Pixels, glyphs: Glyphs) -> str | None:
    """Why a rendered page cannot serve, or None: too little, tiny or unseen text."""
    if len(glyphs) < 80:
        return "fewer than 80 characters"
    if np.percentile(glyphs.height, 2) < 8:
        return "text below 8 px"
    hidden = sum(_contrast(pixels, glyphs, i) < 20 for i in range(len(glyphs)))
    return "characters that are not seen" if hidden > 0.01 * len(glyphs) else None


def _contrast(pixels: Pixels, glyphs: Glyphs, i: int) -> int:
    x, y, h, w = (float(a[i]) for a in (glyphs.x, glyphs.y, glyphs.height, glyphs.width))
    box = pixels[
        max(0, int(y - 0.5 * h)) : int(y + 0.6 * h) + 1, max(0, int(x - w / 2)) : int(x + w / 2) + 1
    ]
    return int(box.max()) - int(box.min()) if box.size else 0


def _overlaps(x: Floats, y: Floats, em: Floats) -> int:
    """How many characters stand within a fifth of an em of one that came before."""
    side = 0.2 * max(float(np.median(em)), 1e-3)
    places = np.stack([np.floor(x / side), np.floor(y / side)], axis=1)
    return len(places) - len(np.unique(places, axis=0))


def _page_to_view(page: Any, width: float, height: float) -> Doubles:
    """Affine (2, 3) from page space to points of the visible page, rotation and crop included."""
    fine = 1 << 20  # the library answers in whole device pixels
    x, y = ctypes.c_int(), ctypes.c_int()
    seen = []
    for px, py in ((0.0, 0.0), (100.0, 0.0), (0.0, 100.0)):
        pdfium.FPDF_PageToDevice(page, 0, 0, fine, fine, 0, px, py, x, y)
        seen.append((x.value * width / fine, y.value * height / fine))
    o, a, b = (np.array(p) for p in seen)
    return np.stack([(a - o) / 100, (b - o) / 100, o], axis=1)


def _points(flip: Doubles, low: Doubles, high: Doubles) -> Floats:
    """Boxes (n, 4) left, top, right, bottom in view points of corner pairs in page space."""
    a = low @ flip[:, :2].T + flip[:, 2]
    b = high @ flip[:, :2].T + flip[:, 2]
    return np.concatenate([np.minimum(a, b), np.maximum(a, b)], axis=1).astype(np.float32)


def _characters(text: Any) -> tuple[list[tuple[float, ...]], list[bool]]:
    """Rows (code, em, left, right, is_upright, baseline) and whether a blank follows each."""
    rows: list[tuple[float, ...]] = []
    spaces: list[bool] = []
    group, place = 0, (np.nan, np.nan)
    for i in range(pdfium.FPDFText_CountChars(text)):
        code = int(pdfium.FPDFText_GetUnicode(text, i))
        plain = normalise_char(chr(code) if code < 0x110000 else chr(UNKNOWN))
        is_generated = pdfium.FPDFText_IsGenerated(text, i) == 1 and not pdfium.FPDFText_IsHyphen(
            text, i
        )
        if plain == " " or is_generated:
            group = 0
            spaces[-1:] = [True] * len(spaces[-1:])
            continue
        codes = [ord(c) for c in plain]
        em, left, right, is_upright, x, y = _shape(text, i)
        if group and (x, y) == place:  # several characters at one place: a ligature, spelt out
            codes = [int(r[0]) for r in rows[-group:]] + codes
            left, right = rows[-group][2], rows[-1][3]
            del rows[-group:], spaces[-group:]
        group, place, step = len(codes), (x, y), (right - left) / len(codes)
        rows += [
            (c, em, left + k * step, left + (k + 1) * step, is_upright, y)
            for k, c in enumerate(codes)
        ]
        spaces += [False] * group
    return rows, spaces


def _shape(text: Any, i: int) -> tuple[float, float, float, bool, float, float]:
    """em, left and right of the advance, is_upright, and the origin of character ``i``."""
    rect, matrix = pdfium.FS_RECTF(), pdfium.FS_MATRIX()
    x, y, left, right, low, high = (ctypes.c_double() for _ in range(6))
    pdfium.FPDFText_GetCharOrigin(text, i, x, y)
    pdfium.FPDFText_GetLooseCharBox(text, i, rect)
    pdfium.FPDFText_GetMatrix(text, i, matrix)
    em = pdfium.FPDFText_GetFontSize(text, i) * float(np.hypot(matrix.c, matrix.d))
    is_upright = abs(matrix.b) <= 0.02 * abs(matrix.a) and matrix.a > 0 and matrix.d > 0
    if rect.right > rect.left:
        return em, rect.left, rect.right, is_upright, x.value, y.value
    pdfium.FPDFText_GetCharBox(text, i, left, right, low, high)
    return em, left.value, right.value, is_upright, x.value, y.value


def _figures(page: Any) -> tuple[Doubles, Doubles]:
    """Lower left and upper right corners, (k, 2) each, of pictures of 6 pt and more."""
    sides = [ctypes.c_float() for _ in range(4)]
    found = []
    for item in page.get_objects(
        filter=(pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_SHADING), max_depth=8
    ):
        pdfium.FPDFPageObj_GetBounds(item, *sides)
        left, bottom, right, top = (side.value for side in sides)
        if right - left >= 6 and top - bottom >= 6:
            found.append((left, bottom, right, top))
    table = np.array(found, np.float64).reshape(len(found), 4)
    return table[:, :2], table[:, 2:]


def _links(
    code: NDArray[np.uint32], cell: Floats, base: Floats, em: Floats, spaces: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What follows each character: its word, a space, another cell, line or block."""
    n = len(code)
    link, brk = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    if n == 0:
        return link, brk
    size = np.maximum(em[:-1], em[1:])
    gap = cell[1:, 0] - cell[:-1, 1]
    is_same = (np.abs(base[1:] - base[:-1]) < 0.5 * size) & (gap > -0.6 * size)
    is_cell = is_same & (gap > CELL * size)
    link[:-1] = np.where(spaces[:-1] | (gap > 0.25 * size), SPACE, SAME_WORD)
    link[:-1][~is_same | is_cell] = END
    link[-1], brk[-1] = END, 2
    stops = [*(np.flatnonzero(~is_same) + 1).tolist(), n]
    starts = [0, *stops[:-1]]
    lines = [_Line.of(code, cell, base, em, a, b) for a, b in zip(starts, stops, strict=True)]
    pitch = _pitch(lines)
    for line, below in pairwise(lines):
        brk[line.stop - 1] = 1 if line.goes_on(below, pitch) else 2
    return link, brk


@dataclass(frozen=True, slots=True)
class _Line:
    stop: int
    left: float
    right: float
    base: float
    em: float
    has_bullet: bool

    @classmethod
    def of(
        cls, code: NDArray[np.uint32], cell: Floats, base: Floats, em: Floats, start: int, stop: int
    ) -> _Line:
        # sub- and superscripts stand aside from the line, so medians
        is_mark = chr(code[start]) in BULLETS and stop - start > 1
        has_bullet = is_mark and cell[start + 1, 0] - cell[start, 1] > 0.2 * em[start]
        return cls(
            stop,
            float(cell[start:stop, 0].min()),
            float(cell[start:stop, 1].max()),
            float(np.median(base[start:stop])),
            float(np.median(em[start:stop])),
            bool(has_bullet),
        )

    def step(self, below: _Line) -> float:
        """Pitch to the next line in em, or 0 where it is not a line below of the same size."""
        em = max(self.em, below.em)
        is_alike = 0.87 < self.em / max(below.em, 1e-3) < 1.15
        overlap = min(self.right, below.right) - max(self.left, below.left)
        return (below.base - self.base) / em if is_alike and overlap > 0 and em > 0 else 0.0

    def goes_on(self, below: _Line, pitch: float) -> bool:
        return 0.8 < self.step(below) < 1.22 * pitch and not below.has_bullet


def _pitch(lines: list[_Line]) -> float:
    steps = [s for a, b in pairwise(lines) if 0.9 < (s := a.step(b)) < 2.2]
    return float(np.clip(np.median(steps), 1.0, 1.7)) if steps else 1.3
