"""Images on disk: parts that only grow, each a file of bytes and a log of what came of asking.

A row is written the moment its answer is there, after the bytes it speaks of, so that whatever
ends the process leaves at most one torn row, which the next run cuts off. Bytes that are the same
are kept once in a part.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, BinaryIO, Final, Self

from tilewise.corpus.crawl.raw import RawImage
from tilewise.corpus.crawl.robots import opted_out
from tilewise.corpus.images.addresses import checked_parts, host_of
from tilewise.errors import ConfigError, DataError, SourceError
from tilewise.sources.addresses import without_fragment

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # Windows: two runs into one part are not told apart there
    fcntl = None

Row = dict[str, Any]
"""One line of a log: what is known of ``url``, or the robots.txt of ``robots``, a host.

``sha256``, ``offset``, ``size``: its bytes. ``reason``, ``detail``: why there are none. ``to``: it
leads on there. ``asked``: a request went out, the answer has not come. ``captured``: when.
"""

SYNC_ROWS: Final = 256
"""Rows between two times that all is brought to the disk; a power cut costs no more than these."""


class ImagePart:
    """One part of a store of images; only one process writes to it.

    Args:
        folder: of the store; made if it is missing.
        name: of the part: letters, digits, dashes.
        restart: drop what it holds.

    Raises:
        ConfigError: it cannot be written, or another process is writing to it.
        DataError: a row in the middle is damaged.
    """

    def __init__(self, folder: Path, name: str, *, restart: bool = False) -> None:
        self.name = name
        self.log_path = folder / f"{name}.log"
        self.bytes_path = folder / f"{name}.bytes"
        self.rows: dict[str, Row] = {}
        self.robots: dict[str, Row] = {}
        self.interrupted: set[str] = set()
        self._contents: dict[str, tuple[int, int]] = {}
        self._unsynced = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log: BinaryIO = self.log_path.open("a+b", buffering=0)
            self._lock()
            self._bytes: BinaryIO = self.bytes_path.open("a+b", buffering=0)
            if restart:
                self._log.truncate(0)
                self._bytes.truncate(0)
            try:
                self._recover()
            except BaseException:
                self._bytes.close()
                self._log.close()
                raise
        except OSError as err:
            raise self._unwritable(err) from err

    def put(self, url: str, data: bytes, captured: str = "") -> None:
        """Keep the bytes of an image."""
        sha256 = hashlib.sha256(data).hexdigest()
        place = self._contents.get(sha256)
        try:
            if place is None:
                place = self._bytes.seek(0, os.SEEK_END), len(data)
                write_all(self._bytes, data)
                self._contents[sha256] = place
        except OSError as err:
            raise self._unwritable(err) from err
        offset, size = place
        self._append(
            {"url": url, "sha256": sha256, "offset": offset, "size": size, "captured": captured}
        )

    def fail(self, url: str, reason: str, detail: str = "", captured: str = "") -> None:
        """Note that there are no bytes, and why."""
        self._append({"url": url, "reason": reason, "detail": detail, "captured": captured})

    def lead(self, url: str, to: str, captured: str = "") -> None:
        """Note that an address leads on to another."""
        self._append({"url": url, "to": to, "captured": captured})

    def ask(self, url: str) -> None:
        """Note that a request goes out; its answer, or a restart, takes this back."""
        self._append({"url": url, "asked": True})

    def put_robots(self, host: str, data: bytes, captured: str = "", at_s: float = 0.0) -> None:
        """Keep the rules of a host; ``at_s`` is when they came, in seconds since 1970."""
        text = base64.b64encode(data).decode()
        self._append({"robots": host, "data": text, "captured": captured, "at_s": at_s})

    def data(self, row: Row) -> bytes:
        """The bytes that a row speaks of."""
        return os.pread(self._bytes.fileno(), row["size"], row["offset"])

    def sync(self) -> None:
        """Bring all to the disk."""
        try:
            os.fsync(self._bytes.fileno())
            write_all(self._log, _line({"synced": self._bytes.seek(0, os.SEEK_END)}))
            os.fsync(self._log.fileno())
        except OSError as err:
            raise self._unwritable(err) from err
        self._unsynced = 0

    def close(self) -> None:
        """Bring all to the disk and let go of the files."""
        if not self._log.closed:
            try:
                if self._unsynced:
                    self.sync()
            finally:
                self._bytes.close()
                self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, row: Row) -> None:
        try:
            end = self._log.seek(0, os.SEEK_END)
            try:
                write_all(self._log, _line(row))
            except OSError:
                self._log.truncate(end)
                raise
        except OSError as err:
            raise self._unwritable(err) from err
        self._take(row)
        self._unsynced += 1
        if self._unsynced >= SYNC_ROWS:
            self.sync()

    def _take(self, row: Row) -> None:
        """Remember a row."""
        if "robots" in row:
            self.robots[row["robots"]] = row
        elif "asked" in row:
            self.interrupted.add(row["url"])
        elif "url" in row:
            self.interrupted.discard(row["url"])
            self.rows[row["url"]] = row
            if "sha256" in row:
                self._contents.setdefault(row["sha256"], (row["offset"], row["size"]))

    def _recover(self) -> None:
        """Take in what an earlier run left, and cut off what it left half done."""
        size, synced, end = self._bytes.seek(0, os.SEEK_END), 0, 0
        for row, end_of_row in _rows(self.log_path):
            if "synced" in row:
                synced = row["synced"]
            elif row.get("offset", 0) >= synced and not self._is_whole(row, size):
                break  # a power cut kept the row and lost the bytes
            self._take(row)
            end = end_of_row
        self._log.truncate(end)
        kept = max((offset + length for offset, length in self._contents.values()), default=0)
        self._bytes.truncate(kept)

    def _is_whole(self, row: Row, size: int) -> bool:
        if "sha256" not in row or row["sha256"] in self._contents:
            return True
        is_there = row["offset"] + row["size"] <= size
        return is_there and hashlib.sha256(self.data(row)).hexdigest() == row["sha256"]

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            self._log.close()
            raise ConfigError(
                f"{self.log_path}: another run is writing to it; wait for its end."
            ) from err

    def _unwritable(self, err: OSError) -> ConfigError:
        is_full = err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        full = "make room" if is_full else "check the folder"
        return ConfigError(
            f"{self.log_path} cannot be written ({err.strerror}); {full}; the same command goes on "
            "where this one stopped."
        )


def put_archived(part: ImagePart, raw: RawImage) -> bool:
    """Keep an image or a robots.txt of an archive; whether it was an image that is kept.

    An image whose own answer carries a rule against its use is noted without its bytes. Of one
    that was captured more than once the latest is kept. An address that may not be asked is left
    out, as the lookup says so of it in any case.
    """
    try:
        parts = checked_parts(raw.url)
        if parts.path == "/robots.txt":
            host = host_of(parts)
            if host not in part.robots or raw.captured > part.robots[host]["captured"]:
                part.put_robots(host, raw.data, raw.captured)
            return False
    except SourceError:
        return False
    url = without_fragment(parts)
    if url in part.rows and raw.captured <= part.rows[url]["captured"]:
        return False
    rule = opted_out([raw.robots_tag])
    if rule is not None:
        part.fail(url, "image_opted_out", rule, raw.captured)
    else:
        part.put(url, raw.data, raw.captured)
    return rule is None


def robots_of(row: Row) -> bytes:
    """The robots.txt that a row holds."""
    return base64.b64decode(row["data"])


def part_rows(path: Path) -> Iterator[tuple[Row, int]]:
    """Rows of a log and where each begins, for reading while nobody writes.

    Raises:
        DataError: a row in the middle is damaged.
    """
    begin = 0
    for row, end in _rows(path):
        yield row, begin
        begin = end


def _rows(path: Path) -> Iterator[tuple[Row, int]]:
    """Whole rows of a log, each with where it ends; a torn one at the end is left out."""
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            try:
                row = json.loads(line)
            except ValueError as err:
                if not file.read(1):
                    return
                raise DataError(
                    f"{path}: line {number} is damaged; remove this part and run again."
                ) from err
            yield row, end


def _line(row: Row) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def write_all(file: BinaryIO, data: bytes) -> None:
    """All of it; an unbuffered file may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
