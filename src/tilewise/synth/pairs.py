"""Labels with values, as forms, letters and invoices print them."""

from __future__ import annotations

from dataclasses import replace

from tilewise.synth import words
from tilewise.synth.blocks import Pen, Style, fit, fresh
from tilewise.synth.facts import Pair
from tilewise.synth.fonts import Face, advance
from tilewise.synth.sheet import Run


def pairs(pen: Pen, style: Style) -> None:
    """Labels with values, in one of the ways that forms and invoices print them."""
    maker = pen.rng.choice(
        (_inline, _inline, _inline, _aligned, _aligned, _leaders, _boxes, _boxes, _sides)
    )
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
            run = pen.sheet.text(
                key_run.right + advance(face, style.size, " "),
                base,
                value,
                style.face,
                style.size,
                style.ink,
            )
            first = run.start
        else:
            key_run = pen.sheet.text(
                pen.left, base, f"{label}{mark} {value}", style.face, style.size, style.ink
            )
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
        run = pen.sheet.text(
            x, base, value, style.bold if rng.random() < 0.2 else style.face, style.size, style.ink
        )
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
        key_run = pen.sheet.text(
            pen.left, base, f"{label} {dots}", style.face, style.size, style.ink
        )
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
            pen.sheet.text(
                x + pad, top + small.size * 1.1, label, small.face, small.size, style.accent
            )
            for x, label, _ in drawn
        ]
        values = [
            pen.sheet.text(
                x + pad,
                top + small.size * 1.2 + style.size * 1.15,
                value,
                style.face,
                style.size,
                style.ink,
            )
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
    pen.facts.has_one_order = False  # by rows or by columns?
    mark = pen.rng.choice((":", ":", " :"))
    for _ in range(_rows(pen, style, 5)):
        keys = [fresh(pen, words.key) for _ in range(2)]
        room = [
            half - style.size * 1.5 - advance(style.face, style.size, f"{k}{mark} ") for k in keys
        ]
        if min(room) < style.size * 3:
            continue
        pen.y += style.pitch
        base = pen.y - 0.3 * style.pitch
        runs: list[Run] = []
        for i, label in enumerate(keys):
            value = _value(pen, style.face, style.size, room[i])
            run = pen.sheet.text(
                pen.left + i * half,
                base,
                f"{label}{mark} {value}",
                style.face,
                style.size,
                style.ink,
            )
            runs.append(run)
            first = run.start + len((label + mark).replace(" ", ""))
            _keep(pen, label, Run(first, run.stop, run.right), run)
        pen.sheet.break_after(runs[0], "cell")
        pen.facts.lines.append((runs[0].start, runs[1].stop))
    pen.sheet.break_after(Run(0, len(pen.sheet), 0.0), "block")
