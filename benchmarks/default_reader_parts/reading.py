"""Part 1b: how well «Read all the text.» reads, and what the encoder alone finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from benchmarks.default_reader_parts.asking import Subject, answer_to
from benchmarks.default_reader_parts.made import held_out_page
from benchmarks.default_reader_parts.report import (
    Progress,
    Report,
    Setting,
    machine,
    percent_of,
    table,
)
from benchmarks.default_reader_parts.scores import Ratio, edits, lost_and_invented, normal, ratio
from benchmarks.default_reader_parts.synthetic import (
    MAX_TILES,
    PX_CLASSES,
    TILE_CLASSES,
    class_name,
)
from tilewise.engine.generate import Limits
from tilewise.engine.session import Conversation
from tilewise.models.nano.model import NanoReader
from tilewise.models.nano.proof import proofread
from tilewise.models.nano.reading import read
from tilewise.models.nano.sight import see
from tilewise.models.reader import Reader
from tilewise.records import Tiles

QUESTION = "Read all the text."

HEAD = ("pages", "count", "characters", "error rate of the answer", "of reading order alone",
        "characters lost", "characters invented")  # fmt: skip

NOTE = (
    "Character error rate: insertions, deletions and replacements of all pages by the characters "
    "of all true texts, white space collapsed, with the 95 % interval of drawing pages again. "
    "Reading order alone is the encoder's characters set in order without the decoder; lost and "
    "invented characters are the encoder's, their order aside. Wanted: at most 4 %."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one page gave, in characters."""

    tiles: int
    text_px: float
    is_unseen_font: bool
    characters: int
    printed: int
    answer: int
    ordered: float
    lost: float
    invented: float


def run(setting: Setting, reader: Reader, report: Report) -> None:
    """Read the first pages of part 1 that have one reading order."""
    reads: list[Read] = []
    wanted = min(setting.read_all, setting.pages)
    progress = Progress("read all", wanted)
    for number in range(setting.pages):
        if len(reads) == wanted:
            break
        subject = held_out_page(setting.seed, number, 0)
        if subject.text is not None:
            reads.append(read_page(reader, subject, MAX_TILES))
            progress.step(f"error rate {percent_of(rate(reads, lambda r: r.answer))}")
    groups: list[tuple[str, list[Read]]] = [
        ("all", reads),
        ("seen fonts", [r for r in reads if not r.is_unseen_font]),
        ("unseen font", [r for r in reads if r.is_unseen_font]),
    ]
    groups += [
        (class_name(low, high, "tiles"), [r for r in reads if low <= r.tiles <= high])
        for low, high in TILE_CLASSES
    ]
    groups += [
        (class_name(low, high, "px"), [r for r in reads if low <= r.text_px < high])
        for low, high in PX_CLASSES
    ]
    report.section(
        "Read all the text",
        f"{machine(setting.model)} Seed {setting.seed}: {len(reads)} synthetic pages of the test "
        f"split whose text has one order, HD-{MAX_TILES}.",
        NOTE,
        table(HEAD, [row(name, group) for name, group in groups]),
    )


def read_page(reader: Reader, subject: Subject, max_tiles: int) -> Read:
    """Ask one page for all its text and compare."""
    assert subject.text is not None
    truth = normal(subject.text)
    talk = Conversation(reader, [subject.page], [max_tiles])
    limits = Limits(max_new_tokens=round(1.3 * len(truth)) + 100)  # a runaway answer is bad enough
    said = normal(answer_to(talk, QUESTION, limits).text)
    tiles = talk.tiles[0]
    found = encoder_text(reader, tiles)
    lost, invented = (float("nan"),) * 2 if found is None else lost_and_invented(found, truth)
    return Read(
        tiles=tiles.fit.grid.tiles,
        text_px=subject.text_px * tiles.fit.width / tiles.fit.page_width,
        is_unseen_font=subject.is_unseen_font,
        characters=len(truth),
        printed=len(truth.replace(" ", "")),
        answer=edits(said, truth),
        ordered=float("nan") if found is None else edits(normal(found), truth),
        lost=lost,
        invented=invented,
    )


def encoder_text(reader: Reader, tiles: Tiles) -> str | None:
    """What the encoder finds, in reading order; None for a reader that is of another family."""
    if not isinstance(reader, NanoReader):
        return None
    (seen,) = see(reader.encoder, [tiles], has_global=False)
    with torch.inference_mode():
        return read(proofread(reader.proof, seen.levels), is_proofread=True).text()


def rate(reads: Sequence[Read], part: Callable[[Read], float], *, printed: bool = False) -> Ratio:
    """Errors by characters, or by characters without spaces."""
    return ratio([part(r) for r in reads], [r.printed if printed else r.characters for r in reads])


def row(name: str, reads: Sequence[Read]) -> list[str]:
    """One line of the table."""
    rates = (
        rate(reads, lambda r: r.answer),
        rate(reads, lambda r: r.ordered),
        rate(reads, lambda r: r.lost, printed=True),
        rate(reads, lambda r: r.invented, printed=True),
    )
    counts = [f"{len(reads)}", f"{sum(r.characters for r in reads)}"]
    return [name, *counts, *map(percent_of, rates)]
