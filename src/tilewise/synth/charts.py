"""Charts with printed values: bars, lines, pies."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from tilewise.synth import words
from tilewise.synth.blocks import Pen, Style, fit, fresh
from tilewise.synth.facts import Figures, Pair, Series
from tilewise.synth.fonts import Split, advance
from tilewise.synth.sheet import Colour, Run

NOUNS: Final = {
    "month": words.MONTHS,
    "quarter": ["Q1", "Q2", "Q3", "Q4"],
    "year": [str(y) for y in range(2001, 2040)],
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "region": "North South East West Centre Coast Valley Highland Lowland".split(),
}
INVENTED: Final = (
    "category",
    "bar",
    "item",
    "product",
    "team",
    "station",
    "city",
    "brand",
    "group",
)
PALETTE: Final[tuple[Colour, ...]] = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75),
    (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207), (90, 90, 90), (70, 130, 180),
)  # fmt: skip


def chart(pen: Pen, style: Style) -> None:
    """A bar, line or pie chart whose values are printed."""
    tall = min(pen.bottom - pen.y - style.size, pen.rng.uniform(0.45, 0.9) * pen.width)
    if tall < style.size * 8 or pen.width < style.size * 10:
        return
    pen.rng.choice((_bars, _bars, _rows, _rows, _points, _slices))(pen, style, tall)
    pen.sheet.break_after(Run(0, len(pen.sheet), 0.0), "block")
    pen.y += style.size


def _series(pen: Pen, most: int) -> tuple[str, list[str], list[float], list[str]]:
    """Noun, labels, numbers and the numbers as printed, of a table above or new ones."""
    made, pen.facts.tabled = pen.facts.tabled or figures(pen, most), None
    made = made.first(max(2, most))
    return made.noun, list(made.labels), list(made.numbers), list(made.shown)


def figures(pen: Pen, most: int) -> Figures:
    """Two to ``most`` labelled numbers that all differ."""
    rng = pen.rng
    count = max(2, min(most, rng.randint(3, 8)))
    noun = rng.choice([*NOUNS, *INVENTED])
    pool = [x for x in NOUNS.get(noun, ()) if x.lower() not in pen.facts.used]
    if len(pool) > 2:
        count = min(count, len(pool))
        first = rng.randint(0, len(pool) - count)
        labels = pool[first : first + count]
        if noun == "month" and rng.random() < 0.5:
            labels = [x[:3] for x in labels]
        labels = list(dict.fromkeys(labels))
        pen.facts.used.update(x.lower() for x in labels)
    else:
        noun = rng.choice(INVENTED)
        labels = _invented(pen, count)
    decimals = rng.choice((0, 0, 0, 1, 2))
    top = 10 ** rng.uniform(1.0, 4.0)
    texts: dict[str, float] = {}
    for _ in range(200):
        if len(texts) == len(labels):
            break
        figure = round(rng.uniform(0.08, 1.0) * top, decimals)
        texts.setdefault(
            f"{figure:,.{decimals}f}" if figure >= 10_000 else f"{figure:.{decimals}f}", figure
        )
    printed = list(texts)[: len(labels)]
    unit = rng.choice(("", "", "", "%", "k", " t", " kg", "$")) if rng.random() < 0.5 else ""
    shown = [f"${p}" if unit == "$" else p + unit for p in printed]
    numbers = tuple(texts[p] for p in printed)
    return Figures(noun, tuple(labels[: len(shown)]), numbers, tuple(shown))


def _invented(pen: Pen, count: int) -> list[str]:
    """Invented labels; now and then the row names of a table above, as posters have it."""
    if pen.facts.tables and pen.rng.random() < 0.5:
        rows = pen.facts.tables[-1].rows[:count]
        if len(rows) > 2 and not any(p.is_chart and p.label in rows for p in pen.facts.pairs):
            return list(rows)
    return [fresh(pen, _label) for _ in range(count)]


def _label(rng: Random, split: Split) -> str:
    return words.name(rng, split, rng.choice((1, 1, 1, 2)))


def _heading(pen: Pen, style: Style) -> None:
    if pen.rng.random() < 0.6:
        text = fit(words.title(pen.rng, pen.split), style.bold, style.size, pen.width)
        run = pen.sheet.text(pen.left, pen.y + style.size, text, style.bold, style.size, style.ink)
        pen.sheet.break_after(run, "block")
        pen.facts.lines.append((run.start, run.stop))
        pen.y += style.size * 1.5


@dataclass(frozen=True, slots=True)
class Ticks:
    """Numbers along a vertical axis: 0, ``step``, ... ``count`` × ``step``, ``wide`` px."""

    count: int
    step: int
    wide: float


def _choose_ticks(pen: Pen, style: Style, peak: float) -> Ticks | None:
    """Ticks for values up to ``peak``, or none at all."""
    if pen.rng.random() < 0.6:
        return None
    count = pen.rng.randint(2, 5)
    step = max(1, round(peak * 1.1 / count))
    wide = advance(style.face, style.size, str(step * count)) + style.size * 0.5
    return Ticks(count, step, wide)


def _draw_ticks(
    pen: Pen, style: Style, ticks: Ticks, top: float, floor: float, peak: float
) -> None:
    for i in range(ticks.count + 1):
        y = floor - (floor - top) * (i * ticks.step) / (peak * 1.1)
        if y < top:
            break
        run = pen.sheet.text(
            pen.left, y + style.size * 0.35, str(i * ticks.step), style.face, style.size, style.ink
        )
        pen.sheet.break_after(run, "block")
        if pen.rng.random() < 0.5:
            pen.sheet.line(pen.left + ticks.wide, y, pen.right, y, style.soft)


def _bars(pen: Pen, style: Style, tall: float) -> None:
    """Standing bars: label below, value above or inside the top."""
    rng = pen.rng
    pen.facts.is_single_flow = False
    _heading(pen, style)
    noun, labels, numbers, shown = _series(pen, int(pen.width / (style.size * 4)))
    top, floor = pen.y + style.size * 1.6, pen.y + tall - style.size * 1.6
    ticks = _choose_ticks(pen, style, max(numbers))
    left = pen.left + (ticks.wide if ticks else 0.0)
    step = (pen.right - left) / len(labels)
    labels = [fit(x, style.face, style.size, step * 0.95) for x in labels]
    wide = max(advance(style.face, style.size, x) for x in [*labels, *shown])
    if wide > step * 0.98 or floor - top < style.size * 2:
        pen.y += style.size
        return
    if ticks:
        _draw_ticks(pen, style, ticks, top, floor, max(numbers))
    fill = (
        [rng.choice(PALETTE)] * len(labels)
        if rng.random() < 0.6
        else rng.sample(PALETTE, len(labels))
    )
    is_inside = rng.random() < 0.2
    value_runs: list[tuple[float, Run]] = []
    for i, (number, text) in enumerate(zip(numbers, shown, strict=True)):
        x = left + (i + 0.5) * step
        y = floor - (floor - top) * number / (max(numbers) * 1.1)
        half = step * rng.uniform(0.28, 0.4)
        pen.sheet.rect(x - half, y, x + half, floor, fill[i])
        pos = x - advance(style.face, style.size, text) / 2
        low = (
            is_inside
            and floor - y > style.size * 1.6
            and half * 2 > advance(style.face, style.size, text)
        )
        base = y + style.size * 1.15 if low else y - style.size * 0.35
        ink = (255, 255, 255) if low else style.ink
        run = pen.sheet.text(pos, base, text, style.face, style.size, ink)
        pen.sheet.break_after(run, "block")
        value_runs.append((x, run))
    pen.sheet.line(left, floor, pen.right, floor, style.ink)
    label_runs = _axis_labels(pen, style, left, step, floor, labels)
    _keep(pen, noun, labels, label_runs, [r for _, r in value_runs], numbers)
    pen.y = floor + style.size * 1.8


def _axis_labels(
    pen: Pen, style: Style, left: float, step: float, floor: float, labels: list[str]
) -> list[Run]:
    runs: list[Run] = []
    for i, label in enumerate(labels):
        x = left + (i + 0.5) * step - advance(style.face, style.size, label) / 2
        runs.append(
            pen.sheet.text(x, floor + style.size * 1.25, label, style.face, style.size, style.ink)
        )
        pen.sheet.break_after(runs[-1], "cell")
    pen.sheet.break_after(runs[-1], "block")
    return runs


def _rows(pen: Pen, style: Style, tall: float) -> None:
    """Lying bars: label on the left, value at the bar's end."""
    rng = pen.rng
    _heading(pen, style)
    noun, labels, numbers, shown = _series(pen, int(tall / (style.size * 1.5)) - 1)
    split_at = pen.left + max(advance(style.face, style.size, x) for x in labels) + style.size * 0.6
    end = pen.right - max(advance(style.face, style.size, x) for x in shown) - style.size
    if end - split_at < style.size * 3:
        return
    step = style.size * rng.uniform(1.4, 2.2)
    fill = rng.choice(PALETTE)
    label_runs, value_runs = [], []
    for label, number, text in zip(labels, numbers, shown, strict=True):
        if pen.y + step > pen.bottom:
            break
        base = pen.y + step / 2 + style.size * 0.35
        label_runs.append(pen.sheet.text(pen.left, base, label, style.face, style.size, style.ink))
        pen.sheet.break_after(label_runs[-1], "cell")
        x = split_at + (end - split_at) * number / max(numbers)
        pen.sheet.rect(split_at, pen.y + step * 0.15, x, pen.y + step * 0.85, fill)
        value_runs.append(
            pen.sheet.text(x + style.size * 0.4, base, text, style.face, style.size, style.ink)
        )
        pen.facts.lines.append((label_runs[-1].start, value_runs[-1].stop))
        pen.y += step
    _keep(pen, noun, labels, label_runs, value_runs, numbers)


