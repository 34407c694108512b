"""Part 1: held-out synthetic pages at HD-16, by kind, wording, font and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.default_reader_parts.asking import (
    Outcome,
    absent,
    ask,
    look_ups,
    right,
    right_by_page,
)
from benchmarks.default_reader_parts.made import held_out_page
from benchmarks.default_reader_parts.report import (
    Progress,
    Report,
    Setting,
    interval,
    machine,
    percent,
    table,
)
from benchmarks.default_reader_parts.scores import share
from tilewise.models.reader import Reader

MAX_TILES = 16
KINDS = ("value", "title", "after", "table", "chart", "highest", "lowest", "line")
WANTED = {"value": 90, "title": 90, "after": 75, "table": 80, "chart": 70}
TILE_CLASSES = ((1, 1), (2, 4), (5, 9), (10, 16))
PX_CLASSES = ((0, 12), (12, 16), (16, 24), (24, 1000))

NOTE = (
    "Right is: equal to the truth after collapsing white space and making typographic quotes and "
    "dashes plain; case counts. Plain is a question in the words of the documentation; the rest "
    "are paraphrases. Intervals (95 %) and se, the standard error, are those of drawing pages "
    "again. In brackets: number of questions."
)

Test = Callable[[Outcome], bool]


def run(setting: Setting, reader: Reader, report: Report) -> None:
    """Ask and report."""
    outcomes: list[Outcome] = []
    progress = Progress("synthetic", setting.pages)
    for number in range(setting.pages):
        subject = held_out_page(setting.seed, number, setting.questions)
        found = ask(reader, subject, MAX_TILES)
        outcomes += found
        report.keep("synthetic", found)
        progress.step(f"look-ups right {percent(right(look_ups(outcomes)))}")
    unseen = len({o.subject for o in outcomes if o.is_unseen_font})
    report.section(
        "Synthetic pages",
        f"{machine(setting.model)} Seed {setting.seed}: {setting.pages} pages of the test split, "
        f"{unseen} of them in the unseen font, HD-{MAX_TILES}, {len(outcomes)} questions, answers "
        "decoded greedily to their end.",
        NOTE,
        by_kind(outcomes),
        refusals(outcomes),
        "By size of the page in tiles:",
        by_class(outcomes, TILE_CLASSES, lambda o: o.tiles, "tiles"),
        "By the middle text size in px per em, as the reader sees it:",
        by_class(outcomes, PX_CLASSES, lambda o: o.text_px, "px"),
        "By layout:",
        by_layout(outcomes),
    )


def by_kind(outcomes: Sequence[Outcome]) -> str:
    """Questions that the page answers."""
    head = ("kind", "wanted", "right", "95 % interval, se", "plain", "paraphrased", "seen fonts",
            "unseen font", "wrongly «not found»")  # fmt: skip
    rows = [_kind_row(kind, look_ups(outcomes, kind)) for kind in KINDS]
    rows.append(_kind_row("all of these", look_ups(outcomes)))
    return table(head, [*rows, _kind_row("read all, opening", look_ups(outcomes, "all"))])


def _kind_row(kind: str, asked: Sequence[Outcome]) -> list[str]:
    wanted = f"{WANTED[kind]} %" if kind in WANTED else ""
    whole = right(asked)
    refused = share([o.is_refused for o in asked])
    return [
        kind,
        wanted,
        percent(whole),
        interval(right_by_page(asked)),
        *_splits(asked),
        percent(refused),
    ]


def _splits(asked: Sequence[Outcome]) -> list[str]:
    """The share right: plain and paraphrased, in fonts seen and unseen."""
    tests: tuple[Test, ...] = (
        lambda o: o.is_plain,
        lambda o: not o.is_plain,
        lambda o: not o.is_unseen_font,
        lambda o: o.is_unseen_font,
    )
    return [percent(right([o for o in asked if test(o)])) for test in tests]


def refusals(outcomes: Sequence[Outcome]) -> str:
    """Questions that the page does not answer, and answers where there is one."""
    head = ("asked for", "should say", "wanted", "right", "95 % interval, se", "plain",
            "paraphrased", "seen fonts", "unseen font")  # fmt: skip
    missing = absent(outcomes)
    rows = [_refusal_row("what is not there", "not found", "80 %", missing)]
    for kind in KINDS:
        asked = [o for o in missing if o.kind == kind]
        if asked:
            rows.append(_refusal_row(f"{kind} that is not there", "not found", "", asked))
    other = [o for o in outcomes if o.kind == "unsupported"]
    rows.append(_refusal_row("something else", "what it can do", "", other))
    asked = look_ups(outcomes)
    lost = share([o.is_unsupported for o in asked])
    text = f"Look-ups taken for a request that is not served: {percent(lost)}."
    return f"{table(head, rows)}\n\n{text}"


def _refusal_row(name: str, says: str, wanted: str, asked: Sequence[Outcome]) -> list[str]:
    whole = right(asked)
    return [name, says, wanted, percent(whole), interval(right_by_page(asked)), *_splits(asked)]


def class_name(low: float, high: float, unit: str) -> str:
    """E.g. «2 to 4 tiles», «under 12 px»."""
    if low == high:
        return f"{low} {unit.rstrip('s')}"
    if low == 0 or high >= 1000:
        return f"under {high} {unit}" if low == 0 else f"{low} {unit} and more"
    return f"{low} to {high} {unit}"


def by_class(
    outcomes: Sequence[Outcome],
    classes: Sequence[tuple[int, int]],
    size: Callable[[Outcome], float],
    unit: str,
) -> str:
    """The share right of each kind in classes of size; upper bounds of px are exclusive."""
    head = (unit, "pages", *KINDS[:6], "look-ups", "not there")
    rows = []
    for low, high in classes:
        inside = [o for o in outcomes if low <= size(o) and _is_below(size(o), high, unit)]
        shares = [right(look_ups(inside, kind)) for kind in KINDS[:6]]
        shares += [right(look_ups(inside)), right(absent(inside))]
        pages = len({o.subject for o in inside})
        rows.append([class_name(low, high, unit), f"{pages}", *map(percent, shares)])
    return table(head, rows)


def _is_below(size: float, high: float, unit: str) -> bool:
    return size < high if unit == "px" else size <= high


def by_layout(outcomes: Sequence[Outcome]) -> str:
    """The share of look-ups right on each kind of page."""
    head = ("layout", "pages", "look-ups", "not there")
    rows = []
    for layout in sorted({o.source for o in outcomes}):
        inside = [o for o in outcomes if o.source == layout]
        pages = len({o.subject for o in inside})
        rows.append(
            [layout, f"{pages}", percent(right(look_ups(inside))), percent(right(absent(inside)))]
        )
    return table(head, rows)
