"""Parts 3 and 4: what tiles, the global view and the newline are worth."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Protocol, cast

from benchmarks.default_reader_parts.asking import (
    Outcome,
    Subject,
    absent,
    ask_in,
    look_ups,
    right,
)
from benchmarks.default_reader_parts.made import held_out_page, sized_page
from benchmarks.default_reader_parts.report import (
    Progress,
    Report,
    Setting,
    machine,
    percent,
    table,
)
from benchmarks.default_reader_parts.scores import ratio, share
from tilewise.engine.session import Conversation
from tilewise.models.reader import Reader
from tilewise.records import Fit
from tilewise.synth.facts import Question

LIMITS = (1, 4, 9, 16, 25, 55)
LARGE = (9, 12, 16)
HUGE = (25, 40, 55)
KINDS = ("value", "title", "after", "table", "chart")
COLUMNS = ("look-ups", *KINDS, "not there", "wrongly «not found»")


class Changeable(Reader, Protocol):
    """A reader whose image sequence can be had without the global view and the newlines."""

    has_global: bool
    has_newline: bool


def run_resolution(setting: Setting, reader: Reader, report: Report) -> None:
    """Ask about the same pages at every limit."""
    blocks = []
    for name, count, tiles in (("large", setting.large, LARGE), ("huge", setting.huge, HUGE)):
        if count:
            found = _at_limits(setting, reader, report, name, count, tiles)
            rows = [_limit_row(limit, at) for limit, at in found.items()]
            span = f"{count} pages made for {tiles[0]} to {tiles[-1]} tiles:"
            head = ("limit", "tiles", "text px", "first character, s", *COLUMNS)
            blocks += [span, table(head, rows)]
    report.section(
        "Resolution",
        f"{machine(setting.model)} Seed {setting.seed}. The same questions on the same pages of "
        "the test split at every limit; tiles and text size (px per em) are those of the middle "
        "page, seconds the middle of the first questions. Pages are never enlarged, so that a "
        "limit above a page's own size changes nothing; it is then not asked again.",
        *blocks,
    )


def _at_limits(
    setting: Setting, reader: Reader, report: Report, name: str, count: int, tiles: tuple[int, ...]
) -> dict[int, list[list[Outcome]]]:
    """Outcomes of each page at each limit."""
    found: dict[int, list[list[Outcome]]] = {limit: [] for limit in LIMITS}
    progress = Progress(f"resolution, {name} pages", count)
    for number in range(count):
        subject = sized_page(setting.seed, number, setting.questions, tiles)
        seen: dict[Fit, list[Outcome]] = {}
        for limit in LIMITS:
            talk = Conversation(reader, [subject.page], [limit])
            fit = talk.tiles[0].fit
            if fit not in seen:
                seen[fit] = ask_in(talk, subject, _short(subject))
                report.keep(f"resolution HD-{limit}", seen[fit])
            found[limit].append(seen[fit])
        progress.step()
    return found


def _short(subject: Subject) -> list[Question]:
    """All questions but «Read all the text.»."""
    return [q for q in subject.questions if q.kind != "all"]


def _limit_row(limit: int, pages: Sequence[list[Outcome]]) -> list[str]:
    firsts = [page[0] for page in pages if page]
    tiles = statistics.median(o.tiles for o in firsts)
    px = statistics.median(o.text_px for o in firsts)
    first_s = statistics.median(o.first_s for o in firsts)
    return [f"HD-{limit}", f"{tiles:g}", f"{px:.1f}", f"{first_s:.2f}", *_shares(pages)]


def _shares(pages: Sequence[list[Outcome]]) -> list[str]:
    outcomes = [o for page in pages for o in page]
    asked = look_ups(outcomes)
    shares = [right(asked), *(right(look_ups(outcomes, kind)) for kind in KINDS)]
    shares += [right(absent(outcomes)), share([o.is_refused for o in asked])]
    return [percent(one) for one in shares]


def run_ablation(setting: Setting, reader: Reader, report: Report) -> None:
    """Ask about the same pages with and without global view and newline."""
    if not hasattr(reader, "has_global") or not hasattr(reader, "has_newline"):
        report.section("Global view and newline", f"Not measured: {reader.name} has no such parts.")
        return
    changed = cast(Changeable, reader)
    settings = ((True, True), (False, True), (True, False), (False, False))
    found: dict[tuple[bool, bool], list[list[Outcome]]] = {s: [] for s in settings}
    progress = Progress("ablation", setting.large)
    for number in range(setting.large):
        subject = held_out_page(setting.seed + 1, number, setting.questions)
        for has_global, has_newline in settings:
            changed.has_global, changed.has_newline = has_global, has_newline
            talk = Conversation(changed, [subject.page], [16])
            found[has_global, has_newline].append(ask_in(talk, subject, _short(subject)))
        progress.step()
    changed.has_global = changed.has_newline = True
    head = ("global view", "newlines", "tokens", "change of look-ups, se", *COLUMNS)
    rows = [_ablation_row(parts, pages, found[True, True]) for parts, pages in found.items()]
    report.section(
        "Global view and newline",
        f"{machine(setting.model)} Seed {setting.seed + 1}: {setting.large} pages of 1 to 16 tiles "
        "of the test split at HD-16, the same questions each time. The reader was trained with "
        "and without both parts, so that neither setting is strange to it; this tells what they "
        "add to this one model. Changes are in points, paired, with the standard error of drawing "
        "pages again.",
        table(head, rows),
    )


def _ablation_row(
    parts: tuple[bool, bool], pages: Sequence[list[Outcome]], full: Sequence[list[Outcome]]
) -> list[str]:
    gains = [
        sum(o.is_right for o in look_ups(ours)) - sum(o.is_right for o in look_ups(theirs))
        for ours, theirs in zip(pages, full, strict=True)
    ]
    change = ratio(gains, [len(look_ups(page)) for page in full])
    tokens = statistics.median(page[0].tokens for page in pages if page)
    told = "–" if pages is full else f"{100 * change.value:+.1f}, se {100 * change.error:.1f}"
    words = ["with" if part else "without" for part in parts]
    return [*words, f"{tokens:g}", told, *_shares(pages)]
