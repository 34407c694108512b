"""Parts of a page: a pen, titles, headings and running text. Each sets itself at the pen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tilewise.synth import words
from tilewise.synth.facts import Facts
from tilewise.synth.fonts import Face, Split, advance
from tilewise.synth.sheet import Colour, Run, Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a page is set; ``size`` is px per em, ``lead`` line pitch in em."""

    face: Face | None
    bold: Face | None
    size: int
    lead: float
    ink: Colour
    accent: Colour
    soft: Colour

    @property
    def pitch(self) -> float:
        """Distance of two baselines in px."""
        return self.size * self.lead


@dataclass(slots=True)
class Pen:
    """Where the next block goes: a column from ``left`` to ``right``, filled down to ``bottom``."""

    sheet: Sheet
    facts: Facts
    rng: Random
    split: Split
    left: float
    right: float
    y: float
    bottom: float

    @property
    def width(self) -> float:
        """Width of the column in px."""
        return self.right - self.left

    def room(self, style: Style) -> int:
        """Lines that still fit."""
        return int((self.bottom - self.y) / style.pitch)


def fresh(pen: Pen, make: Callable[[Random, Split], str]) -> str:
    """A label whose words, as a whole, no other label of the page has."""
    for _ in range(50):
        text = make(pen.rng, pen.split)
        if text.lower() not in pen.facts.used:
            break
    pen.facts.used.add(text.lower())
    return text


def fit(text: str, face: Face | None, size: int, room: float) -> str:
    """Leave out words at the end until ``text`` fits into ``room`` px."""
    parts = text.split(" ")
    while len(parts) > 1 and advance(face, size, " ".join(parts)) > room:
        parts.pop()
    return " ".join(parts)


def title(pen: Pen, style: Style) -> None:
    """A heading larger than all else, on one or two lines, left or centred."""
    rng = pen.rng
    size = min(72, max(style.size + 4, round(style.size * rng.uniform(1.3, 2.3))))
    face = style.bold if rng.random() < 0.6 else style.face
    ink = style.accent if rng.random() < 0.3 else style.ink
    text = words.title(rng, pen.split)
    lines = wrap(text, face, size, pen.width)[:2]
    while any(advance(face, size, line) > pen.width for line in lines) and size > style.size + 2:
        size -= 2
    is_centred = rng.random() < 0.4
    start = len(pen.sheet)
    run = Run(start, start, pen.left)
    for line in lines:
        pen.y += size * 1.25
        x = pen.left + (pen.width - advance(face, size, line)) / 2 if is_centred else pen.left
        run = pen.sheet.text(max(pen.left, x), pen.y - size * 0.25, line, face, size, ink)
        pen.facts.lines.append((run.start, run.stop))
    pen.sheet.break_after(run, "block")
    pen.facts.title = Run(start, run.stop, run.right)
    if not is_centred and rng.random() < 0.3:
        _beside(pen, style, run.right + style.size * 2, pen.y - size * 0.25)
    if rng.random() < 0.2:
        pen.sheet.line(pen.left, pen.y + 4, pen.right, pen.y + 4, ink, rng.choice((1, 2, 3)))
        pen.y += 6
    pen.y += style.size * rng.uniform(0.4, 1.2)


def _beside(pen: Pen, style: Style, left: float, base: float) -> None:
    """A sender or a date in plain type on the right of a title, at its height and below."""
    makers = (words.name, words.value, words.value)
    for _ in range(pen.rng.randint(1, 3)):
        text = pen.rng.choice(makers)(pen.rng, pen.split)
        room = pen.right - left
        if advance(style.face, style.size, text) > room or base > pen.bottom:
            break
        x = pen.right - advance(style.face, style.size, text)
        run = pen.sheet.text(x, base, text, style.face, style.size, style.ink)
        pen.sheet.break_after(run, "block")
        pen.facts.is_single_flow = pen.facts.has_one_order = False
        base += style.pitch
    pen.y = max(pen.y, base - style.pitch + style.size * 0.3)


def heading(pen: Pen, style: Style) -> None:
    """A smaller heading inside the page."""
    size = min(60, round(style.size * pen.rng.uniform(1.05, 1.25)))
    text = fit(words.title(pen.rng, pen.split), style.bold, size, pen.width)
    pen.y += size * 1.3
    run = pen.sheet.text(pen.left, pen.y - size * 0.3, text, style.bold, size, style.accent)
    pen.sheet.break_after(run, "block")
    pen.facts.lines.append((run.start, run.stop))
    pen.y += style.size * 0.2


def wrap(text: str, face: Face | None, size: int, room: float) -> list[str]:
    """Break text into lines of at most ``room`` px, by words."""
    lines: list[str] = []
    line, used = "", 0.0
    space = advance(face, size, " ")
    for word in text.split(" "):
        step = sum(advance(face, size, c) for c in word)
        if line and used + space + step > room:
            lines.append(line)
            line, used = word, step
        else:
            used += (space if line else 0.0) + step
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def paragraph(pen: Pen, style: Style) -> None:
    """Running text; its characters are kept for what-comes-after questions."""
    rng = pen.rng
    room = pen.room(style)
    if room < 2:
        return
    text = " ".join(words.sentence(rng, pen.split) for _ in range(rng.randint(1, 6)))
    lines = [
        x
        for x in wrap(text, style.face, style.size, pen.width)
        if advance(style.face, style.size, x) <= pen.width
    ]
    lines = lines[: min(room - 1, rng.randint(2, 9))]
    bullet = rng.random() < 0.12
    indent = style.size * 1.2 if bullet else 0.0
    if bullet:
        lines = [fit(x, style.face, style.size, pen.width - indent) for x in lines]
    start = len(pen.sheet)
    run = Run(start, start, pen.left)
    for line in lines:
        pen.y += style.pitch
        text_line = f"• {line}" if bullet else line
        run = pen.sheet.text(
            pen.left, pen.y - 0.3 * style.pitch, text_line, style.face, style.size, style.ink
        )
        if bullet:
            pen.sheet.break_after(run, "block")
            pen.facts.prose.append((run.start, run.stop))
        pen.facts.lines.append((run.start, run.stop))
    pen.sheet.break_after(run, "block")
    if not bullet:
        pen.facts.prose.append((start, run.stop))
    pen.y += style.pitch * rng.uniform(0.3, 1.0)
