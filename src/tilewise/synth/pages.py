"""Whole pages from a seed: invoices, forms, letters, reports, posters, charts, screenshots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from tilewise.synth import words
from tilewise.synth.blocks import Pen, Style, heading, paragraph, title
from tilewise.synth.charts import chart, figures
from tilewise.synth.facts import Facts
from tilewise.synth.fonts import Split, advance, faces, pick_face
from tilewise.synth.pairs import pairs
from tilewise.synth.sheet import Colour, Run, Sheet
from tilewise.synth.tables import charted_table, table

Block = Callable[[Pen, Style], None]

TILE: Final = 336


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A page that was made: what it shows, what it states, which layout it has."""

    sheet: Sheet
    facts: Facts
    layout: str


def make_page(
    rng: Random,
    split: Split = "train",
    *,
    max_tiles: int = 16,
    unseen_font: bool = False,
    layouts: tuple[str, ...] = (),
    size: tuple[int, int] | None = None,
) -> Made:
    """Make one page of ``size`` px, or of at most about ``max_tiles`` tiles of 336 px."""
    known = LAYOUTS if split == "train" else LAYOUTS | UNSEEN_LAYOUTS
    layout = rng.choice(layouts or tuple(known))
    width, height = size or _size(rng, max_tiles)
    style = _style(rng, width, height, unseen_font=unseen_font)
    sheet = Sheet(width, height, _paper(rng, style))
    facts = Facts()
    margin = rng.uniform(0.4, 1.6) * style.size
    pen = Pen(sheet, facts, rng, split, margin, width - margin, margin, height - margin)
    known[layout](pen, style)
    if len(sheet) == 0:
        paragraph(pen, style)
    return Made(sheet, facts, layout)


def _size(rng: Random, max_tiles: int) -> tuple[int, int]:
    """A page shape: small and large alike, from a strip to a sheet."""
    tiles = min(max_tiles, rng.choice((1, 1, 1, 2, 2, 3, 4, 4, 6, 9, 12, 16)))
    area = tiles * TILE * TILE * rng.uniform(0.55, 1.0)
    ratio = rng.choice((0.707, 0.77, 1.0, 1.0, 1.33, 1.414, 1.78, 2.4, 0.5))
    width = (area * ratio) ** 0.5
    return max(200, round(width)), max(160, round(area / width))


def _style(rng: Random, width: int, height: int, *, unseen_font: bool) -> Style:
    face = pick_face(
        rng, "test" if unseen_font and faces("test") else "train", allow_italic=rng.random() < 0.25
    )
    family = [
        f for f in faces("test" if unseen_font else "train") if face and f.family == face.family
    ]
    bold = next((f for f in family if f.is_bold and not f.is_italic), face)
    largest = max(12.0, min(60.0, width / 14, height / 5))
    size = round(min(largest, 12 + rng.expovariate(1 / 8)))
    if rng.random() < 0.22:
        size = round(rng.uniform(size, largest))
    dark = tuple(rng.randint(0, 70) for _ in range(3))
    accent = tuple(rng.randint(0, 140) for _ in range(3))
    ink: Colour = (dark[0], dark[1], dark[2])
    style = Style(
        face=face, bold=bold, size=size, lead=rng.uniform(1.22, 1.9), ink=ink,
        accent=(accent[0], accent[1], accent[2]) if rng.random() < 0.4 else ink,
        soft=(rng.choice((200, 215, 228, 236)),) * 3,
    )  # fmt: skip
    return style


def _paper(rng: Random, style: Style) -> Colour:
    if rng.random() < 0.7:
        return (255, 255, 255)
    return (rng.randint(225, 255), rng.randint(225, 255), rng.randint(220, 255))


def _fill(pen: Pen, style: Style, blocks: tuple[Block, ...], limit: int = 30) -> None:
    """Set blocks until the column is full or one finds no room."""
    for _ in range(limit):
        if pen.room(style) < 3:
            break
        before = pen.y
        pen.rng.choice(blocks)(pen, style)
        if pen.y == before:
            pen.y += style.pitch
        if pen.rng.random() < 0.04:
            break


def _maybe_title(pen: Pen, style: Style, chance: float = 0.8) -> None:
    if pen.facts.title is None and pen.rng.random() < chance and pen.room(style) > 4:
        title(pen, style)


def _mixed(pen: Pen, style: Style) -> None:
    _maybe_title(pen, style)
    _fill(pen, style, (pairs, pairs, table, paragraph, heading))


def _letter(pen: Pen, style: Style) -> None:
    if pen.rng.random() < 0.5 and pen.room(style) > 8:
        for _ in range(pen.rng.randint(2, 3)):
            pen.y += style.pitch
            run = pen.sheet.text(
                pen.left,
                pen.y - 0.3 * style.pitch,
                words.name(pen.rng, pen.split, 2),
                style.face,
                style.size,
                style.ink,
            )
            pen.facts.lines.append((run.start, run.stop))
        pen.sheet.break_after(run, "block")
        pen.y += style.pitch
    _maybe_title(pen, style)
    _fill(pen, style, (paragraph, paragraph, paragraph, pairs))


def _invoice(pen: Pen, style: Style) -> None:
    _maybe_title(pen, style, 0.95)
    pairs(pen, style)
    table(pen, style)
    pairs(pen, style)
    _fill(pen, style, (pairs, paragraph), 3)


def _form(pen: Pen, style: Style) -> None:
    _maybe_title(pen, style)
    _fill(pen, style, (pairs, pairs, pairs, heading))


def _tables(pen: Pen, style: Style) -> None:
    _maybe_title(pen, style)
    _fill(pen, style, (table, table, paragraph, heading))


