"""Finding one image among all parts of a store, by its address, in bounded memory.

``index.keys`` holds the hashes of all addresses of all logs, sorted, and after them where the rows
and facts of each lie; it is mapped, not read. A lookup is a binary search and two short reads.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tilewise.corpus.crawl.robots import Rules
from tilewise.corpus.images.addresses import checked_parts, checked_url, host_of
from tilewise.corpus.images.fetch_config import MAX_REDIRECTS
from tilewise.corpus.images.measure import facts_of, read_facts
from tilewise.corpus.images.rules import Fetched
from tilewise.corpus.images.store import Row, part_rows
from tilewise.corpus.stage_files import writing
from tilewise.errors import DataError, SourceError
from tilewise.sources.addresses import RefusedError

KEYS: Final = "index.keys"
PARTS: Final = "index.json"

ARCHIVED: Final = "archive-"
"""How names of parts begin whose images were in the archive."""

_NO_FACTS: Final = (1 << 64) - 1
_HIGH: Final = np.dtype("<u8")
_PLACE: Final = np.dtype([("low", "<u8"), ("part", "<u4"), ("row", "<u8"), ("facts", "<u8")])
_KEY: Final = np.dtype([("high", "<u8"), *((name, _PLACE[name]) for name in _PLACE.names or ())])
_LINE: Final = 1 << 14
_BLOCK: Final = 1 << 18
"""Rows that are written at once."""


def index_images(folder: Path) -> int:
    """Write the index of all parts of a store; the number of its rows.

    Rows wait on disk and are mapped; sorting them takes 26 bytes of memory for each, and the
    addresses of one part at a time are held. Files are written under another name first.

    Raises:
        ConfigError: they cannot be written.
    """
    names = sorted(path.stem for path in folder.glob("*.log"))
    robots: dict[str, Row] = {}
    waiting = folder / f".{KEYS}.{os.getpid()}.tmp"
    count = 0
    try:
        with writing(waiting), waiting.open("wb") as file:
            for number, name in enumerate(names):
                table, rules = _table(folder, name, number)
                file.write(table.tobytes())
                count += len(table)
                for host, row in rules.items():
                    if host not in robots or row["captured"] > robots[host]["captured"]:
                        robots[host] = row
        keys = np.memmap(waiting, _KEY, "r", 0, (count,)) if count else np.zeros(0, _KEY)
        _replace(folder / KEYS, _in_order(keys))
    finally:
        waiting.unlink(missing_ok=True)
    told = {"parts": names, "robots": {host: row["data"] for host, row in sorted(robots.items())}}
    _replace(folder / PARTS, [json.dumps(told).encode()])
    return count


def _in_order(keys: NDArray[np.void]) -> Iterator[bytes]:
    """The hashes of all rows, sorted, and after them where each lies."""
    order = np.lexsort((keys["low"], keys["high"]))
    blocks = [order[at : at + _BLOCK] for at in range(0, len(order), _BLOCK)]
    for block in blocks:
        yield keys["high"][block].tobytes()
    for block in blocks:
        places = np.empty(len(block), _PLACE)
        for name in _PLACE.names or ():
            places[name] = keys[name][block]
        yield places.tobytes()


class ImageIndex:
    """Looks images of a store up; ``index_images`` has written its index.

    Args:
        folder: of the store.
        archive_robots: whether a robots.txt in the archive holds for images in the archive.

    Raises:
        DataError: there is no index, or it is damaged.
    """

    def __init__(self, folder: Path, *, archive_robots: bool = True) -> None:
        self._folder = folder
        try:
            told = json.loads((folder / PARTS).read_bytes())
            count = (folder / KEYS).stat().st_size // (_HIGH.itemsize + _PLACE.itemsize)
            self._high, self._places = _mapped(folder / KEYS, count)
        except (OSError, ValueError) as err:
            raise DataError(
                f"{folder} has no index of images that can be read ({err}); run the image stage."
            ) from err
        self._names: list[str] = told["parts"]
        self._files: dict[tuple[int, str], int] = {}
        robots: dict[str, str] = told["robots"] if archive_robots else {}
        self._rules = lru_cache(1000)(
            lambda host: Rules(base64.b64decode(robots[host])) if host in robots else None
        )

    def lookup(self, url: str) -> Fetched:
        """What came of asking for an image, redirects followed."""
        at, seen = _form(url), set[str]()
        for _ in range(MAX_REDIRECTS + 1):
            found = self._best(at) if at else None
            if found is None:
                return _unknown(url, at)
            row, number, facts_at = found
            if "to" not in row:
                return self._fetched(url, at, row, number, facts_at)
            seen.add(at)
            at = row["to"]
            if at in seen:
                return Fetched(url=url, reason="image_unavailable", detail="redirect loop")
        return Fetched(url=url, reason="image_unavailable", detail="too many redirects")

    def data(self, url: str) -> bytes | None:
        """The bytes of an image, None where there are none."""
        if not self.lookup(url).sha256:
            return None
        found = self._best(_form(url))
        while found is not None and "to" in found[0]:
            found = self._best(found[0]["to"])
        assert found is not None  # the lookup has gone the same way
        row, number, _ = found
        return os.pread(self._file(number, "bytes"), row["size"], row["offset"])

    def has(self, url: str) -> bool:
        """Whether anything came of asking for an address, be it a reason."""
        return self._best(_form(url)) is not None

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _fetched(self, url: str, at: str, row: Row, number: int, facts_at: int) -> Fetched:
        if "reason" in row:
            return Fetched(url=url, reason=row["reason"], detail=row["detail"])
        if self._names[number].startswith(ARCHIVED):
            rules = self._rules(host_of(checked_parts(at, allow_private=True)))
            if rules is not None and not rules.allows(at):
                return Fetched(url=url, reason="image_robots", detail="robots.txt in the archive")
        known = Fetched(url=url, size_bytes=row["size"], sha256=row["sha256"])
        if facts_at == _NO_FACTS:
            return replace(known, reason="image_decode", detail="it was not measured")
        facts = facts_of(self._row(number, "facts", facts_at))
        return replace(known, facts=facts)

    def _best(self, url: str) -> tuple[Row, int, int] | None:
        """Of all rows about an address: with bytes, from the archive, captured last."""
        found = [one for one in self._found(url) if one[0]["url"] == url]
        return max(found, key=self._worth, default=None)

    def _worth(self, found: tuple[Row, int, int]) -> tuple[bool, bool, str]:
        row, number, _ = found
        return "sha256" in row, self._names[number].startswith(ARCHIVED), row["captured"]

    def _found(self, url: str) -> Iterator[tuple[Row, int, int]]:
        high, low = _hash(url)
        at = int(np.searchsorted(self._high, np.uint64(high)))
        while at < len(self._high) and int(self._high[at]) == high:
            known, number, row_at, facts_at = self._places[at].item()
            if known == low:
                yield self._row(number, "log", row_at), number, facts_at
            at += 1

    def _row(self, number: int, ending: str, begin: int) -> Row:
        file, line = self._file(number, ending), b""
        while b"\n" not in line:
            more = os.pread(file, _LINE, begin + len(line))
            if not more:
                raise DataError(
                    f"{self._folder} has an index that does not fit its parts; run the image "
                    "stage again."
                )
            line += more
        row: dict[str, Any] = json.loads(line[: line.index(b"\n")])
        return row

    def _file(self, number: int, ending: str) -> int:
        if (number, ending) not in self._files:
            if len(self._files) >= _MOST_OPEN:
                self.close()
            path = self._folder / f"{self._names[number]}.{ending}"
            self._files[number, ending] = os.open(path, os.O_RDONLY)
        return self._files[number, ending]


_MOST_OPEN: Final = 256


def _form(url: str) -> str:
    """The one form of an address; "" if it is none."""
    try:
        return checked_url(url, allow_private=True)  # a store has none that might not be asked
    except SourceError:
        return ""


def _unknown(url: str, at: str) -> Fetched:
    """What to say of an address for which there is no row."""
    try:
        checked_url(at or url)
    except RefusedError as err:
        return Fetched(url=url, reason="image_blocked_address", detail=str(err))
    except SourceError as err:
        return Fetched(url=url, reason="image_unavailable", detail=f"bad address: {err}")
    return Fetched(url=url, reason="image_unavailable", detail="not in the archive")


def _table(folder: Path, name: str, number: int) -> tuple[NDArray[np.void], dict[str, Row]]:
    """Keys of a part's rows, and its hosts' rules."""
    path, facts_at = folder / f"{name}.facts", {}
    if path.exists():
        facts_at = {content: begin for content, _, begin in read_facts(path)}
    last: dict[str, tuple[int, int]] = {}
    robots: dict[str, Row] = {}
    for row, begin in part_rows(folder / f"{name}.log"):
        if "robots" in row:
            robots[row["robots"]] = row
        elif "url" in row and "asked" not in row:
            last[row["url"]] = begin, facts_at.get(row.get("sha256", ""), _NO_FACTS)
    table = np.empty(len(last), _KEY)
    for place, (url, (begin, facts)) in enumerate(last.items()):
        table[place] = (*_hash(url), number, begin, facts)
    return table, robots if name.startswith(ARCHIVED) else {}


def _mapped(path: Path, count: int) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
    """Hashes, which lie together so that a search touches few pages, and places."""
    if not count:
        return np.zeros(0, _HIGH), np.zeros(0, _PLACE)
    places = np.memmap(path, _PLACE, "r", count * _HIGH.itemsize, (count,))
    return np.memmap(path, _HIGH, "r", 0, (count,)), places


def _hash(url: str) -> tuple[int, int]:
    digest = sha256(url.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")


def _replace(path: Path, parts: Iterable[bytes]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.new.tmp")
    try:
        with writing(path):
            with part.open("wb") as file:
                for data in parts:
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
