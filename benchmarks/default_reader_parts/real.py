"""Part 2: held-out real pages, by form of question, size of text and package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.default_reader_parts.asking import (
    Outcome,
    Subject,
    absent,
    ask,
    look_ups,
    right,
    right_by_page,
)
from benchmarks.default_reader_parts.reading import HEAD, Read, read_page, row
from benchmarks.default_reader_parts.report import (
    Progress,
    Report,
    Setting,
    interval,
    machine,
    percent,
    table,
)
from benchmarks.default_reader_parts.scores import edits, normal, share
from benchmarks.default_reader_parts.synthetic import PX_CLASSES, class_name
from tilewise.errors import SourceError
from tilewise.models.reader import Reader
from tilewise.records import Page
from tilewise.synth.real import RealPage, read_meta, read_real_pages
from tilewise.synth.real_questions import questions_for

MAX_TILES = 25
"""Real pages were kept up to this size, so that none is made smaller."""

FORMS = ("title", "value", "after")
WORST = 10
READ_SHARE = 0.4
"""Part of the real pages that are also read whole, where they have no figures."""


def run(setting: Setting, reader: Reader, report: Report) -> None:
    """Ask, read and report; without real pages say so."""
    outcomes: list[Outcome] = []
    reads: list[Read] = []
    try:
        chosen = choose(setting.real_folder, setting.real, setting.seed)
    except SourceError as err:
        report.section("Real pages", f"Not measured: {err}")
        return
    progress = Progress("real", len(chosen))
    for page in held_out(setting.real_folder, chosen):
        subject = real_subject(page, setting.seed)
        found = ask(reader, subject, MAX_TILES)
        outcomes += found
        report.keep("real", found)
        if subject.text is not None and len(reads) < READ_SHARE * len(chosen):
            reads.append(read_page(reader, subject, MAX_TILES))
        progress.step(f"look-ups right {percent(right(look_ups(outcomes)))}")
    report.section(
        "Real pages",
        f"{machine(setting.model)} Seed {setting.seed}: {len(chosen)} held-out pages, "
        f"HD-{MAX_TILES}, {len(outcomes)} questions made of their text layers, in plain words.",
        by_form(outcomes),
        "By the middle text size in px per em:",
        by_size(outcomes),
        "By package:",
        by_package(outcomes),
        '"Read all the text." on pages without figures:',
        table(HEAD, [row(name, group) for name, group in _read_groups(reads)]),
        f"The {WORST} worst answers; «not found» where there is an answer comes after wrong ones:",
        worst(outcomes),
    )


def choose(folder: Path, limit: int, seed: int) -> frozenset[int]:
    """Which of the held-out pages are asked about.

    Raises:
        SourceError: there are none.
    """
    total = sum(len(read_meta(path)) for path in sorted(folder.glob("heldout-*.npz")))
    if not total:
        raise SourceError(f"{folder} has no held-out pages; run scripts/build_real_pages.py first.")
    return frozenset(Random(seed).sample(range(total), min(limit, total)))


def held_out(folder: Path, chosen: frozenset[int]) -> Iterator[RealPage]:
    """The chosen pages, one at a time."""
    left = len(chosen)
    for number, page in enumerate(read_real_pages(folder, "heldout")):
        if number in chosen:
            left -= 1
            yield page
        if not left:
            return


def real_subject(page: RealPage, seed: int) -> Subject:
    """A real page with questions; its whole text only where no figure may hold more."""
    rng = Random(f"real {seed} {page.name} {page.number}")
    number = page.number
    grey = np.repeat(page.pixels[..., None], 3, axis=2)
    return Subject(
        page=Page(
            pixels=grey, name=f"{page.package}/{Path(page.name).name}", number=number, total=number
        ),
        questions=tuple(questions_for(page, rng)),
        text_px=float(np.median(page.chars.height)),
        text=None if len(page.figures) else page.chars.text(),
        source=page.package,
    )


def by_form(outcomes: Sequence[Outcome]) -> str:
    """Each form of question."""
    head = ("form", "right", "95 % interval, se", "wrongly «not found»", "right but for 1 in 10")
    rows = []
    for name, asked in _forms(outcomes):
        whole = right(asked)
        refused = share([o.is_refused for o in asked if o.is_answerable])
        near = share([_is_near(o) for o in asked if o.is_answerable])
        rows.append(
            [name, percent(whole), interval(right_by_page(asked)), percent(refused), percent(near)]
        )
    return table(head, rows)


def _forms(outcomes: Sequence[Outcome]) -> list[tuple[str, list[Outcome]]]:
    forms = [(form, look_ups(outcomes, form)) for form in FORMS]
    return [*forms, ("all look-ups", look_ups(outcomes)), ("not there", absent(outcomes))]


def distance(outcome: Outcome) -> float:
    """Edits between answer and truth by the length of the longer; 1 where one is missing."""
    if outcome.truth is None or not outcome.is_found:
        return float(not outcome.is_right)
    said, truth = normal(outcome.said), normal(outcome.truth)
    return edits(said, truth) / max(len(said), len(truth), 1)


def _is_near(outcome: Outcome) -> bool:
    return outcome.is_found and distance(outcome) <= 0.1


def by_size(outcomes: Sequence[Outcome]) -> str:
    """Forms in classes of text size."""
    classes = [
        (class_name(low, high, "px"), [o for o in outcomes if low <= o.text_px < high])
        for low, high in PX_CLASSES
    ]
    return _by_group("text", classes)


def by_package(outcomes: Sequence[Outcome]) -> str:
    """Forms in the packages that pages are of."""
    names = sorted({o.source for o in outcomes})
    return _by_group("package", [(n, [o for o in outcomes if o.source == n]) for n in names])


def _by_group(name: str, groups: Sequence[tuple[str, list[Outcome]]]) -> str:
    head = (name, "pages", *FORMS, "all look-ups", "not there")
    rows = []
    for label, inside in groups:
        pages = len({o.subject for o in inside})
        shares = [percent(right(asked)) for _, asked in _forms(inside)]
        rows.append([label, f"{pages}", *shares])
    return table(head, rows)


def _read_groups(reads: Sequence[Read]) -> list[tuple[str, list[Read]]]:
    classes = [
        (class_name(low, high, "px"), [r for r in reads if low <= r.text_px < high])
        for low, high in PX_CLASSES
    ]
    return [("all", list(reads)), *classes]


def worst(outcomes: Sequence[Outcome]) -> str:
    """The wrong answers, worst first."""
    wrong = sorted((o for o in outcomes if not o.is_right), key=_badness, reverse=True)
    head = ("page", "text px", "question", "truth", "answer", "confidence")
    rows = [
        [
            o.subject,
            f"{o.text_px:.0f}",
            _cell(o.question),
            _cell(o.truth or "(not there)"),
            _cell(o.said),
            "–" if o.confidence is None else f"{o.confidence:.2f}",
        ]
        for o in wrong[:WORST]
    ]
    return table(head, rows) if rows else "None is wrong."


def _badness(outcome: Outcome) -> tuple[bool, float, float]:
    """A wrong answer is worse than none, then the farther from the truth, then the surer."""
    return outcome.is_found, distance(outcome), outcome.confidence or 0.0


def _cell(text: str) -> str:
    """Text that stays in its cell."""
    short = normal(text)
    short = short if len(short) <= 90 else short[:87] + "..."
    return f"`{short.replace('`', chr(39)).replace('|', '¦')}`"