def _charts(pen: Pen, style: Style) -> None:
    _maybe_title(pen, style)
    if pen.rng.random() < 0.5:  # one chart alone: only then is there one highest
        chart(pen, style)
        return _fill(pen, style, (paragraph, pairs), 3)
    return _fill(pen, style, (table, chart, chart, paragraph, pairs), 4)


def _sheet(pen: Pen, style: Style) -> None:
    """A spreadsheet: a table and the chart of one of its columns, the same words in both."""
    _maybe_title(pen, style)
    charted_table(pen, style, figures(pen, min(8, pen.room(style) // 3)))
    chart(pen, style)
    _fill(pen, style, (pairs, paragraph), 2)


def _columns(pen: Pen, style: Style) -> None:
    """Running text in columns side by side, each read to its end before the next."""
    rng = pen.rng
    _maybe_title(pen, style)
    count = min(rng.randint(2, 3), int(pen.width / (style.size * 16)))
    if count < 2:
        return _letter(pen, style)
    pen.facts.is_single_flow = False
    gap = style.size * rng.uniform(1.6, 3.0)
    step = (pen.width + gap) / count
    top = pen.y
    for c in range(count):
        left = pen.left + c * step
        column = Pen(pen.sheet, pen.facts, rng, pen.split, left, left + step - gap, top, pen.bottom)
        _fill(column, style, (paragraph, paragraph, paragraph, heading))


def _poster(pen: Pen, style: Style) -> None:
    """A wide banner over panels of all kinds."""
    rng = pen.rng
    _maybe_title(pen, style, 0.95)
    count = min(rng.randint(2, 4), int(pen.width / (style.size * 15)))
    if count < 2:
        return _mixed(pen, style)
    pen.facts.is_single_flow = False
    gap = style.size * rng.uniform(1.8, 3.0)
    step = (pen.width + gap) / count
    top, is_boxed = pen.y + style.size * 0.5, rng.random() < 0.5
    for c in range(count):
        left = pen.left + c * step
        panel = Pen(pen.sheet, pen.facts, rng, pen.split, left, left + step - gap, top, pen.bottom)
        if is_boxed:
            pen.sheet.rect(
                left - gap * 0.3, top, left + step - gap * 0.7, pen.bottom, None, style.soft
            )
        heading(panel, style)
        _fill(panel, style, (paragraph, pairs, table, chart), 5)


def _screenshot(pen: Pen, style: Style) -> None:
    """A program's window: a bar of menu words, a list on the left, content on the right."""
    rng, sheet = pen.rng, pen.sheet
    pen.facts.is_single_flow = False
    bar = style.pitch * 1.3
    sheet.rect(0, 0, sheet.width, bar, style.soft)
    x, runs = pen.left, []
    for word in rng.sample(
        ("File", "Edit", "View", "Insert", "Format", "Tools", "Window", "Help", "Search"),
        rng.randint(3, 6),
    ):
        if x + advance(style.face, style.size, word) > pen.right:
            break
        runs.append(sheet.text(x, bar * 0.68, word, style.face, style.size, style.ink))
        x = runs[-1].right + style.size * 1.4
    for run in runs[:-1]:
        sheet.break_after(run, "cell")
    sheet.break_after(Run(0, len(sheet), 0.0), "block")
    pen.y = bar + style.size * 0.6
    side = style.size * 9
    if pen.width > style.size * 26 and rng.random() < 0.6:
        sheet.line(pen.left + side, bar, pen.left + side, sheet.height, style.soft)
        column = Pen(sheet, pen.facts, rng, pen.split, pen.left, pen.left + side, pen.y, pen.bottom)
        for _ in range(min(column.room(style) - 1, rng.randint(2, 8))):
            column.y += style.pitch * 1.2
            run = sheet.text(
                column.left,
                column.y - 0.4 * style.pitch,
                words.name(rng, pen.split, 1),
                style.face,
                style.size,
                style.ink,
            )
            sheet.break_after(run, "line")
        sheet.break_after(Run(0, len(sheet), 0.0), "block")
        pen.left += side + style.size * 1.5
    _maybe_title(pen, style)
    _fill(pen, style, (pairs, pairs, table, paragraph, chart))


LAYOUTS: Final[dict[str, Block]] = {
    "mixed": _mixed,
    "letter": _letter,
    "invoice": _invoice,
    "form": _form,
    "tables": _tables,
    "charts": _charts,
    "sheet": _sheet,
    "columns": _columns,
    "poster": _poster,
    "screenshot": _screenshot,
}


def _receipt(pen: Pen, style: Style) -> None:
    """Labels and values, then a table, then more of both, with rules between and no heading."""
    for block in (pairs, table, pairs, pairs):
        if pen.room(style) < 3:
            break
        block(pen, style)
        pen.sheet.line(pen.left, pen.y, pen.right, pen.y, style.ink, 2)
        pen.y += style.size * 0.6


def _dashboard(pen: Pen, style: Style) -> None:
    """A chart over two panels of labels and values."""
    _maybe_title(pen, style)
    chart(pen, style)
    if pen.width < style.size * 30:
        return _fill(pen, style, (pairs,), 2)
    pen.facts.is_single_flow = False
    middle, gap = (pen.left + pen.right) / 2, style.size * 1.5
    for left, right in ((pen.left, middle - gap), (middle + gap, pen.right)):
        panel = Pen(pen.sheet, pen.facts, pen.rng, pen.split, left, right, pen.y, pen.bottom)
        heading(panel, style)
        _fill(panel, style, (pairs, table), 2)


UNSEEN_LAYOUTS: Final[dict[str, Block]] = {"receipt": _receipt, "dashboard": _dashboard}
"""Layouts that only test pages have."""
