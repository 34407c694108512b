"""A page while it is being made: what is drawn, and where every character stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tilewise.synth.fonts import Face, advance, has_glyph, load_font

Colour = tuple[int, int, int]
Break = Literal["cell", "line", "block"]

SAME_WORD: Final = 0
SPACE: Final = 1
END: Final = 2

MIDDLE: Final = 0.35
"""Height of a line's middle above its baseline, in em: the same for every character of a line."""


@dataclass(frozen=True, slots=True, eq=False)
class Glyphs:
    """Every visible character of a page, in reading order.

    Arrays of length n: ``code`` (uint32 code point), ``x`` and ``y`` (float32, centre of the
    advance and middle of the line, px), ``height`` (float32, px per em), ``width`` (float32,
    advance, px), ``link`` (uint8: what follows the character: SAME_WORD, SPACE or END of its run),
    ``brk`` (uint8, with END only: 0 next run is a cell of the same line, 1 next line of the
    block, 2 another block).
    """

    code: NDArray[np.uint32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    height: NDArray[np.float32]
    width: NDArray[np.float32]
    link: NDArray[np.uint8]
    brk: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.code)

    def text(self) -> str:
        """All text: spaces within runs and between cells, newlines between lines."""
        ends = (" ", "\n", "\n")
        parts: list[str] = []
        for code, link, brk in zip(self.code, self.link, self.brk, strict=True):
            parts.append(chr(code))
            if link == SPACE:
                parts.append(" ")
            elif link == END:
                parts.append(ends[brk])
        return "".join(parts).rstrip("\n ")

    def moved(self, scale: float, dx: float, dy: float, turn: float = 0.0) -> Glyphs:
        """Glyphs after a turn by ``turn`` radians about the origin, scaling, and a shift."""
        c, s = np.float32(np.cos(turn) * scale), np.float32(np.sin(turn) * scale)
        return Glyphs(
            self.code,
            c * self.x - s * self.y + np.float32(dx),
            s * self.x + c * self.y + np.float32(dy),
            self.height * np.float32(scale),
            self.width * np.float32(scale),
            self.link,
            self.brk,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """Characters [start, stop) set by one ``Sheet.text``; ``right`` is the pen's x after them."""

    start: int
    stop: int
    right: float


@dataclass(slots=True)
class Sheet:
    """A page of ``width`` × ``height`` px that records what is set on it; drawn only on demand."""

    width: int
    height: int
    paper: Colour = (255, 255, 255)
    _ops: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)
    _glyphs: list[tuple[int, float, float, float, float, int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._glyphs)

    def text(
        self, x: float, baseline: float, text: str, face: Face | None, size: int, ink: Colour
    ) -> Run:
        """Set one line of text with its pen at (x, baseline); returns its characters."""
        text = "".join(c for c in text if has_glyph(face, c))
        start, pen = len(self._glyphs), float(x)
        middle = baseline - MIDDLE * size
        for char in text:
            step = advance(face, size, char)
            if char != " ":
                self._glyphs.append((ord(char), pen + step / 2, middle, size, step, SAME_WORD, 0))
            elif len(self._glyphs) > start:
                self._mark(SPACE)
            pen += step
        if len(self._glyphs) > start:
            self._mark(END)
            self._ops.append(("text", (x, baseline, text, face, size, ink)))
        return Run(start, len(self._glyphs), pen)

    def _mark(self, link: int, brk: int = 1) -> None:
        code, x, y, height, width, _, _ = self._glyphs[-1]
        self._glyphs[-1] = (code, x, y, height, width, link, brk if link == END else 0)

    def break_after(self, run: Run, kind: Break) -> None:
        """Say what follows a run: another cell of its line, a line of its block, another block."""
        if run.stop > run.start:
            last = self._glyphs[run.stop - 1]
            brk = {"cell": 0, "line": 1, "block": 2}[kind]
            self._glyphs[run.stop - 1] = (*last[:5], END, brk)

    def line(self, x0: float, y0: float, x1: float, y1: float, ink: Colour, width: int = 1) -> None:
        """Draw a rule."""
        self._ops.append(("line", (x0, y0, x1, y1, ink, width)))

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: Colour | None,
        edge: Colour | None = None,
    ) -> None:
        """Draw a rectangle."""
        self._ops.append(("rect", (x0, y0, x1, y1, fill, edge)))

    def polyline(self, points: list[tuple[float, float]], ink: Colour, width: int) -> None:
        """Draw a chain of lines."""
        self._ops.append(("polyline", (points, ink, width)))

    def pie(
        self, box: tuple[float, ...], start: float, end: float, fill: Colour, edge: Colour
    ) -> None:
        """Draw a slice of a pie, angles in degrees clockwise from three o'clock."""
        self._ops.append(("pie", (box, start, end, fill, edge)))

    def ellipse(self, box: tuple[float, ...], fill: Colour | None, edge: Colour | None) -> None:
        """Draw an ellipse."""
        self._ops.append(("ellipse", (box, fill, edge)))

    def glyphs(self) -> Glyphs:
        """Where every character stands."""
        rows = self._glyphs
        table = np.array([r[1:5] for r in rows], np.float32).reshape(len(rows), 4)
        return Glyphs(
            np.array([r[0] for r in rows], np.uint32),
            table[:, 0], table[:, 1], table[:, 2], table[:, 3],
            np.array([r[5] for r in rows], np.uint8),
            np.array([r[6] for r in rows], np.uint8),
        )  # fmt: skip

    def render(self, zoom: int = 1) -> NDArray[np.uint8]:
        """The picture, uint8 RGB (zoom * height, zoom * width, 3), type set anew at its size."""
        image = Image.new("RGB", (zoom * self.width, zoom * self.height), self.paper)
        draw = ImageDraw.Draw(image)
        for name, args in self._ops:
            _DRAW[name](draw, *(args if zoom == 1 else _zoomed(name, args, zoom)))
        return np.asarray(image)


