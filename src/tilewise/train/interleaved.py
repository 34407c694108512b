"""Interleaved documents of shards as a stream for PyTorch, shuffled and taken up anywhere.

An order is drawn for each pass: groups of rows of all shards one after the other, each group's rows
mixed, and then mixed again in a buffer. It is cut into as many equal parts as there are readers,
the workers of all ranks, so that each row comes once in a pass over all of them and a reader
decodes no more than its part. Nothing of it depends on time or on the other readers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from torch.utils.data import IterableDataset, get_worker_info

from tilewise.errors import ConfigError, DataError
from tilewise.records import Document
from tilewise.shards.conversation import Bad, BadError, ImageRef
from tilewise.shards.document_shards import AT_A_TIME, Place, Shards, Stored, open_index
from tilewise.shards.image_files import images_of
from tilewise.train.draw import shuffle
from tilewise.train.near import RowOrder

VERSION: Final = 1

_ORDER, _BUFFER = range(2)  # kinds of draws


class At(NamedTuple):
    """Where a row came: its reader among the rank's workers, the pass, its shard and its row.

    ``is_last``: the reader's part of the pass ends with it.
    """

    worker: int
    workers: int
    epoch: int
    shard: int
    row: int
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A document of a stream.

    ``images`` are those of the document in order, None where the shard has none. ``bad`` are rows
    that came before it (and of the last one of a pass, behind it) and are damaged.
    """

    document: Document
    images: tuple[ImageRef | None, ...]
    at: At
    bad: tuple[Bad, ...] = ()


