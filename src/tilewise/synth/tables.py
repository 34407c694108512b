"""Tables with a head row and row names."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from tilewise.synth import words
from tilewise.synth.blocks import Pen, Style, fit, fresh
from tilewise.synth.facts import Figures, Table
from tilewise.synth.fonts import Split, advance
from tilewise.synth.sheet import Run

CELL_MAKERS: Final = (words.number, words.number, words.amount, words.code, words.date)


def table(pen: Pen, style: Style) -> None:
    """A table with a head row and row names; ruled, striped or plain."""
    _table(pen, style, None)


def charted_table(pen: Pen, style: Style, figures: Figures) -> None:
    """A table of which one column holds figures for a chart, as a spreadsheet has it."""
    if _table(pen, style, figures):
        pen.facts.tabled = figures


def _table(pen: Pen, style: Style, figures: Figures | None) -> bool:
    """Set a table, with figures in one column if given; False where there is no room."""
    rng = pen.rng
    count = min(rng.randint(2, 6), max(2, int(pen.width / (style.size * 6))))
    most = pen.room(style) - 2
    if most < (len(figures.labels) if figures else 2):
        return False
    names = [
        fresh(pen, lambda r, s: r.choice(words.HEADS)),
        *(fresh(pen, _column) for _ in range(count - 1)),
    ]
    rows = (
        list(figures.labels)
        if figures
        else [fresh(pen, _row_name) for _ in range(min(most, rng.randint(2, 12)))]
    )
    weights = [rng.uniform(1.2, 2.2), *(rng.uniform(0.8, 1.4) for _ in names[1:])]
    xs = [pen.left + pen.width * sum(weights[:i]) / sum(weights) for i in range(count + 1)]
    names = [
        fit(n, style.bold, style.size, xs[i + 1] - xs[i] - style.size) for i, n in enumerate(names)
    ]
    makers = [rng.choice(CELL_MAKERS) for _ in names]
    grid = [[fit(r, style.face, style.size, xs[1] - xs[0] - style.size)] for r in rows]
    for row in grid:
        row += [
            _cell(pen, makers[i], style, xs[i + 1] - xs[i] - style.size * 0.8)
            for i in range(1, count)
        ]
    if figures:
        at = rng.randint(1, count - 1)
        for row, shown in zip(grid, figures.shown, strict=True):
            row[at] = fit(shown, style.face, style.size, xs[at + 1] - xs[at] - style.size * 0.8)
    if len({n.lower() for n in names}) < count or len({r[0].lower() for r in grid}) < len(rows):
        return False
    runs = _set_table(pen, style, xs, [names, *grid])
    pen.facts.tables.append(
        Table(
            names[0],
            tuple(names[1:]),
            tuple(r[0] for r in grid),
            tuple(tuple(r[1:]) for r in runs[1:]),
        )
    )
    pen.y += style.pitch * rng.uniform(0.4, 1.2)
    return True


def _column(rng: Random, split: Split) -> str:
    return rng.choice(words.COLUMNS) if rng.random() < 0.75 else words.name(rng, split, 1)


def _row_name(rng: Random, split: Split) -> str:
    return words.name(rng, split, rng.choice((1, 1, 2, 2, 3)))


def _cell(pen: Pen, maker: Callable[[Random], str], style: Style, room: float) -> str:
    for _ in range(12):
        text = maker(pen.rng)
        if advance(style.face, style.size, text) <= room:
            return text
    return str(pen.rng.randint(0, 99))


def _set_table(pen: Pen, style: Style, xs: list[float], cells: list[list[str]]) -> list[list[Run]]:
    rng = pen.rng
    look = rng.choice(("plain", "head", "rows", "full", "stripes"))
    is_right = [False, *(rng.random() < 0.5 for _ in cells[0][1:])]
    top, pad, runs = pen.y, style.size * 0.35, []
    pitch = style.pitch * rng.uniform(1.0, 1.25)
    for r, row in enumerate(cells):
        face = style.bold if r == 0 else style.face
        if look == "stripes" and r % 2 == 0:
            pen.sheet.rect(pen.left, pen.y, pen.right, pen.y + pitch, style.soft)
        pen.y += pitch
        base = pen.y - 0.33 * pitch
        line: list[Run] = []
        for c, text in enumerate(row):
            x = xs[c] + pad
            if is_right[c]:
                x = xs[c + 1] - pad - advance(face, style.size, text)
            line.append(pen.sheet.text(x, base, text, face, style.size, style.ink))
        for run in line[:-1]:
            pen.sheet.break_after(run, "cell")
        runs.append(line)
        pen.facts.lines.append((line[0].start, line[-1].stop))
        if look in {"rows", "full"} or (look == "head" and r == 0):
            pen.sheet.line(
                pen.left, pen.y, pen.right, pen.y, style.ink if look == "full" else style.accent
            )
    pen.sheet.break_after(runs[-1][-1], "block")
    if look == "full":
        for x in xs:
            pen.sheet.line(x, top, x, pen.y, style.ink)
        pen.sheet.line(pen.left, top, pen.right, top, style.ink)
    return runs
