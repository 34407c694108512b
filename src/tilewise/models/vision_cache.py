"""What the vision side of a model gave for pages, kept on disk from one run to the next.

An entry is a safetensors file named for everything that it depends on: the pixels of the canvas,
the plan, the weights, the code that ran them, and the torch that did the arithmetic. It holds its
own hash, so that damage is found; it is written beside and moved into its place, so that it is
whole or not there. When the folder is full, what was used longest ago goes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import get_ident
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as unpack
from safetensors.torch import save as pack
from torch import Tensor

from tilewise.models.folders import cache_folder
from tilewise.records import Plan, Tiles

_log = logging.getLogger(__name__)

FORM: Final = "1"
"""Version of the entries' form; a change of it makes all entries strange."""

DEFAULT_BYTES: Final = 2 << 30
"""Size limit unless another is given: some 300 pages of the default reader, 30 of IXC2-4KHD."""

ENDING: Final = ".safetensors"
ABANDONED_S: Final = 3600.0
"""Age from which on a part that nobody finished is removed."""

_CODE: Final = ("models", "nn", "tiling")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """Where entries are kept, None for the user's own folder, and how many bytes together."""

    folder: Path | None = None
    limit_bytes: int = DEFAULT_BYTES

    @property
    def place(self) -> Path:
        """The folder of entries; it need not exist."""
        return cache_folder() / "vision" if self.folder is None else self.folder


class VisionCache:
    """Entries of one model; meets ``models.reader.VisionStore``.

    Args:
        cfg: where, and how much.
        identity: gives what an entry depends on besides its page: weights, dtype and so on. Called
            once, when first needed, as hashing weights takes time.
    """

    def __init__(self, cfg: CacheConfig, identity: Callable[[], str]) -> None:
        self.cfg = cfg
        self._identity = cache(identity)
        self._is_told = False

    def key(self, tiles: Tiles, plan: Plan) -> str:
        """Name of a page's entry, 64 hexadecimal digits."""
        grid = tiles.fit.grid
        said = f"{FORM} {self._identity()} {grid.cols} {grid.rows} {tiles.fit.tile} "
        digest = hashlib.sha256(said.encode())
        digest.update(f"{plan.tokens_per_tile} {plan.has_global} {len(plan)} ".encode())
        digest.update(plan.entries.tobytes())
        digest.update(np.ascontiguousarray(tiles.canvas).data)
        if tiles.whole is not None:  # made of the page's own pixels, not of the canvas
            digest.update(np.ascontiguousarray(tiles.whole).data)
        return digest.hexdigest()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """What was put under a key, None if it is gone; a damaged entry is removed."""
        path = self.cfg.place / f"{key}{ENDING}"
        try:
            data = path.read_bytes()
            os.utime(path)  # used now: the last to go
        except FileNotFoundError:
            return None
        except OSError as err:
            _log.info("%s cannot be read (%s)", path, err)
            return None
        parts = _read(data)
        if parts is None:
            _log.info("%s is damaged and was removed", path)
            path.unlink(missing_ok=True)
        return parts

    def put(self, key: str, parts: Mapping[str, Tensor]) -> None:
        """Keep tensors under a key; a disk that is full or write-protected is told once."""
        data = _written(parts)
        if len(data) > self.cfg.limit_bytes:
            return
        path = self.cfg.place / f"{key}{ENDING}"
        part = path.with_suffix(f".{os.getpid()}-{get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shrink(self.cfg.place, self.cfg.limit_bytes - len(data))
            try:
                part.write_bytes(data)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as err:
            level = logging.DEBUG if self._is_told else logging.WARNING
            _log.log(level, "pages are not kept in %s (%s)", path.parent, err.strerror)
            self._is_told = True


def shrink(folder: Path, limit_bytes: int) -> int:
    """Remove what was used longest ago until a folder's entries hold no more than this.

    Parts that a killed run left go too. Other processes may do the same at the same time.

    Returns:
        Bytes that entries hold now.
    """
    known = sorted(entries(folder), key=lambda one: one[1])
    held = sum(size for _, _, size in known)
    for path, _, size in known:
        if held <= limit_bytes:
            break
        path.unlink(missing_ok=True)
        held -= size
    for part in folder.glob("*.part"):
        try:
            if time.time() - part.stat().st_mtime > ABANDONED_S:
                part.unlink(missing_ok=True)
        except FileNotFoundError:  # its run has finished it
            continue
    return held


def entries(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """Entries of a folder: path, time of last use in ns, bytes."""
    for path in folder.glob(f"*{ENDING}"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another process removed it
            continue
        yield path, status.st_mtime_ns, status.st_size


@cache
def code_hash() -> str:
    """Hash of the code that makes entries: another version of it makes its own."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted(path for part in _CODE for path in (root / part).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _written(parts: Mapping[str, Tensor]) -> bytes:
    whole = {name: part.detach().cpu().contiguous() for name, part in parts.items()}
    return pack(whole, {"form": FORM, "sha256": _hash(whole)})


def _read(data: bytes) -> dict[str, Tensor] | None:
    """The tensors of an entry, None if it is damaged."""
    try:
        parts = unpack(data)
        length = int.from_bytes(data[:8], "little")
        said = json.loads(data[8 : 8 + length])["__metadata__"]
        return parts if said == {"form": FORM, "sha256": _hash(parts)} else None
    except (SafetensorError, ValueError, LookupError, TypeError):
        return None


def _hash(parts: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(parts):
        part = parts[name]
        digest.update(f"{name} {part.dtype} {tuple(part.shape)} ".encode())
        digest.update(part.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