def _points(pen: Pen, style: Style, tall: float) -> None:
    """A line chart: values above the points, labels along the axis."""
    pen.facts.is_single_flow = False
    _heading(pen, style)
    noun, labels, numbers, shown = _series(pen, int(pen.width / (style.size * 4)))
    top, floor = pen.y + style.size * 2, pen.y + tall - style.size * 1.6
    ticks = _choose_ticks(pen, style, max(numbers))
    left = pen.left + (ticks.wide if ticks else 0.0)
    step = (pen.right - left) / len(labels)
    labels = [fit(x, style.face, style.size, step * 0.95) for x in labels]
    if (
        max(advance(style.face, style.size, x) for x in [*labels, *shown]) > step * 0.98
        or floor - top < style.size * 2
    ):
        pen.y += style.size
        return
    if ticks:
        _draw_ticks(pen, style, ticks, top, floor, max(numbers))
    ink = pen.rng.choice(PALETTE)
    spots = [
        (left + (i + 0.5) * step, floor - (floor - top) * n / (max(numbers) * 1.1))
        for i, n in enumerate(numbers)
    ]
    pen.sheet.polyline(spots, ink, pen.rng.choice((1, 2, 3)))
    value_runs = []
    for (x, y), text in zip(spots, shown, strict=True):
        pen.sheet.ellipse((x - 3, y - 3, x + 3, y + 3), ink, None)
        pos = x - advance(style.face, style.size, text) / 2
        value_runs.append(
            pen.sheet.text(pos, y - style.size * 0.5, text, style.face, style.size, style.ink)
        )
        pen.sheet.break_after(value_runs[-1], "block")
    pen.sheet.line(left, floor, pen.right, floor, style.ink)
    label_runs = _axis_labels(pen, style, left, step, floor, labels)
    _keep(pen, noun, labels, label_runs, value_runs, numbers)
    pen.y = floor + style.size * 1.8


