"""The card of a data set that a run made: what it holds, how it was chosen, under which terms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tilewise.corpus.crawl.step import READ
from tilewise.corpus.extract.licenses import usage
from tilewise.corpus.filters.languages import DETECTOR
from tilewise.corpus.filters.preliminary import said
from tilewise.corpus.final_stage import form_folder
from tilewise.corpus.pipeline import StageSummary
from tilewise.corpus.plan import Run
from tilewise.corpus.report.samples import samples
from tilewise.corpus.stage_files import write_whole
from tilewise.corpus.stages import FINAL
from tilewise.corpus.stats import TOKENS
from tilewise.corpus.thresholds import limits, off
from tilewise.corpus.version import version
from tilewise.errors import DataError
from tilewise.shards.index import read_index

CARD: Final = "README.md"

SHOWN: Final = 3
"""Sample documents, and characters of each of their texts."""

TEXT: Final = 240

MOST_NAMES: Final = 20


def write_card(run: Run, found: Mapping[str, StageSummary]) -> None:
    """Write the card; it says nothing of when or where the run was.

    Args:
        run: the run, done as far as ``found`` says.
        found: its stages.

    Raises:
        ConfigError: it cannot be written.
    """
    text = "\n".join(_card(run, found)) + "\n"
    write_whole(run.root / CARD, text.encode("utf-8", "backslashreplace"))


def _card(run: Run, found: Mapping[str, StageSummary]) -> Iterator[str]:
    last = found.get(FINAL)
    languages = sorted(last.counts.of.get("language", {})) if last else []
    yield "---"
    yield f"language: {json.dumps(languages)}"
    yield "task_categories: [image-text-to-text, text-generation]"
    yield "tags: [interleaved, image-text, web]"
    yield "---"
    yield ""
    yield "# Interleaved documents from web crawls"
    yield ""
    if last:
        kept = last.counts.kept
        yield (
            f"{kept.documents:,} documents with {kept.images:,} images and {kept.tokens:,} tokens "
            f"({TOKENS}), text and images in the order of their pages."
        )
    else:
        yield "This run has not written its output yet."
    yield f"Made by tilewise {version()}; settings `{run.settings}`, in full in `run.json`."
    yield ""
    yield from _files(run)
    yield from _stages(found)
    yield from _thresholds(run)
    yield from _off(run)
    yield from _licences(last)
    yield from _counted("Languages", "language", last)
    yield from _samples(run, last)


def _files(run: Run) -> Iterator[str]:
    yield "## Files"
    yield ""
    for form in run.cfg.output.forms:
        folder = form_folder(run, form)
        try:
            index = read_index(folder)
        except DataError:
            continue
        yield (
            f"- `{folder.name}/`: {form}, files: {len(index.shards):,}, documents: {index.rows:,}, "
            f"bytes: {index.bytes:,}; `index.json` has rows, bytes and SHA-256 of each"
        )
    if run.cfg.output.image_files:
        yield "- `images/`: bytes of the images, each named by the SHA-256 of its URL"
    yield "- `report.html`: what each filter removed, histograms, samples"
    yield ""


def _stages(found: Mapping[str, StageSummary]) -> Iterator[str]:
    yield "## How they were chosen"
    yield ""
    yield "| stage | documents in | kept | images | tokens | dropped for |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for stage, one in found.items():
        counts = one.counts
        reasons = sorted(counts.reasons.items(), key=lambda x: (-x[1].documents, x[0]))
        told = ", ".join(f"{name} {sums.documents:,}" for name, sums in reasons)
        content = ("", "")
        if stage != READ:
            content = f"{counts.kept.images:,}", f"{counts.kept.tokens:,}"
        yield (
            f"| {stage} | {counts.taken.documents:,} | {counts.kept.documents:,} | {content[0]} | "
            f"{content[1]} | {told} |"
        )
    yield ""


def _thresholds(run: Run) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "A document is kept between these; all other settings stand in `run.json`."
    yield ""
    words = said(run.cfg.prelim_text)
    yield f"Words are counted so: {'; '.join(f'{name} {rule}' for name, rule in words.items())}."
    yield f"Languages are told by {DETECTOR}."
    yield ""
    yield "| stage | measured | at least | at most |"
    yield "| --- | --- | ---: | ---: |"
    for stage in ("prelim_text", "detailed_text"):
        for name, (least, most) in limits(run.cfg, stage).items():
            yield f"| {stage} | {name} | {_number(least)} | {_number(most)} |"
    image, dedup = run.cfg.image, run.cfg.dedup
    rows: dict[str, Any] = {
        "side in pixels": (image.min_side, image.max_side),
        "longer side to the shorter": (None, image.max_aspect_ratio),
        "documents with one image": (None, image.max_documents),
        "images of a document": (image.min_images, None),
    }
    for name, (least, most) in rows.items():
        yield f"| image | {name} | {_number(least)} | {_number(most)} |"
    yield f"| dedup | similarity to a kept document | | below {dedup.threshold:g} |"
    yield ""


def _off(run: Run) -> Iterator[str]:
    yield "Not applied:"
    yield ""
    yield from (f"- {name}: {why}" for name, why in off(run.cfg).items())
    yield ""


def _licences(last: StageSummary | None) -> Iterator[str]:
    counts: Mapping[str, int] = last.counts.of.get("licence", {}) if last else {}
    yield "## Licences found"
    yield ""
    yield (
        "As pages state them; this is no legal advice. Text and images stay with their owners, and "
        "`license` of each document says what its page said."
    )
    yield ""
    yield "| licence | documents | training | share alike | attribution |"
    yield "| --- | ---: | --- | --- | --- |"
    for name, count in sorted(counts.items(), key=lambda x: (-x[1], x[0])):
        use = usage(name)
        alike, named = ("yes" if flag else "no" for flag in (use.share_alike, use.attribution))
        yield f"| {_cell(name)} | {count:,} | {use.train} | {alike} | {named} |"
    yield ""


def _counted(title: str, name: str, last: StageSummary | None) -> Iterator[str]:
    counts: Mapping[str, int] = last.counts.of.get(name, {}) if last else {}
    yield f"## {title}"
    yield ""
    for value, count in sorted(counts.items(), key=lambda x: (-x[1], x[0]))[:MOST_NAMES]:
        yield f"- {_cell(value)}: {count:,}"
    yield ""


def _samples(run: Run, last: StageSummary | None) -> Iterator[str]:
    rows = samples(run, FINAL, last.shards, SHOWN).get("kept", []) if last else []
    yield "## Sample documents"
    yield ""
    for row in rows:
        document = row["document"]
        yield f"### {_cell(document.get('title') or document['id'])}"
        yield ""
        for block in document["blocks"][:6]:
            said = block["image"]["url"] if "image" in block else block.get("text", "")
            yield f"- {block['kind']}: {_cell(said[:TEXT])}"
        yield ""


def _cell(text: str) -> str:
    """A text of a page as harmless Markdown on one line."""
    plain = " ".join(text.split())
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>|#!" else char for char in plain)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