def _zoomed(name: str, args: tuple[object, ...], zoom: int) -> tuple[object, ...]:
    """What is drawn, with lengths times ``zoom``; colours, angles and texts stay."""
    places = _LENGTHS[name]
    return tuple(_times(arg, zoom) if n in places else arg for n, arg in enumerate(args))


def _times(length: object, zoom: int) -> object:
    if isinstance(length, (list, tuple)):
        return type(length)(_times(part, zoom) for part in length)
    assert isinstance(length, (int, float))
    return length * zoom


def _draw_text(
    draw: ImageDraw.ImageDraw,
    x: float,
    baseline: float,
    text: str,
    face: Face | None,
    size: int,
    ink: Colour,
) -> None:
    draw.text((x, baseline), text, fill=ink, font=load_font(face, size), anchor="ls")


def _draw_line(
    draw: ImageDraw.ImageDraw, x0: float, y0: float, x1: float, y1: float, ink: Colour, width: int
) -> None:
    draw.line((x0, y0, x1, y1), fill=ink, width=width)


def _draw_rect(
    draw: ImageDraw.ImageDraw,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    fill: Colour | None,
    edge: Colour | None,
) -> None:
    if x1 > x0 and y1 > y0:
        draw.rectangle((x0, y0, x1, y1), fill=fill, outline=edge)


def _draw_polyline(
    draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], ink: Colour, width: int
) -> None:
    draw.line(points, fill=ink, width=width, joint="curve")


def _draw_pie(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    start: float,
    end: float,
    fill: Colour,
    edge: Colour,
) -> None:
    draw.pieslice(box, start, end, fill=fill, outline=edge)


def _draw_ellipse(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    fill: Colour | None,
    edge: Colour | None,
) -> None:
    draw.ellipse(box, fill=fill, outline=edge)


_DRAW: Final[dict[str, Callable[..., None]]] = {
    "text": _draw_text,
    "line": _draw_line,
    "rect": _draw_rect,
    "polyline": _draw_polyline,
    "pie": _draw_pie,
    "ellipse": _draw_ellipse,
}

_LENGTHS: Final[dict[str, tuple[int, ...]]] = {
    "text": (0, 1, 4),
    "line": (0, 1, 2, 3, 5),
    "rect": (0, 1, 2, 3),
    "polyline": (0, 2),
    "pie": (0,),
    "ellipse": (0,),
}
"""Which arguments of these are lengths or places."""
