"""Copies a model's folder with its tensors in another format, in shards of a chosen size.

One tensor at a time is in memory for safetensors, one shard for pickles. The copy is made under
another name beside its place and renamed at the end, so that it is there whole or not at all. What
a conversion that was killed left under that name the next one takes over.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Literal

import torch
from torch import Tensor

from tilewise.errors import ConfigError, WeightsError
from tilewise.weights.files import INDEX, LAYOUTS, MANIFEST, PICKLE_INDEX, TensorFiles
from tilewise.weights.formats import DTYPES
from tilewise.weights.names import listed
from tilewise.weights.quantised import SCHEMES, Form, checked_split, form_of, part_names, pattern
from tilewise.weights.renaming import Item, Renaming, as_they_are, renamed

if os.name == "posix":
    import fcntl

Report = Callable[[str, int, int], None]
"""Called with (stage, done, total) while tensors are written; done and total are MiB."""

Format = Literal["safetensors", "pickle"]

_MIB: Final = 1 << 20
_KEPT_ENDINGS: Final = {".json", ".model", ".txt", ".md", ""}
_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


def convert(
    source: Path,
    target: Path,
    *,
    kind: Format = "safetensors",
    shard_bytes: int = 5 << 30,
    renaming: Renaming | None = None,
    form: Form | None = None,
    quantised: Collection[str] = (),
    progress: Report | None = None,
) -> None:
    """Copy a folder of weights into another format.

    Args:
        source: folder with safetensors or pickles, one file or shards.
        target: folder to be made; it must not be there yet.
        kind: format of the copy.
        shard_bytes: largest shard; a tensor that is larger alone gets one of its own.
        renaming: to give the tensors of ``source`` other names, and texts other contents.
        form: to round weights to, None for not at all.
        quantised: names of weights in the copy that are rounded, as patterns.
        progress: told of the MiB written.

    Raises:
        ConfigError: ``target`` exists, cannot be written or is being written, or the disk is too
            small.
        WeightsError: ``source`` has no weights, or damaged ones.
    """
    if shard_bytes < 1:
        raise ConfigError(f"shards of {shard_bytes} bytes hold nothing; give a size above 0.")
    _check_target(source, target)
    files = TensorFiles(source)
    items = as_they_are(files) if renaming is None else renamed(renaming)
    if form is not None:
        items = _quantised(source, items, form, quantised)
    shards = _shards(items, shard_bytes)
    free = shutil.disk_usage(target.resolve().parent).free
    if free < files.size_bytes:
        raise ConfigError(
            f"{target}: {files.size_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are "
            "free there; choose another disk."
        )
    part = target.resolve().with_name(f".{target.name}.part")
    try:
        with _new_folder(part, target):
            _copy_others(source, part)
            for name, text in (renaming.texts if renaming else {}).items():
                (part / name).write_text(text, encoding="utf-8")
            _write_shards(part, shards, kind, _counter(files.size_bytes, progress))
            part.rename(target.resolve())
    except OSError as err:
        raise ConfigError(f"{target}: cannot be written ({err.strerror or err}).") from err


@contextmanager
def _new_folder(part: Path, target: Path) -> Iterator[None]:
    """An empty folder that no other conversion writes to; after an error it is gone."""
    part.mkdir(exist_ok=True)
    held = os.open(part, os.O_RDONLY) if os.name == "posix" else None
    try:
        if held is not None:
            _lock(held, target)
        if any(path.is_dir() for path in part.iterdir()):
            raise ConfigError(f"{part}: holds folders, which no conversion leaves; remove it.")
        try:
            for path in part.iterdir():
                path.unlink()
            yield
        except BaseException:  # Ctrl-C too leaves nothing behind
            shutil.rmtree(part, ignore_errors=True)
            raise
    finally:
        if held is not None:
            os.close(held)


def _lock(held: int, target: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        raise ConfigError(
            f"{target}: another conversion is writing it; wait for it, or choose another folder."
        ) from err


def _check_target(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise WeightsError(f"{source}: there is no such model folder; check the path.")
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target}: exists already; give a folder that is not there yet.")
    if not target.resolve().parent.is_dir():
        raise ConfigError(
            f"{target}: the folder {target.resolve().parent} does not exist; make it first."
        )


def _quantised(
    source: Path, items: Sequence[Item], form: Form, weights: Collection[str]
) -> list[Item]:
    """Items with the parts of each of these weights in its place; each part reads it once."""
    found = form_of(item.name for item in items)
    if found is not None:
        raise ConfigError(f"{source}: its weights are quantised already, to {found}.")
    made = []
    for item in items:
        if pattern(item.name) not in weights or not SCHEMES[form].fits(item.shape[1]):
            made.append(item)
            continue
        shapes = SCHEMES[form].split(torch.empty(item.shape, device="meta"))
        for index, (name, part) in enumerate(zip(part_names(item.name, form), shapes, strict=True)):
            read = partial(_read_part, item, form, index)
            made.append(Item(name, tuple(part.shape), part.dtype, read))
    return made


def _read_part(item: Item, form: Form, index: int) -> Tensor:
    return checked_split(item.name, item.read(), form)[index]


def _shards(items: Iterable[Item], shard_bytes: int) -> list[list[Item]]:
    """Items in their order, as many to a shard as it holds."""
    shards: list[list[Item]] = []
    room = 0
    for item in items:
        if not shards or item.size_bytes > room:
            shards.append([])
            room = shard_bytes
        shards[-1].append(item)
        room -= item.size_bytes
    return shards


def _copy_others(source: Path, part: Path) -> None:
    """Config, tokenizer, licence and the like; no weights, no code, no manifest of them."""
    left = {MANIFEST, *(index for _, index in LAYOUTS)}
    for path in sorted(source.iterdir()):
        if path.is_file() and path.suffix in _KEPT_ENDINGS and path.name not in left:
            shutil.copyfile(path, part / path.name)


def _write_shards(
    part: Path, shards: Sequence[Sequence[Item]], kind: Format, wrote: Callable[[int], None]
) -> None:
    stem, ending, index, write = _WRITERS[kind]
    places: dict[str, str] = {}
    total = 0
    for number, items in enumerate(shards, 1):
        name = f"{stem}{ending}"
        if len(shards) > 1:
            name = f"{stem}-{number:05}-of-{len(shards):05}{ending}"
        with (part / name).open("wb") as file:
            write(file, items, wrote)
        places |= {item.name: name for item in items}
        total += sum(item.size_bytes for item in items)
    if len(shards) > 1:
        table = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        (part / index).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def _write_safetensors(file: BinaryIO, items: Sequence[Item], wrote: Callable[[int], None]) -> None:
    """Write a safetensors file tensor by tensor; wide dtypes first, so that all are aligned."""
    odd = [item.name for item in items if item.dtype not in _NAMES]
    if odd:
        raise WeightsError(f"safetensors cannot hold the dtype of: {listed(odd)}; keep pickles.")
    items = sorted(items, key=lambda item: -item.dtype.itemsize)
    header: dict[str, Mapping[str, object]] = {"__metadata__": {"format": "pt"}}
    at = 0
    for item in items:
        stop = at + item.size_bytes
        header[item.name] = {
            "dtype": _NAMES[item.dtype],
            "shape": list(item.shape),
            "data_offsets": [at, stop],
        }
        at = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for item in items:
        data = item.read().contiguous().reshape(-1).view(torch.uint8).numpy()
        file.write(data.data)
        wrote(item.size_bytes)


def _write_pickle(file: BinaryIO, items: Sequence[Item], wrote: Callable[[int], None]) -> None:
    """Write a pickle of plain tensors, each with a storage of its own."""

    def copies() -> Iterator[tuple[str, Tensor]]:
        for item in items:
            yield item.name, item.read().clone(memory_format=torch.contiguous_format)
            wrote(item.size_bytes)

    torch.save(dict(copies()), file)


_Writer = Callable[[BinaryIO, Sequence[Item], Callable[[int], None]], None]

_WRITERS: Final[Mapping[Format, tuple[str, str, str, _Writer]]] = {
    "safetensors": ("model", ".safetensors", INDEX, _write_safetensors),
    "pickle": ("pytorch_model", ".bin", PICKLE_INDEX, _write_pickle),
}
"""Stem, ending and index of the files of a format, and what writes one."""


def _counter(total: int, progress: Report | None) -> Callable[[int], None]:
    done = 0

    def wrote(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress("MiB written", done // _MIB, total // _MIB)

    return wrote