def _slices(pen: Pen, style: Style, tall: float) -> None:
    """A pie with a legend that names each slice and prints its value."""
    _heading(pen, style)
    noun, labels, numbers, shown = _series(pen, int(tall / (style.size * 1.6)))
    round_side = min(tall - style.size, pen.width * 0.4)
    x = pen.left + round_side + style.size
    mark = pen.rng.choice((" ", ": ", " - ", " (", ""))
    wide = max(
        advance(style.face, style.size, f"{a} - {b})") for a, b in zip(labels, shown, strict=True)
    )
    if round_side < style.size * 3 or x + style.size * 1.5 + wide > pen.right:
        return
    top, angle = pen.y, pen.rng.uniform(0, 360)
    fills = pen.rng.sample(PALETTE, len(labels))
    step = max(style.size * 1.4, min(round_side / len(labels), style.size * 2))
    label_runs, value_runs = [], []
    for i, (label, number, text) in enumerate(zip(labels, numbers, shown, strict=True)):
        turn = 360 * number / sum(numbers)
        pen.sheet.pie(
            (pen.left, top, pen.left + round_side, top + round_side),
            angle,
            angle + turn,
            fills[i],
            (255, 255, 255),
        )
        angle += turn
        base = top + (i + 0.5) * step + style.size * 0.35
        pen.sheet.rect(x, base - style.size * 0.7, x + style.size * 0.7, base, fills[i])
        start = x + style.size * 1.1
        if mark:
            tail = ")" if mark == " (" else ""
            run = pen.sheet.text(
                start, base, f"{label}{mark}{text}{tail}", style.face, style.size, style.ink
            )
            first = run.start + len((label + mark).replace(" ", ""))
            label_runs.append(Run(run.start, run.start + len(label.replace(" ", "")), run.right))
            value_runs.append(Run(first, run.stop - len(tail), run.right))
        else:
            label_runs.append(pen.sheet.text(start, base, label, style.face, style.size, style.ink))
            pen.sheet.break_after(label_runs[-1], "cell")
            at = x + style.size * 2 + wide - advance(style.face, style.size, text)
            value_runs.append(pen.sheet.text(at, base, text, style.face, style.size, style.ink))
        pen.facts.lines.append((label_runs[-1].start, value_runs[-1].stop))
    _keep(pen, noun, labels, label_runs, value_runs, numbers)
    pen.y = top + max(round_side, step * len(labels))


def _keep(
    pen: Pen,
    noun: str,
    labels: list[str],
    label_runs: list[Run],
    value_runs: list[Run],
    numbers: list[float],
) -> None:
    pen.facts.pairs += [Pair(a, r, True) for a, r in zip(labels, value_runs, strict=False)]
    if len(label_runs) == len(numbers):
        pen.facts.series.append(Series(noun, tuple(label_runs), tuple(numbers)))
