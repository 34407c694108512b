"""The stages of a run over one shard: rows in, rows out, with every dropped document's reason.

Each stage is a function from the shard's number to its marker. It knows nothing of other shards,
processes or clusters; what it needs of other shards lies on disk, made by ``globals``.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from time import perf_counter, process_time
from typing import Any, Final

from tilewise.corpus.page_watch import PageWatch, passed_over
from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import Marker, RowWriter, StageFolder, key_of, read_rows
from tilewise.corpus.stats import Tally
from tilewise.errors import ConfigError, TilewiseError
from tilewise.records import Document, Dropped
from tilewise.shards.documents import dropped_to_row, from_row, to_row

_log = logging.getLogger(__name__)

VERSION: Final = 1
"""Of the stages' work; a new number makes every stage do its work again."""

FAULTS: Final = (
    # what a page may bring about in a library, besides what is raised on purpose
    ValueError, LookupError, TypeError, ArithmeticError, AttributeError, AssertionError,
    RuntimeError, EOFError, RecursionError,
)  # fmt: skip

Step = Callable[[Document], Document | Dropped]
"""What a stage does with one document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a shard of a stage ended: ``marker``, or the ``error`` that keeps it from its end.

    ``was_done``: an earlier run had done it; ``is_lost``: its workers ended.
    """

    stage: str
    shard: int
    marker: Marker | None = None
    error: str | None = None
    was_done: bool = False
    is_lost: bool = False


class ShardOutput:
    """The files of one shard of one stage, made together: rows, dropped ones, samples, marker.

    Args:
        run, stage, shard: where they go.
        key: what the result depends on.
        kinds: further files of rows, by name.
    """

    def __init__(self, run: Run, stage: str, shard: int, key: str, *kinds: str) -> None:
        self.tally = Tally()
        self.seconds: dict[str, float] = {}
        self.extra: dict[str, Any] = {}
        self._stage, self._shard, self._key = stage, shard, key
        self._folder = StageFolder(run.folder(stage))
        self._began = perf_counter(), process_time()
        self._stack = ExitStack()
        names = ("part", "dropped", "samples", *kinds)
        self._files = {name: RowWriter(self._folder.file(name, shard)) for name in names}
        for file in self._files.values():
            self._stack.enter_context(file)
        self._samples = _Samples(run.cfg.run.samples)

    def keep(self, before: Document | None, after: Document) -> None:
        """Write and count a document that stays."""
        self.tally.keep(before, after)
        row = to_row(after)
        self._files["part"].write(row)
        self._samples.add("kept", after.id, lambda: {"document": row})

    def drop(self, before: Document | None, dropped: Dropped) -> None:
        """Write and count a document that goes; the row holds why, its text is in samples."""
        self.tally.drop(before, dropped)
        self._files["dropped"].write(dropped_to_row(replace(dropped, document=None)))
        whole = dropped.document or before
        self._samples.add(
            dropped.reason,
            dropped.id,
            lambda: dropped_to_row(replace(dropped, document=whole)),
        )

    def broken(self, reason: str) -> None:
        """Count a record that cannot be read."""
        self.tally.broken[reason] += 1

    def write(self, kind: str, row: dict[str, Any]) -> None:
        """Add a row to another file."""
        self._files[kind].write(row)

    def commit(self) -> Marker:
        """Give all files their names and say that the shard is done."""
        self.tally.check(f"stage {self._stage}, shard {self._shard}")
        for verdict, row in self._samples.rows():
            self._files["samples"].write({"verdict": verdict, **row})
        files = {file.path.name: file.commit() for file in self._files.values()}
        seconds = {"all": perf_counter() - self._began[0], "cpu": process_time() - self._began[1]}
        seconds |= self.seconds
        marker: Marker = {
            "key": self._key,
            "files": files,
            "counts": self.tally.plain(),
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            **self.extra,
        }
        self._folder.write_marker(self._shard, marker)
        return marker

    def __enter__(self) -> ShardOutput:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.__exit__(*raised)


@dataclass(slots=True)
class _Samples:
    """A few documents of each verdict, those whose ids have the least hashes."""

    most: int
    heaps: dict[str, list[tuple[int, str, int, dict[str, Any]]]] = field(default_factory=dict)
    seen: int = 0

    def add(self, verdict: str, name: str, row: Callable[[], dict[str, Any]]) -> None:
        heap = self.heaps.setdefault(verdict, [])
        place = -int.from_bytes(sha256(name.encode()).digest()[:8])
        self.seen += 1  # tells apart what has one id, such as a page that is there twice
        if len(heap) < self.most:
            heapq.heappush(heap, (place, name, -self.seen, row()))
        elif heap and (place, name) > heap[0][:2]:
            heapq.heapreplace(heap, (place, name, -self.seen, row()))

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for verdict in sorted(self.heaps):
            for *_, row in sorted(self.heaps[verdict], key=lambda one: one[:3], reverse=True):
                yield verdict, row


def filtered(run: Run, stage: str, shard: int, key: str, step: Step, before: str) -> Marker:
    """Run one step over the documents that the stage before kept.

    A fault that a document brings about in a library is that document's: it is dropped with the
    reason ``error``.
    """
    source = StageFolder(run.folder(before)).file("part", shard)
    watch = PageWatch(run.folder(stage), shard, run.cfg.run.page_seconds)
    with watch, ShardOutput(run, stage, shard, key) as out:
        for number, row in enumerate(read_rows(source)):
            document = from_row(row, str(source))
            if watch.begins(number):
                verdict = guarded(step, document, stage)
            else:
                verdict = passed_over(document.id, document.url, stage)
            if isinstance(verdict, Dropped):
                out.drop(document, verdict)
            else:
                out.keep(document, verdict)
        return out.commit()


def guarded(step: Step, document: Document, stage: str) -> Document | Dropped:
    """What a step gives, or ``Dropped`` with reason ``error`` where it raises."""
    try:
        return step(document)
    except TilewiseError:
        raise
    except FAULTS as err:
        return fault(document.id, document.url, stage, err)


def fault(name: str, url: str, stage: str, err: Exception) -> Dropped:
    """The row of a document that a library failed on."""
    _log.warning("%s: %s failed: %s: %s", url, stage, type(err).__name__, err)
    told = f"{type(err).__name__}: {err}"[:200]
    return Dropped(id=name, url=url, stage=stage, reason="error", value=told)


def shard_key(run: Run, stage: str, shard: int, settings: Iterable[object], before: str) -> str:
    """What a shard's result depends on: settings, and the rows that the stage before left.

    Raises:
        ConfigError: the stage before is not done.
    """
    marker = StageFolder(run.folder(before)).read_marker(shard)
    if marker is None:
        raise ConfigError(
            f"stage {stage} needs stage {before}, which is not done for shard {shard}; run it "
            f"first, e.g. with --until {stage}."
        )
    part = StageFolder(run.folder(before)).file("part", shard).name
    return key_of(
        {
            "version": VERSION,
            "stage": stage,
            "settings": list(settings),
            "before": marker["files"][part]["sha256"],
        }
    )
