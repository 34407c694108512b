"""The stage ``image``: what is known of images is found over all shards, then documents judged.

Every image is judged by itself; then hashes are counted over all shards, and images in too many
documents go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from tilewise.corpus.dedup.counts_file import load_counts, save_counts
from tilewise.corpus.dedup.image_urls import distinct_image_urls
from tilewise.corpus.images.find import (
    BEFORE,
    STAGE,
    STORE,
    Archived,
    Fetch,
    fetch_led,
    parts,
    wanted,
)
from tilewise.corpus.images.frequency import ImageCounts, image_frequency
from tilewise.corpus.images.index import KEYS, PARTS, ImageIndex, index_images
from tilewise.corpus.images.rules import drop_frequent, filter_images
from tilewise.corpus.over import RunnerMap
from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import (
    Marker,
    RowWriter,
    StageFolder,
    Told,
    key_of,
    read_rows,
    sha256_of,
)
from tilewise.corpus.steps import Outcome, ShardOutput, guarded, shard_key
from tilewise.records import Document, Dropped
from tilewise.runners.work import Runner
from tilewise.settings import plain
from tilewise.shards.documents import from_row, to_row

COUNTS: Final = "counts.json"
"""Where the counts of hashes lie."""

Result = TypeVar("Result")


def find(run: Run, runner: Runner, told: Told) -> None:
    """Find out over all shards what the documents' images are; what is done stays done."""
    over, work = RunnerMap(runner), run.folder(STAGE) / "work"
    for folder in (run.root / STORE, run.folder(STAGE) / "judged"):
        StageFolder(folder).sweep()
    archived = Archived(run, wanted(run, over, told))
    _mapped(over, archived, len(run.shards), "images of archives", told)
    store = run.root / STORE
    index_images(store)
    memory = run.cfg.dedup.memory_bytes
    if run.cfg.fetch is not None:
        urls = distinct_image_urls(parts(run), work, over, memory_bytes=memory, told=told)
        _mapped(over, Fetch(run, urls), urls.parts, "images of the web", told)
        index_images(store)
        fetch_led(run)
        index_images(store)
    stamp = key_of({name: sha256_of(store / name) for name in (KEYS, PARTS)})
    _mapped(over, Judged(run, stamp), len(run.shards), "images judged", told)
    judged = [judged_file(run, shard) for shard in range(len(run.shards))]
    counts = image_frequency(judged, work, over, memory_bytes=memory, told=told).counts
    save_counts(run.folder(STAGE) / COUNTS, counts)


@dataclass(frozen=True, slots=True)
class Judged:
    """Judges every image of one shard's documents by itself; all documents stay in the file."""

    run: Run
    stamp: str

    def __call__(self, shard: int) -> Marker:
        """Do one shard; ``stamp`` is of all that is known of images."""
        run, folder = self.run, StageFolder(self.run.folder(STAGE) / "judged")
        settings = [plain(run.cfg.image), self.stamp]
        key = shard_key(run, "judged", shard, settings, BEFORE)
        done = folder.believed(shard, key)
        if done is not None:
            return done
        index = ImageIndex(run.root / STORE)
        try:
            with RowWriter(judged_file(run, shard)) as out:
                for row in read_rows(parts(run)[shard]):
                    verdict = filter_images(from_row(row), index.lookup, run.cfg.image)
                    whole = verdict.document if isinstance(verdict, Dropped) else verdict
                    assert whole is not None
                    out.write(to_row(whole))
                told = out.commit()
        finally:
            index.close()
        marker: Marker = {"key": key, "files": {out.path.name: told}, "counts": {}}
        folder.write_marker(shard, marker)
        return marker


def judged_file(run: Run, shard: int) -> Path:
    """The documents of a shard with all their images judged."""
    return StageFolder(run.folder(STAGE) / "judged").file("part", shard)


def open_images(run: Run) -> Callable[[int], list[Outcome]]:
    """The work on one shard: images in too many documents go, then documents without any."""
    counts = load_counts(run.folder(STAGE) / COUNTS)
    frequency = ImageCounts(counts)

    def work(shard: int) -> list[Outcome]:
        judged = (StageFolder(run.folder(STAGE) / "judged").read_marker(shard) or {}).get("files")
        settings = [plain(run.cfg.image), judged, counts.step.key]
        key = shard_key(run, STAGE, shard, settings, BEFORE)
        done = StageFolder(run.folder(STAGE)).believed(shard, key)
        if done is not None:
            return [Outcome(stage=STAGE, shard=shard, marker=done, was_done=True)]
        marker = _counted(run, shard, key, frequency)
        return [Outcome(stage=STAGE, shard=shard, marker=marker)]

    return work


def _counted(run: Run, shard: int, key: str, frequency: ImageCounts) -> Marker:
    def step(document: Document) -> Document | Dropped:
        return drop_frequent(document, frequency, run.cfg.image)

    both = zip(read_rows(parts(run)[shard]), read_rows(judged_file(run, shard)), strict=True)
    with ShardOutput(run, STAGE, shard, key) as out:
        for row, judged in both:
            before = from_row(row)
            verdict = guarded(step, from_row(judged), STAGE)
            if isinstance(verdict, Dropped):
                out.drop(before, verdict)
            else:
                out.keep(before, verdict)
        return out.commit()


def _mapped(
    over: RunnerMap, step: Callable[[int], Result], count: int, name: str, told: Told
) -> None:
    for done, _ in enumerate(over(step, range(count)), start=1):
        told(name, done, count)
