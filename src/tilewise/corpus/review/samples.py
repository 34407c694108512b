"""Documents of a run for people to judge: which, and what each rule did to them.

Sampling is by a hash of seed and document id, so the same seed draws the same documents from the
same run whatever the number of shards and workers. Source: OmniCorpus (arXiv 2406.08418), section
on human feedback: draw documents, write down what is wrong, write rules, test them on labels.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tilewise.corpus.filters.detailed import all_reasons, apply_rules, filter_full, rules_of
from tilewise.corpus.filters.edits import Edit
from tilewise.corpus.filters.gates import GATES
from tilewise.corpus.filters.preliminary import Broken
from tilewise.corpus.filters.scorers import Scorers, from_files
from tilewise.corpus.images.find import STORE
from tilewise.corpus.images.index import ImageIndex
from tilewise.corpus.plan import Run
from tilewise.corpus.review.labels import ALL_RULES, Label
from tilewise.corpus.stage_files import StageFolder, read_rows
from tilewise.corpus.stages import BEFORE, DETAILED_TEXT, STAGES, count_shards
from tilewise.errors import DataError
from tilewise.records import Document, Dropped
from tilewise.shards.documents import dropped_from_row, from_row, image_name
from tilewise.shards.image_files import FOLDER, ImageFolder

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A document before the detailed filter, or as an earlier stage dropped it."""

    document: Document
    dropped: Dropped | None = None


def sample(run: Run, count: int, seed: int, dropped_share: float = 0.25) -> list[Sampled]:
    """Draw documents of a run.

    Args:
        run: a run whose stages up to the one before the detailed filter are done.
        count: documents in all, fewer where the run has fewer.
        seed: another one draws others.
        dropped_share: the share of those that earlier stages dropped.

    Returns:
        Documents in the order of their draw.

    Raises:
        DataError: the run has no documents to draw from yet.
    """
    earlier = _smallest(_dropped_rows(run), round(count * dropped_share), seed)
    found = [
        Sampled(document=one.document, dropped=one)
        for one in map(dropped_from_row, earlier)
        if one.document is not None
    ]
    rows = _smallest(_rows(run, BEFORE[DETAILED_TEXT]), count - len(found), seed)
    found += [Sampled(document=from_row(row)) for row in rows]
    if not found:
        raise DataError(
            f"{run.root} has no documents before the stage {DETAILED_TEXT} yet; finish tilewise "
            "corpus build first."
        )
    return sorted(found, key=lambda one: _place(seed, one.document.id))


def _smallest(rows: Iterator[Row], count: int, seed: int) -> list[Row]:
    return heapq.nsmallest(count, rows, key=lambda row: _place(seed, row["id"]))


def _place(seed: int, name: str) -> bytes:
    return sha256(f"{seed} {name}".encode()).digest()


def _rows(run: Run, stage: str) -> Iterator[Row]:
    folder = StageFolder(run.folder(stage))
    for shard in range(count_shards(run, stage)):
        path = folder.file("part", shard)
        if path.exists():
            yield from read_rows(path)


def _dropped_rows(run: Run) -> Iterator[Row]:
    """Documents that stages before the detailed filter dropped, as far as samples hold them."""
    for stage in STAGES[: STAGES.index(DETAILED_TEXT)]:
        folder = StageFolder(run.folder(stage))
        for shard in range(count_shards(run, stage)):
            path = folder.file("samples", shard)
            for row in read_rows(path) if path.exists() else ():
                if row.get("verdict") != "kept" and "document" in row:
                    yield {key: value for key, value in row.items() if key != "verdict"}


def judged(run: Run, one: Sampled) -> tuple[list[Edit], tuple[Broken, ...], Dropped | None]:
    """What the rules do to a sampled document, all gates that are shut, and its verdict."""
    if one.dropped is not None:
        return [], (), one.dropped
    trace: list[Edit] = []
    scorers: Scorers = from_files(run.cfg.scorers)
    found = filter_full(one.document, run.cfg.detailed_text, scorers, trace)
    broken = all_reasons(one.document, run.cfg.detailed_text, scorers)
    return trace, broken, found if isinstance(found, Dropped) else None