class InterleavedDataset(IterableDataset[Item]):
    """A stream of documents; each ``iter`` is what is left of a pass, and then a whole one.

    In a DataLoader give ``collate_fn=list``, or a function that makes a batch of items. Where it
    has workers, tell ``seen`` of each batch that was learned from: only then ``state_dict`` knows
    how far the workers' rows were used. Without ``seen``, ``set_epoch`` begins each pass.

    Args:
        path: a folder of shards, its index, or one shard.
        seed: of the order.
        rank, world: this process among those that train together.
        buffer: rows that are mixed; memory holds the groups that they are in.
        root: folder of images whose bytes are not in the shards; default: ``images`` beside them.
        is_endless: pass follows pass in one ``iter``.

    Raises:
        ConfigError: a setting cannot hold.
        DataError: there are no shards, or no rows in them.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        buffer: int = 10_000,
        root: str | Path | None = None,
        is_endless: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= rank < world or buffer < 1:
            raise ConfigError(
                f"rank is {rank}, world is {world} and buffer is {buffer}; a rank from 0 up to "
                "below world and a buffer of at least one row are allowed."
            )
        index = open_index(Path(path))
        self._shards = Shards(index, images_of(index.folder, None if root is None else Path(root)))
        if not len(self._shards):
            raise DataError(f"{path} holds no documents; leave it out or fill it.")
        self._shards.kept = buffer + 2 * max(self._shards.sizes)
        self._order = RowOrder(self._shards.sizes, seed, _ORDER)
        self._settings = {
            "version": VERSION,
            "seed": seed,
            "rank": rank,
            "world": world,
            "buffer": buffer,
            "shards": _fingerprint(self._shards),
        }
        self._seed, self._rank, self._world, self._buffer = seed, rank, world, buffer
        self._is_endless = is_endless
        self._epoch = 0
        self._at: dict[int, At] = {}
        self._workers = 0
        self._turn = 0
        self.bad: Counter[str] = Counter()

    def __len__(self) -> int:
        """Rows of this rank in a pass, damaged ones included."""
        if self._is_endless:
            raise TypeError("an endless stream has no length")
        total = len(self._shards)
        return total * (self._rank + 1) // self._world - total * self._rank // self._world

    @property
    def epoch(self) -> int:
        """The pass that the next ``iter`` is in."""
        return self._epoch + self._is_over()

    def set_epoch(self, epoch: int) -> None:
        """Begin a pass, or go on with it if the stream is in the middle of it."""
        if epoch != self._epoch or self._is_over():
            self._epoch, self._at, self._turn = epoch, {}, 0

    def __iter__(self) -> Iterator[Item]:
        info = get_worker_info()
        if info is None:
            for item in self.read(0, 1):
                self.seen([item])
                yield item
        else:
            worker = (info.id + self._turn) % info.num_workers
            for item in self.read(worker, info.num_workers):
                self._at[worker], self._workers = item.at, info.num_workers  # of this copy
                yield item

    def read(self, worker: int, workers: int) -> Iterator[Item]:
        """What is left of a pass for one of the rank's workers.

        Raises:
            ConfigError: the stream was left with another number of workers.
            DataError: a shard is damaged, or is another than the index says.
        """
        if self._at and workers != self._workers:
            raise ConfigError(
                f"the stream was left with {max(1, self._workers)} readers in this process and now "
                f"has {workers}; take as many workers as before, or begin a pass (set_epoch)."
            )
        epoch, given = self._begin(worker)
        yield from self._pass(worker, workers, epoch, given)
        while self._is_endless:
            epoch += 1
            yield from self._pass(worker, workers, epoch, 0)

    def seen(self, items: Iterable[Item | At]) -> None:
        """Count items as used, those of each worker in the order in which they came."""
        for item in items:
            at = At(*item.at) if isinstance(item, Item) else At(*item)
            if isinstance(item, Item):
                self.bad.update(bad.reason for bad in item.bad)
            if at.epoch > self._epoch and not self._is_endless:
                self._epoch, self._at = at.epoch, {}
            self._at[at.worker], self._workers = at, at.workers
            self._turn = (at.worker + 1) % at.workers

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands behind the items that were seen, as plain values."""
        return {
            **self._settings,
            "epoch": self._epoch,
            "workers": self._workers,
            "turn": self._turn,
            "bad": dict(self.bad),
            "readers": [at._asdict() for _, at in sorted(self._at.items())],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same shards and settings.

        Raises:
            ConfigError: a setting is another.
            DataError: the shards are others, or the state does not hold together.
        """
        for name, value in self._settings.items():
            if state.get(name) != value:
                kind = DataError if name == "shards" else ConfigError
                raise kind(
                    f"the stream was left with {name} {state.get(name)!r} and now has {value!r}; "
                    "give what it had, or begin anew without the state."
                )
        try:
            readers = [At(**one) for one in state["readers"]]
            workers, turn = int(state["workers"]), int(state["turn"])
            epoch, bad = int(state["epoch"]), Counter(state["bad"])
            for at in readers:
                self._given(at)
        except (KeyError, TypeError, ValueError, IndexError) as err:
            raise DataError(
                f"the state of the stream does not hold together ({err}); take one that "
                "state_dict gave."
            ) from err
        self._at = {at.worker: at for at in readers}
        self._epoch, self._workers, self._turn, self.bad = epoch, workers, turn, bad

    def _is_over(self) -> bool:
        """Whether all readers of this rank are at the end of the pass."""
        parts = (self._part(worker, self._workers) for worker in range(self._workers))
        return bool(self._at) and all(
            start == end or (worker in self._at and self._at[worker].is_last)
            for worker, (start, end) in enumerate(parts)
        )

    def _begin(self, worker: int) -> tuple[int, int]:
        """The pass that a reader goes on with, and how many of its rows were given."""
        own = self._at.get(worker)
        if own is None:
            return self._epoch, 0
        if own.is_last and (self._is_endless or all(at.is_last for at in self._at.values())):
            return own.epoch + 1, 0
        return own.epoch, self._given(own)

    def _given(self, at: At) -> int:
        """How many rows of its part a reader has given, with this one."""
        position = self._order.position(self._number(at), at.epoch)
        start, end = self._part(at.worker, at.workers)
        if not start <= position < end:
            raise ValueError(f"row {at.row} of shard {at.shard} is not that reader's")
        if at.is_last:
            return end - start
        window = (position - start) // self._buffer
        order = self._window(at.worker, at.workers, at.epoch, window)
        within = position - start - window * self._buffer
        return window * self._buffer + order.index(within) + 1

    def _number(self, at: At) -> int:
        rows = self._shards.rows_of(at.shard)
        return rows[at.row]

    def _part(self, worker: int, workers: int) -> tuple[int, int]:
        """Positions of a pass that are a reader's."""
        reader, readers = self._rank * workers + worker, self._world * workers
        total = len(self._shards)
        return total * reader // readers, total * (reader + 1) // readers

    def _window(self, worker: int, workers: int, epoch: int, window: int) -> list[int]:
        """The order of the rows that are in the buffer together."""
        start, end = self._part(worker, workers)
        size = min(self._buffer, end - start - window * self._buffer)
        key = (self._seed, _BUFFER, self._rank * workers + worker, epoch, window)
        found: list[int] = shuffle(size, *key).tolist()
        return found

    def _rows(self, worker: int, workers: int, epoch: int, given: int) -> Iterator[int]:
        """Numbers of the rows of a reader behind those that it has given."""
        start, end = self._part(worker, workers)
        for first in range(given - given % self._buffer, end - start, self._buffer):
            order = self._window(worker, workers, epoch, first // self._buffer)
            for within in order[max(0, given - first) :]:
                yield self._order.row(start + first + within, epoch)

    def _read(self, rows: Iterator[int]) -> Iterator[tuple[Place, Stored, Document] | Bad]:
        """Documents of rows, some of which are decoded at a time."""
        while numbers := list(islice(rows, AT_A_TIME)):
            for number, stored in zip(numbers, self._shards.many(numbers), strict=True):
                if isinstance(stored, Bad):
                    yield stored
                    continue
                try:
                    document = stored.document()
                except BadError as err:
                    yield Bad(stored.where, err.reason, err.detail)
                else:
                    yield self._shards.place(number), stored, document

    def _pass(self, worker: int, workers: int, epoch: int, given: int) -> Iterator[Item]:
        """Items of a reader; each is held until it is known whether it is the last."""
        held: Item | None = None
        bad: list[Bad] = []
        rows = self._rows(worker, workers, epoch, given)
        for found in self._read(rows):
            if isinstance(found, Bad):
                bad.append(found)
                continue
            place, stored, document = found
            if held is not None:
                yield held
            at = At(worker, workers, epoch, place.shard, place.row, is_last=False)
            held = Item(document=document, images=stored.images, at=at, bad=tuple(bad))
            bad = []
        if held is not None:
            at = held.at._replace(is_last=True)
            yield replace(held, at=at, bad=(*held.bad, *bad))
        elif bad:
            raise DataError(
                f"none of {len(bad):,} rows can be read, the first, {bad[0].where}, is so: "
                f"{bad[0].reason}, {bad[0].detail}; see what tilewise corpus verify says."
            )


def _fingerprint(shards: Shards) -> str:
    """What the order of rows depends on: names, rows and groups of the shards, in 16 digits."""
    said = hashlib.sha256()
    for shard in shards.index.shards:
        rows: Sequence[int] = [group.rows for group in shard.groups]
        said.update(f"{Path(shard.name).name} {shard.sha256} {rows}\n".encode())
    return said.hexdigest()[:16]
