"""Parts of a page: titles, labels with values, tables, running text. Each sets itself at a pen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tilewise.synth import words
from tilewise.synth.facts import Facts, Pair, Table
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
    if rng.random() < 0.2:
        pen.sheet.line(pen.left, pen.y + 4, pen.right, pen.y + 4, ink, rng.choice((1, 2, 3)))
        pen.y += 6
    pen.y += style.size * rng.uniform(0.4, 1.2)


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
    lines = [x for x in wrap(text, style.face, style.size, pen.width) if advance(style.face, style.size, x) <= pen.width]
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
        run = pen.sheet.text(pen.left, pen.y - 0.3 * style.pitch, text_line, style.face, style.size, style.ink)
        if bullet:
            pen.sheet.break_after(run, "block")
            pen.facts.prose.append((run.start, run.stop))
        pen.facts.lines.append((run.start, run.stop))
    pen.sheet.break_after(run, "block")
    if not bullet:
        pen.facts.prose.append((start, run.stop))
    pen.y += style.pitch * rng.uniform(0.3, 1.0)


def pairs(pen: Pen, style: Style) -> None:
    """Labels with values, in one of the ways that forms and invoices print them."""
    maker = pen.rng.choice((_inline, _inline, _inline, _aligned, _aligned, _leaders, _boxes, _boxes, _sides))
    maker(pen, style)
    pen.y += style.pitch * pen.rng.uniform(0.3, 1.0)


def _rows(pen: Pen, style: Style, most: int = 8) -> int:
    return max(0, min(pen.room(style) - 1, pen.rng.randint(2, most)))


def _value(pen: Pen, face: Face | None, size: int, room: float) -> str:
    for _ in range(20):
        text = words.value(pen.rng, pen.split)
        if advance(face, size, text) <= room:
            return text
    return words.code(pen.rng)[:4]


def _keep(pen: Pen, label: str, run: Run, label_run: Run) -> None:
    if run.stop > run.start and label_run.stop > label_run.start:
        pen.facts.pairs.append(Pair(label, run))


def _inline(pen: Pen, style: Style) -> None:
    """Label: value, one a line."""
    mark = pen.rng.choice((":", ":", ":", ":", " :", " -", " =", " -"))
    is_bold = pen.rng.random() < 0.4
    for _ in range(_rows(pen, style)):
        label = fresh(pen, words.key)
        face = style.bold if is_bold else style.face
        text = fit(label, face, style.size, pen.width * 0.6)
        if text != label:
            continue
        pen.y += style.pitch
        base = pen.y - 0.3 * style.pitch
        value_x = pen.left + advance(face, style.size, f"{label}{mark} ")
        value = _value(pen, style.face, style.size, pen.right - value_x)
        if is_bold:
            key_run = pen.sheet.text(pen.left, base, label + mark, face, style.size, style.ink)
            pen.sheet._mark(1)
            run = pen.sheet.text(key_run.right + advance(face, style.size, " "), base, value, style.face, style.size, style.ink)
            first = run.start
        else:
            key_run = pen.sheet.text(pen.left, base, f"{label}{mark} {value}", style.face, style.size, style.ink)
            run = key_run
            first = run.start + len((label + mark).replace(" ", ""))
        pen.facts.lines.append((key_run.start, run.stop))
        _keep(pen, label, Run(first, run.stop, run.right), key_run)
    pen.sheet.break_after(Run(0, len(pen.sheet), 0.0), "block")


def _aligned(pen: Pen, style: Style) -> None:
    """Labels in one column, values in another, left or right aligned."""
    rng = pen.rng
    split_at = pen.left + pen.width * rng.uniform(0.4, 0.6)
    is_right = rng.random() < 0.35
    mark = rng.choice(("", "", ":"))
    is_ruled = rng.random() < 0.3
    for _ in range(_rows(pen, style)):
        label = fresh(pen, words.key)
        if advance(style.face, style.size, label + mark) > split_at - pen.left - style.size:
            continue
        pen.y += style.pitch
        base = pen.y - 0.3 * style.pitch
        value = _value(pen, style.face, style.size, pen.right - split_at)
        key_run = pen.sheet.text(pen.left, base, label + mark, style.face, style.size, style.ink)
        pen.sheet.break_after(key_run, "cell")
        x = pen.right - advance(style.face, style.size, value) if is_right else split_at
        run = pen.sheet.text(x, base, value, style.bold if rng.random() < 0.2 else style.face, style.size, style.ink)
        pen.facts.lines.append((key_run.start, run.stop))
        if is_ruled:
            pen.sheet.line(pen.left, pen.y, pen.right, pen.y, style.soft)
        _keep(pen, label, run, key_run)
    pen.sheet.break_after(Run(0, len(pen.sheet), 0.0), "block")


def _leaders(pen: Pen, style: Style) -> None:
    """Label ..... value."""
    dot = advance(style.face, style.size, ".")
    for _ in range(_rows(pen, style, 6)):
        label = fresh(pen, words.key)
        value = _value(pen, style.face, style.size, pen.width * 0.4)
        x = pen.right - advance(style.face, style.size, value)
        gap = x - pen.left - advance(style.face, style.size, f"{label}  ") - dot
        if gap < 4 * dot:
            continue
        pen.y += style.pitch
        base = pen.y - 0.3 * style.pitch
        dots = "." * int(gap / dot)
        key_run = pen.sheet.text(pen.left, base, f"{label} {dots}", style.face, style.size, style.ink)
        pen.sheet._mark(1)
        run = pen.sheet.text(x, base, value, style.face, style.size, style.ink)
        pen.facts.lines.append((key_run.start, run.stop))
        _keep(pen, label, run, key_run)
    pen.sheet.break_after(Run(0, len(pen.sheet), 0.0), "block")


def _boxes(pen: Pen, style: Style) -> None:
    """A form: small labels above their values, in ruled fields side by side."""
    rng = pen.rng
    small = replace(style, size=max(10, round(style.size * rng.uniform(0.75, 1.0))))
    columns = max(1, min(rng.randint(1, 4), int(pen.width / (style.size * 9))))
    step = pen.width / columns
    tall = small.size * 1.3 + style.size * 1.5
    is_ruled = rng.random() < 0.6
    for _ in range(rng.randint(1, 3)):
        if pen.y + tall > pen.bottom - style.size:
            break
        drawn: list[tuple[float, str, str]] = []
        for c in range(columns):
            x = pen.left + c * step
            label = fresh(pen, words.key)
            if advance(small.face, small.size, label) > step - style.size:
                continue
            drawn.append((x, label, _value(pen, style.face, style.size, step - style.size)))
        if not drawn:
            continue
        top, pad = pen.y, (style.size * 0.3 if is_ruled else 0.0)
        keys = [
            pen.sheet.text(x + pad, top + small.size * 1.1, label, small.face, small.size, style.accent)
            for x, label, _ in drawn
        ]
        values = [
            pen.sheet.text(x + pad, top + small.size * 1.2 + style.size * 1.15, value, style.face, style.size, style.ink)
            for x, _, value in drawn
        ]
        for row in (keys, values):
            for run in row[:-1]:
                pen.sheet.break_after(run, "cell")
            pen.facts.lines.append((row[0].start, row[-1].stop))
        for (x, label, _), key_run, run in zip(drawn, keys, values, strict=True):
            if is_ruled:
                pen.sheet.rect(x, top, x + step - 2, top + tall, None, style.soft)
            _keep(pen, label, run, key_run)
        pen.y = top + tall + style.size * 0.3
    pen.sheet.break_after(Run(0, len(pen.sheet), 0.0), "block")


def _sides(pen: Pen, style: Style) -> None:
    """Two label-value pairs a line."""
    half = pen.width / 2
    if half < style.size * 12:
        return _inline(pen, style)
    mark = pen.rng.choice((":", ":", " :"))
    for _ in range(_rows(pen, style, 5)):
        keys = [fresh(pen, words.key) for _ in range(2)]
        room = [half - style.size * 1.5 - advance(style.face, style.size, f"{k}{mark} ") for k in keys]
        if min(room) < style.size * 3:
            continue
        pen.y += style.pitch
        base = pen.y - 0.3 * style.pitch
        runs: list[Run] = []
        for i, label in enumerate(keys):
            value = _value(pen, style.face, style.size, room[i])
            run = pen.sheet.text(pen.left + i * half, base, f"{label}{mark} {value}", style.face, style.size, style.ink)
            runs.append(run)
            first = run.start + len((label + mark).replace(" ", ""))
            _keep(pen, label, Run(first, run.stop, run.right), run)
        pen.sheet.break_after(runs[0], "cell")
        pen.facts.lines.append((runs[0].start, runs[1].stop))
    pen.sheet.break_after(Run(0, len(pen.sheet), 0.0), "block")


CELL_MAKERS: Final = (words.number, words.number, words.amount, words.code, words.date)


def table(pen: Pen, style: Style) -> None:
    """A table with a head row and row names; ruled, striped or plain."""
    rng = pen.rng
    count = min(rng.randint(2, 6), max(2, int(pen.width / (style.size * 6))))
    most = pen.room(style) - 2
    if most < 2:
        return
    names = [fresh(pen, lambda r, s: r.choice(words.HEADS)), *(fresh(pen, _column) for _ in range(count - 1))]
    rows = [fresh(pen, _row_name) for _ in range(min(most, rng.randint(2, 12)))]
    weights = [rng.uniform(1.2, 2.2), *(rng.uniform(0.8, 1.4) for _ in names[1:])]
    xs = [pen.left + pen.width * sum(weights[:i]) / sum(weights) for i in range(count + 1)]
    names = [fit(n, style.bold, style.size, xs[i + 1] - xs[i] - style.size) for i, n in enumerate(names)]
    makers = [rng.choice(CELL_MAKERS) for _ in names]
    grid = [[fit(r, style.face, style.size, xs[1] - xs[0] - style.size)] for r in rows]
    for row in grid:
        row += [_cell(pen, makers[i], style, xs[i + 1] - xs[i] - style.size * 0.8) for i in range(1, count)]
    if len({n.lower() for n in names}) < count or len({r[0].lower() for r in grid}) < len(rows):
        return
    runs = _set_table(pen, style, xs, [names, *grid])
    pen.facts.tables.append(
        Table(names[0], tuple(names[1:]), tuple(r[0] for r in grid), tuple(tuple(r[1:]) for r in runs[1:]))
    )
    pen.y += style.pitch * rng.uniform(0.4, 1.2)


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
            pen.sheet.line(pen.left, pen.y, pen.right, pen.y, style.ink if look == "full" else style.accent)
    pen.sheet.break_after(runs[-1][-1], "block")
    if look == "full":
        for x in xs:
            pen.sheet.line(x, top, x, pen.y, style.ink)
        pen.sheet.line(pen.left, top, pen.right, top, style.ink)
    return runs
