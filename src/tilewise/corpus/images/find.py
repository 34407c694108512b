"""Over all shards: which images documents want, and what there is to know about these.

Records of the archives come first; what they do not hold is asked for, each URL once, if that is
switched on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tilewise.corpus.crawl.raw import RawImage
from tilewise.corpus.crawl.step import read_piece
from tilewise.corpus.dedup.counts import Counts, count_keys, key_of_text
from tilewise.corpus.dedup.image_urls import ImageUrls
from tilewise.corpus.dedup.steps import bounds, read_documents
from tilewise.corpus.dedup.urls import domain_of
from tilewise.corpus.images.ad_urls import ad_word
from tilewise.corpus.images.addresses import checked_url
from tilewise.corpus.images.fetch import fetch_images, led_to
from tilewise.corpus.images.index import ImageIndex
from tilewise.corpus.images.measure import measure_part
from tilewise.corpus.images.rules import ImageConfig, wanted_images
from tilewise.corpus.images.store import ImagePart, put_archived
from tilewise.corpus.over import RunnerMap
from tilewise.corpus.plan import Piece, Run
from tilewise.corpus.stage_files import Marker, StageFolder, Told, key_of, read_rows, told_of
from tilewise.corpus.steps import VERSION
from tilewise.errors import SourceError
from tilewise.records import Document
from tilewise.settings import plain

STAGE: Final = "image"
BEFORE: Final = "dedup"

STORE: Final = "fetched"
"""The folder, in that of the run, with the bytes of images."""

LED: Final = "fetched-led"
"""The part of images that redirects led to."""

GAP_BYTES: Final = 1 << 18
"""Bytes between two records that are read rather than sought past."""


def wanted(run: Run, over: RunnerMap, told: Told) -> Counts:
    """The images that documents want, by the hash of their URL."""
    cfg = run.cfg.image
    return count_keys(
        "wanted",
        parts(run),
        run.folder(STAGE) / "work",
        partial(_keys, cfg=cfg),
        over,
        settings=plain(cfg),
        memory_bytes=run.cfg.dedup.memory_bytes,
        read=read_documents,
        told=told,
    )


def parts(run: Run) -> list[Path]:
    """The files of the documents that the stage takes."""
    folder = StageFolder(run.folder(BEFORE))
    return [folder.file("part", shard) for shard in range(len(run.shards))]


@dataclass(frozen=True, slots=True)
class Archived:
    """Keeps the images of one archive shard that any document wants, with facts about them."""

    run: Run
    wanted: Counts

    def __call__(self, shard: int) -> Marker:
        """Do one shard."""
        run, folder, name = self.run, StageFolder(self.run.root / STORE), f"archive-{shard:05}"
        key = key_of(
            {
                "version": VERSION,
                "settings": plain([run.cfg.image, run.cfg.read]),
                "wanted": self.wanted.step.key,
                "read": _files(run, shard),
            }
        )
        done = folder.believed(shard, key)
        if done is not None:
            return done
        offsets = self._offsets(shard)
        with ImagePart(folder.path, name, restart=True) as part:
            for piece in run.shards[shard]:
                for raw in _records(run, piece, offsets):
                    put_archived(part, raw)
        measured = measure_part(folder.path, name, run.cfg.image)
        files = [folder.path / f"{name}.{ending}" for ending in ("log", "bytes", "facts")]
        told = {path.name: told_of(path, 0) for path in files if path.exists()}
        marker: Marker = {"key": key, "files": told, "counts": dict(measured)}
        folder.write_marker(shard, marker)
        return marker

    def _offsets(self, shard: int) -> dict[str, set[int]]:
        """Where wanted images and all rules of hosts lie, by source."""
        found: dict[str, set[int]] = {}
        read = StageFolder(self.run.folder("read"))
        for row in read_rows(read.file("robots", shard)):
            found.setdefault(row["archive"], set()).add(row["offset"])
        for row in read_rows(read.file("images", shard)):
            if any(self.wanted([key])[0] for key in _key(row["url"])):
                found.setdefault(row["archive"], set()).add(row["offset"])
        return found


@dataclass(frozen=True, slots=True)
class Fetch:
    """Asks hosts for the images of one part that no archive holds, each URL once."""

    run: Run
    urls: ImageUrls

    def __call__(self, part: int) -> Counter[str]:
        """Do one part; what an earlier run was answered is not asked again."""
        cfg, store, name = self.run.cfg.fetch, self.run.root / STORE, f"fetched-{part:05}"
        assert cfg is not None, "fetching is switched on"
        with closing(ImageIndex(store)) as known:
            urls = (url for url in self.urls.of(part) if not ad_word(url, *_ads(self.run)))
            owns = partial(_owns, part=part, parts=self.urls.parts)
            counts = fetch_images(urls, store, name, cfg, skip=known.has, owns=owns)
        return counts + measure_part(store, name, self.run.cfg.image)


def fetch_led(run: Run) -> None:
    """Ask for what redirects led to at hosts of other parts; those of all parts must be done."""
    cfg, store = run.cfg.fetch, run.root / STORE
    assert cfg is not None, "fetching is switched on"
    with closing(ImageIndex(store)) as known:
        rest = led_to(store, known.has)
        if rest:
            fetch_images(rest, store, LED, cfg, skip=known.has)
            measure_part(store, LED, run.cfg.image)


def _owns(url: str, part: int, parts: int) -> bool:
    """Whether a URL's host is of a part, as ``ImageUrls`` has them."""
    low, high = bounds(part, parts)
    return low <= key_of_text(domain_of(url)) < high


def _ads(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return run.cfg.image.ad_words, run.cfg.image.ad_names


def _keys(document: Document, cfg: ImageConfig) -> Iterable[int]:
    for url in wanted_images(document, cfg):
        yield from _key(url)


def _key(url: str) -> Iterator[int]:
    """The key of a URL in the form by which images are known; none where it may not be asked."""
    try:
        yield key_of_text("image", checked_url(url))
    except SourceError:
        return


def _files(run: Run, shard: int) -> dict[str, Any]:
    """What the stage ``read`` says of where images and rules lie."""
    read = StageFolder(run.folder("read"))
    told = (read.read_marker(shard) or {}).get("files", {})
    return {kind: told.get(read.file(kind, shard).name) for kind in ("images", "robots")}


def _records(run: Run, piece: Piece, offsets: Mapping[str, set[int]]) -> Iterator[RawImage]:
    """Wanted records of a piece; what lies close together is read in one go."""
    broken = Counter[str]()  # they were counted when they were read first
    for start, end in _ranges(piece, offsets.get(piece.name, set())):
        for raw in read_piece(run, piece, start, end, lambda reason: broken.update([reason])):
            if isinstance(raw, RawImage) and raw.offset in offsets.get(raw.archive, ()):
                yield raw


def _ranges(piece: Piece, offsets: set[int]) -> Iterator[tuple[int, int]]:
    """Ranges of a piece in which there is something wanted; of a folder all of its files."""
    if piece.unit == "pages":
        yield piece.start, piece.end
        return
    at = sorted(offset for offset in offsets if piece.start <= offset < piece.end)
    first = 0
    for i in range(1, len(at) + 1):
        if i == len(at) or at[i] - at[i - 1] > GAP_BYTES:
            yield at[first], at[i - 1] + 1
            first = i
