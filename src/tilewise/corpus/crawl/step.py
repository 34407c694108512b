"""The stages that read: pages and where images lie, and the documents extracted from the pages.

Both come of one pass over the archive. Pages are not stored again: the stage ``read`` leaves where
they are, and ``extract`` alone reads them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter, process_time
from typing import Final
from urllib.parse import urlsplit

from tilewise.corpus.crawl.raw import Raw, RawPage, document_id
from tilewise.corpus.crawl.read import read_pages
from tilewise.corpus.extract.page import extract
from tilewise.corpus.page_watch import PageWatch, passed_over
from tilewise.corpus.plan import Piece, Run
from tilewise.corpus.stage_files import Marker, StageFolder, key_of
from tilewise.corpus.steps import FAULTS, VERSION, Outcome, ShardOutput, fault
from tilewise.errors import TilewiseError
from tilewise.records import Document, Dropped
from tilewise.settings import plain

READ: Final = "read"
EXTRACT: Final = "extract"


def read_shard(run: Run, shard: int, stages: tuple[str, ...]) -> list[Outcome]:
    """Read a shard for one of the two stages or for both, as far as it is not done.

    Raises:
        SourceError: a source is gone; broken records are counted.
    """
    keys = {stage: _key(run, stage, shard) for stage in stages}
    done = {s: StageFolder(run.folder(s)).believed(shard, keys[s]) for s in stages}
    missing = {stage: keys[stage] for stage in stages if done[stage] is None}
    made = _read(run, shard, missing) if missing else {}
    return [
        Outcome(stage=s, shard=shard, marker=done[s] or made[s], was_done=done[s] is not None)
        for s in stages
    ]


def _now() -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    return perf_counter(), process_time()


def _key(run: Run, stage: str, shard: int) -> str:
    settings = [run.cfg.read] if stage == READ else [run.cfg.read, run.cfg.extract]
    return key_of(
        {
            "version": VERSION,
            "stage": stage,
            "settings": plain(settings),
            "pieces": plain(run.shards[shard]),
        }
    )


def _read(run: Run, shard: int, keys: dict[str, str]) -> dict[str, Marker]:
    """One pass over the shard for the stages that need it."""
    with ExitStack() as stack:
        kinds = {READ: ("images", "robots"), EXTRACT: ()}
        out = {
            stage: stack.enter_context(ShardOutput(run, stage, shard, key, *kinds[stage]))
            for stage, key in keys.items()
        }
        watch = PageWatch(run.folder(EXTRACT), shard, run.cfg.run.page_seconds)
        stack.enter_context(watch)
        extracted, began = [0.0, 0.0], _now()
        raws = _raws(run, shard, out[READ].broken if READ in out else _nothing)
        for number, raw in enumerate(raws):
            if READ in out:
                _note(raw, out[READ])
            if EXTRACT in out and isinstance(raw, RawPage):
                at = _now()
                verdict = _extracted(raw, run) if watch.begins(number) else _passed_over(raw)
                extracted = [
                    s + now - then for s, now, then in zip(extracted, _now(), at, strict=True)
                ]
                if isinstance(verdict, Dropped):
                    out[EXTRACT].drop(None, verdict)
                else:
                    out[EXTRACT].keep(None, verdict)
        if len(out) == 2:  # what is not extraction was reading
            rest = [now - then - s for s, now, then in zip(extracted, _now(), began, strict=True)]
            out[READ].seconds.update(zip(("all", "cpu"), rest, strict=True))
            out[EXTRACT].seconds.update(zip(("all", "cpu"), extracted, strict=True))
        return {stage: one.commit() for stage, one in out.items()}


def _raws(run: Run, shard: int, counts: Callable[[str], None]) -> Iterator[Raw]:
    """What the pieces of a shard hold."""
    for piece in run.shards[shard]:
        yield from read_piece(run, piece, piece.start, piece.end, counts)


def read_piece(
    run: Run, piece: Piece, start: int, end: int, counts: Callable[[str], None]
) -> Iterator[Raw]:
    """What a range of a source holds, under the name that the source was given by.

    Raises:
        SourceError: the source is gone.
    """
    for raw in read_pages(piece.path, counts=counts, start=start, end=end, cfg=run.cfg.read):
        if isinstance(raw, Dropped) or piece.name == piece.path:
            yield raw
        else:
            yield replace(raw, archive=piece.name + raw.archive.removeprefix(piece.path))


def _note(raw: Raw, out: ShardOutput) -> None:
    """Count what was read, and write down where it is."""
    if isinstance(raw, Dropped):
        out.drop(None, raw)
        return
    place = {"url": raw.url, "captured": raw.captured, "archive": raw.archive, "offset": raw.offset}
    if isinstance(raw, RawPage):
        out.tally.page()
        out.write("part", {"id": document_id(raw.url, raw.captured), **place})
    else:
        is_robots = "/robots.txt" in raw.url and urlsplit(raw.url).path == "/robots.txt"
        out.write("robots" if is_robots else "images", place)


def _extracted(page: RawPage, run: Run) -> Document | Dropped:
    try:
        return extract(page, run.cfg.extract)
    except TilewiseError:
        raise
    except FAULTS as err:
        return fault(document_id(page.url, page.captured), page.url, EXTRACT, err)


def _passed_over(page: RawPage) -> Dropped:
    return passed_over(document_id(page.url, page.captured), page.url, EXTRACT)


def _nothing(_: str) -> None:
    """Broken records are counted where they are read first."""
