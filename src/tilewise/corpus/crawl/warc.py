"""WARC archives, by fastwarc, past what is broken in them.

fastwarc stops at the first damaged record and takes a cut file for a whole one. Here the reading
goes on at the next record after a damaged one, and a body shorter than its header says is counted.
"""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

from tilewise.corpus.crawl.body import decoded_body
from tilewise.corpus.crawl.raw import Capture, Counts, Raw, ReadConfig, as_raw
from tilewise.errors import MissingExtraError

_MEMBER: Final = b"\x1f\x8b\x08"
_WARC: Final = b"WARC/"
_BLOCK: Final = 1 << 20
_LOOK: Final = 512
_BROKEN: Final = (OSError, ValueError, EOFError, RuntimeError)


class _Body(NamedTuple):
    """A record's body, and whether all of it is there."""

    data: bytes
    is_whole: bool


def read_warc(
    file: BinaryIO, name: str, *, counts: Counts, start: int, end: int, cfg: ReadConfig
) -> Iterator[Raw]:
    """Records of an open archive that begin in [start, end); arguments as for ``read_pages``."""
    limit = max(cfg.max_page_bytes, cfg.max_image_bytes) + 1
    at = _next_record(file, start, end)
    was_counted = False
    if start == 0 < end and at != 0:  # it begins with what is no record, or holds nothing else
        counts("broken_record")
    while at is not None:
        last, is_whole = -1, True
        try:
            for record, offset in _records(file, at, end):
                last, was_counted = offset, False
                said = _fields(record.headers)
                if said.get("warc-type", "").lower() not in _READ:
                    continue
                body = _body(record, said, limit)
                if not body.is_whole:
                    counts("truncated_record")
                    is_whole = False
                    break  # a wrong length may hide records that follow
                raw = _raw(record, said, body.data, name, offset, counts, cfg)
                if raw is not None:
                    yield raw
        except _BROKEN:
            # The record after a good one fails twice: on the way to it, and again at its start.
            if last >= 0 or not was_counted:
                counts("broken_record")
            was_counted = last >= 0
        else:
            if is_whole:
                if _is_cut(file, max(at, last), end):
                    counts("truncated_record")
                return
        at = _next_record(file, max(at, last) + 1, end)


_READ: Final = ("response", "resource", "unknown", "")


_Fields = dict[str, str]


def _fields(headers: Any) -> _Fields:
    """Values by names in small letters, the first of several; asking for one takes as long."""
    return {name.lower(): value for name, value in reversed(list(headers.items()))}


def _records(file: BinaryIO, at: int, end: int) -> Iterator[tuple[Any, int]]:
    """Records from one that begins at ``at``, with their offsets, until ``end``."""
    file.seek(at)
    for record in _archive_iterator()(file, parse_http=False):
        offset = int(record.stream_pos)
        if offset >= end and _begins(file, offset):
            return
        yield record, offset


def _archive_iterator() -> Any:
    if importlib.util.find_spec("fastwarc") is None:
        raise MissingExtraError(
            'reading WARC files needs fastwarc; install it with: pip install "tilewise[corpus]"'
        )
    from fastwarc.warc import ArchiveIterator  # noqa: PLC0415 - an extra

    return ArchiveIterator


def _is_cut(file: BinaryIO, last: int, end: int) -> bool:
    """Whether a record begins after the last that was met: what is there is too short to be one."""
    at = _next_record(file, last + 1, end)
    if at is None:
        return False
    file.seek(at - 4)
    before = file.read(4 + len(_MEMBER))
    return before.endswith(_MEMBER) or before.startswith(b"\r\n\r\n")


def _begins(file: BinaryIO, offset: int) -> bool:
    """Whether a record truly begins there; inside one long gzip member offsets say little."""
    at = file.tell()
    file.seek(offset)
    is_one = _opens(file.read(_LOOK))
    file.seek(at)
    return is_one


def _opens(data: bytes) -> bool:
    """Whether bytes open a record, packed or not."""
    is_last = len(data) < _LOOK
    if data.startswith(_MEMBER):
        try:
            data = zlib.decompressobj(31).decompress(data, 16)
        except zlib.error:
            return False
        if is_last:  # a member that was cut may give no byte yet
            return _WARC.startswith(data[: len(_WARC)])
    return data.startswith(_WARC)


def _next_record(file: BinaryIO, start: int, end: int) -> int | None:
    """Where the first record at or after ``start`` begins, None if there is none before ``end``."""
    file.seek(max(start - 1, 0))
    kept = file.read(min(start, 1))  # a line break before a record that is not packed
    at = start
    while at < end:
        block = file.read(_BLOCK)
        data, first = kept + block, at - len(kept)
        is_last = len(block) < _BLOCK
        for place in _places(data, 0 if first == start else 1):
            if first + place >= end:
                return None
            if len(data) - place < _LOOK and not is_last:
                break  # looked at with what follows
            if _opens(data[place : place + _LOOK]):
                return first + place
        if is_last:
            return None
        at += len(block)
        kept = data[-_LOOK:]
    return None


def _places(data: bytes, start: int) -> list[int]:
    """Where a record may begin: a gzip member, or the sign of WARC at the start of a line."""
    places = []
    for sign in (_MEMBER, _WARC):
        at = data.find(sign, start)
        while at >= 0:
            if sign == _MEMBER or at == 0 or data[at - 1 : at] == b"\n":
                places.append(at)
            at = data.find(sign, at + 1)
    return sorted(places)


def _body(record: Any, said: _Fields, limit: int) -> _Body:
    """What a record holds, after its HTTP header if it has one, at most ``limit`` bytes."""
    if said.get("content-type", "").lower().startswith("application/http"):
        record.parse_http(auto_decode="none")
    length = record.content_length
    data = record.reader.read(min(length, limit))
    is_named = "warc-target-uri" in said and "content-length" in said
    return _Body(data, is_named and len(data) >= min(length, limit))


def _raw(
    record: Any,
    said: _Fields,
    body: bytes,
    name: str,
    offset: int,
    counts: Counts,
    cfg: ReadConfig,
) -> Raw | None:
    """What a record is, or None after it was counted; ``said`` are its header's fields."""
    http = record.http_headers
    kind, status, robots_tag, is_cut = said.get("content-type", ""), 200, "", False
    if http is not None:
        status = http.status_code
        if not isinstance(status, int):
            counts("broken_http_header")
            return None
        sent = _fields(http)
        kind = sent.get("content-type", "")
        if "x-robots-tag" in sent:
            robots_tag = ", ".join(http.get_multiple("X-Robots-Tag"))
        body = _without_next(body, sent.get("content-length", ""), counts)
        limit = max(cfg.max_page_bytes, cfg.max_image_bytes) + 1
        body, is_cut = decoded_body(
            body, sent.get("transfer-encoding", ""), sent.get("content-encoding", ""), limit
        )
        if is_cut:
            counts("truncated_body")
    capture = Capture(
        url=said.get("warc-target-uri", "").strip(" <>"),
        data=body,
        content_type=kind,
        captured=said.get("warc-date", ""),
        archive=name,
        offset=offset,
        robots_tag=robots_tag,
        is_cut=is_cut or "warc-truncated" in said,
    )
    return as_raw(capture, status, counts, cfg)


def _without_next(body: bytes, length: str, counts: Counts) -> bytes:
    """A body without the records that a wrong length of its own made part of it."""
    if length.isdigit() and len(body) > int(length):
        end = body.find(b"\r\n\r\nWARC/1.", int(length))
        if end >= 0:
            counts("wrong_length")
            return body[:end]
    return body
