"""Steps of a global computation over shards: arrays on disk, made once, in any process.

A step is a function of one part of the work, given by its number. Its files lie in a folder of
their own and are believed as ``stage_files`` does: by a marker whose key tells everything that
they were made from, and whose hashes fit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tilewise.corpus.stage_files import Marker, StageFolder, key_of, read_rows, told_of, writing
from tilewise.errors import DataError, TilewiseError
from tilewise.records import Document
from tilewise.shards.documents import from_row

Item = TypeVar("Item")
Result = TypeVar("Result")

Array = NDArray[Any]

Read = Callable[[Path], Iterator[Document]]
"""The documents of a shard file, in order; pickled where work runs in other processes."""

Told = Callable[[str, int, int], None]
"""Called with the name of a step, how many of its parts are done, and how many there are."""

AGAIN: Final = "remove the folder and run again."


class Map(Protocol):
    """Where parts of a step run: the builtin ``map``, or one over processes or a Ray cluster.

    Results come in the order of the items. The function and the items are pickled.
    """

    def __call__(
        self, function: Callable[[Item], Result], items: Sequence[Item], /
    ) -> Iterable[Result]:
        """Apply a function to each item."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a computation in ``work``: its name, and what its files depend on."""

    work: Path
    name: str
    key: str

    @property
    def folder(self) -> StageFolder:
        """Where its files lie."""
        return StageFolder(self.work / self.name)

    def path(self, kind: str, part: int) -> Path:
        """The file of an array."""
        return self.work / self.name / f"{kind}-{part:05}.npy"


@dataclass(frozen=True, slots=True)
class Made:
    """What a part of a step leaves: arrays by kind, and numbers to be told."""

    arrays: Mapping[str, Array]
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a step as it is sent to a process."""

    step: Step
    part: int
    key: str
    make: Callable[[int], Made]

    def __call__(self) -> Marker:
        found = self.step.folder.believed(self.part, self.key)
        if found is not None:
            return found
        made = self.make(self.part)
        files = {}
        for kind, array in made.arrays.items():
            path = self.step.path(kind, self.part)
            write_array(path, array)
            files[path.name] = told_of(path, len(array))
        marker = {"key": self.key, "files": files, "counts": dict(made.counts)}
        self.step.folder.write_marker(self.part, marker)
        return marker


def run_step(
    step: Step,
    parts: int,
    make: Callable[[int], Made],
    run: Map,
    told: Told | None = None,
    keys: Sequence[str] | None = None,
) -> list[Marker]:
    """Do what is not done yet of a step.

    Args:
        step: its name and key.
        parts: how many there are.
        make: what a part leaves; picklable.
        run: where parts run.
        told: told of progress.
        keys: of the parts where each depends on something else; default, the step's.

    Returns:
        The parts' markers, in order. They say the same however the parts were run.
    """
    todo = [
        _Part(step, part, key_of({"step": step.key, "part": keys[part] if keys else ""}), make)
        for part in range(parts)
    ]
    step.folder.clear(shards_from=parts)
    done = []
    for marker in run(_call, todo):
        done.append(marker)
        if told is not None:
            told(step.name, len(done), parts)
    return done


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of a file of a stage; raises DataError where it is damaged."""
    for number, row in enumerate(read_rows(path), start=1):
        yield from_row(row, f"{path}: line {number}")


def stamp(path: Path) -> str:
    """By which a file is known again: its name, size and time; raises DataError if it is gone."""
    try:
        found = path.stat()
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err
    return f"{path.name}:{found.st_size}:{found.st_mtime_ns}"


def key_after(cfg: Any, *markers: Sequence[Marker]) -> str:
    """The key of a step that depends on settings and on what other steps left."""
    files = [[marker["files"] for marker in part] for part in markers]
    return key_of({"cfg": cfg, "files": files})


def write_array(path: Path, array: Array) -> None:
    """Write an array under a temporary name, bring it to the disk, and rename it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def open_array(path: Path) -> Array:
    """An array as it lies on disk; only what is used of it is read.

    Raises:
        DataError: it is missing, cut short, or no array.
    """
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        array = _loaded(path)
    except (OSError, EOFError) as err:
        raise DataError(f"{path} cannot be read ({err}); {AGAIN}") from err
    return array


def keep_open(path: Path) -> Array:
    """As ``open_array``, kept open until the file is another; raises DataError as it does."""
    try:
        found = path.stat()
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); {AGAIN}") from err
    return _kept(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=512)
def _kept(path: Path, stamp: tuple[int, ...]) -> Array:
    return open_array(path)


def _loaded(path: Path) -> Array:
    """An array without elements cannot be mapped; anything else that cannot be is damaged."""
    try:
        array: Array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as err:
        raise DataError(f"{path} is damaged or cut short; {AGAIN}") from err
    return array


def in_range(runs: Iterable[Array], field_name: str, low: int, high: int) -> Iterator[Array]:
    """Of arrays sorted by a field the rows with ``low <= field < high``, as views."""
    for run in runs:
        column = run[field_name]
        kind = column.dtype.type
        start = int(np.searchsorted(column, kind(low)))
        end = len(run) if high >= 2**64 else int(np.searchsorted(column, kind(high)))
        if end > start:
            yield run[start:end]


def partitions(total_bytes: int, memory_bytes: int) -> int:
    """Parts into which a shuffle falls, so that one fits in memory with its sorted copy."""
    return max(1, -(-4 * total_bytes // memory_bytes))


def bounds(part: int, parts: int, span: int = 2**64) -> tuple[int, int]:
    """The range of a part where 0 to ``span`` is cut into equal ones.

    A key of 64 bits belongs to part ``key * parts >> 64``.
    """
    return -(-span * part // parts), -(-span * (part + 1) // parts)


def _call(part: _Part) -> Marker:
    try:
        return part()
    except TilewiseError:
        raise
    except MemoryError as err:
        raise DataError(
            f"step {part.step.name} ran out of memory in part {part.part}; lower memory_bytes."
        ) from err