def pictures(run: Run) -> Callable[[str], bytes | None]:
    """Looks up the bytes of images of a run: those kept as files, then all that were found."""
    kept = ImageFolder(run.root / FOLDER)
    try:
        index: ImageIndex | None = ImageIndex(run.root / STORE)
    except DataError:
        index = None  # the image stage has not ended

    def picture(url: str) -> bytes | None:
        data = kept.read(url)
        return data if data is not None or index is None else index.data(url)

    return picture


def view(run: Run, one: Sampled, has_image: Callable[[str], bool]) -> Row:
    """A sampled document as JSON for the page: blocks with their edits, verdict, measures."""
    trace, broken, dropped = judged(run, one)
    document = one.document
    blocks = [_block(place, document, trace, has_image) for place in range(len(document.blocks))]
    off = run.cfg.detailed_text.off
    rules = [
        {"id": rule.id, "number": rule.number, "says": rule.says}
        for rule in rules_of(document.lang)
        if rule.id not in off
    ]
    return {
        **summary(one, dropped),
        "blocks": blocks,
        "rules": rules,
        "gates": [name for name in GATES if name not in off],
        "reasons": [{"reason": b.reason, "value": b.value, "limit": b.threshold} for b in broken],
        "scores": dict(
            dropped.document.scores if dropped and dropped.document else document.scores
        ),
        "rules_fired": sorted(
            {edit.rule for edit in trace} | ({dropped.reason} if dropped else set())
        ),
    }


def summary(one: Sampled, dropped: Dropped | None) -> Row:
    """A sampled document in a list: where it is from, and its verdict."""
    document = one.document
    return {
        "id": document.id,
        "url": document.url,
        "title": document.title,
        "lang": document.lang,
        "captured": document.captured,
        "stage": dropped.stage if dropped else "",
        "reason": dropped.reason if dropped else "",
        "value": dropped.value if dropped else None,
        "limit": dropped.threshold if dropped else None,
        "by_rules": one.dropped is None,
    }


def _block(
    place: int, document: Document, trace: list[Edit], has_image: Callable[[str], bool]
) -> Row:
    block = document.blocks[place]
    edits = [
        {"rule": e.rule, "round": e.round, "before": e.before, "after": e.after}
        for e in trace
        if e.block == place
    ]
    row: Row = {"kind": block.kind, "level": block.level, "text": block.text, "edits": edits}
    image = block.image
    if image is not None:
        row["image"] = {
            "name": image_name(image.url) if has_image(image.url) else "",
            "url": image.url,
            "alt": image.alt or image.caption,
            "dropped": image.dropped or "",
            "size": f"{image.width} x {image.height}" if image.width else "",
        }
    return row


def check_label(run: Run, one: Sampled, label: Label) -> None:
    """See that a label is about what the page showed: a wrong one would spoil rates of rules.

    Raises:
        DataError: there is no such rule or block, or the rule did not do what the label says.
    """
    trace, broken, dropped = judged(run, one)
    gates = {found.reason for found in broken} | ({dropped.reason} if dropped else set())
    fired = gates | {edit.rule for edit in trace}
    known = {rule.id for rule in rules_of(one.document.lang)} | set(GATES) | fired
    if unknown := {label.rule, *label.rules_fired} - known - {ALL_RULES}:
        raise DataError(
            f"there is no rule {min(unknown)!r:.80} for this document; tilewise corpus rules list "
            "names those that there are."
        )
    count = len(one.document.blocks)
    if label.block is not None and label.block >= count:
        raise DataError(f"the document has {count:,} blocks, from 0 up, and no {label.block}.")
    acts = {edit.rule for edit in trace if edit.block == label.block} | (
        gates if label.block is None else set()
    )
    if label.fired != (label.rule in acts):
        place = "the document" if label.block is None else f"block {label.block}"
        did = "nothing" if label.fired else "something"
        raise DataError(
            f"'fired' of the label is {str(label.fired).lower()}, but the rule {label.rule} did "
            f"{did} to {place}; load the page anew."
        )


def acted(run: Run, documents: list[Sampled]) -> Iterator[tuple[str, list[str]]]:
    """Of each document before the detailed filter, its year of capture and the rules that act."""
    for one in documents:
        if one.dropped is None:
            edits = apply_rules(one.document, run.cfg.detailed_text).edits
            gates = all_reasons(one.document, run.cfg.detailed_text)
            fired = {edit.rule for edit in edits} | {broken.reason for broken in gates}
            yield one.document.captured[:4] or "unknown", sorted(fired)
