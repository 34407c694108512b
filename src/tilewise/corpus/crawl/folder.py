"""A folder of HTML files and images, with the addresses they came from.

An address is, in this order: the line of ``urls.jsonl`` (``{"file", "url"}``) or ``urls.tsv``
(file, tab, address) in the folder; the page's canonical link; a path that begins with a host name,
as mirrors of sites are stored; else ``file:///`` and the path inside the folder.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tilewise.corpus.crawl.raw import Capture, Counts, Raw, ReadConfig, as_raw
from tilewise.errors import MissingExtraError, SourceError

_KINDS: Final = {
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
}
_LISTINGS: Final = ("urls.jsonl", "urls.tsv")
_ARCHIVES: Final = (
    ".warc", ".warc.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz",
)  # fmt: skip
_HOST: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}(?::\d+)?", re.IGNORECASE
)
_CANONICAL: Final = re.compile(
    rb"<link\b(?=[^<>]{0,999}\brel\s?=\s?[\"']?canonical\b)"
    rb"[^<>]{0,999}?\bhref\s?=\s?[\"']?([^\"'\s>]{1,2000})",
    re.IGNORECASE,
)
_HEAD_BYTES: Final = 1 << 16


def read_folder(
    folder: str, *, counts: Counts, start: int, end: int | None, cfg: ReadConfig
) -> Iterator[Raw]:
    """Files number ``start`` to ``end`` of a folder; arguments as for ``read_pages``.

    A file that cannot be read is counted as ``unreadable_file``; so are, by who has the first file,
    folders inside that cannot be listed (``unreadable_folder``), archives, which are sources of
    their own and are not read here (``archive_in_folder``), and lines of lists that are none
    (``broken_line``).
    """
    files = _Files(folder)
    if start == 0:
        for _ in range(files.unreadable):
            counts("unreadable_folder")
        for _ in range(files.archives):
            counts("archive_in_folder")
    listed = _listed(files, counts if start == 0 else _nothing)
    limit = max(cfg.max_page_bytes, cfg.max_image_bytes) + 1
    for number, name in enumerate(files.names):
        if number < start or (end is not None and number >= end):
            continue
        try:
            data = files.read(name, limit)
        except OSError:
            counts("unreadable_file")
            continue
        url, captured = listed.get(name, ("", ""))
        kind = _KINDS[_suffix(name)]
        capture = Capture(
            url=url or _canonical(data, kind) or _from_path(name),
            data=data,
            content_type=kind,
            captured=captured,
            archive=files.place(name),
            offset=0,
        )
        raw = as_raw(capture, 200, counts, cfg)
        if raw is not None:
            yield raw


def folder_files(folder: str) -> list[str]:
    """Pages and images of a folder, by their paths inside it, in order.

    Raises:
        SourceError: it cannot be listed.
    """
    return _Files(folder).names


class _Files:
    """The files of a folder, on this machine or where fsspec finds them."""

    def __init__(self, folder: str) -> None:
        self._root = folder.rstrip("/") or "/"
        self._remote: Any = None
        self.unreadable = 0
        if "://" in folder:
            self._remote, self._root = _remote(self._root)
        try:
            names = self._found()
        except OSError as err:
            raise SourceError(
                f"{folder} cannot be listed ({err.strerror or err}); check the path and its rights."
            ) from err
        self.listings = [name for name in _LISTINGS if name in names]
        self.names = sorted(name for name in names if _suffix(name) in _KINDS)
        self.archives = sum(
            name.lower().endswith(_ARCHIVES) and name not in _LISTINGS for name in names
        )

    def _found(self) -> set[str]:
        if self._remote is not None:
            cut = len(self._root.rstrip("/")) + 1
            return {path[cut:] for path in self._remote.find(self._root)}
        root, found = Path(self._root), set()
        for folder, _, names in os.walk(root, onerror=self._not_listed):
            inside = Path(folder)
            # a link to nothing is a file that cannot be read; a pipe would be waited on for ever
            paths = (inside / name for name in names)
            found |= {path for path in paths if path.is_file() or not path.exists()}
        return {path.relative_to(root).as_posix() for path in found}

    def _not_listed(self, err: OSError) -> None:
        if err.filename is None or Path(err.filename) == Path(self._root):
            raise err
        self.unreadable += 1

    def read(self, name: str, limit: int) -> bytes:
        """At most ``limit`` bytes of a file."""
        path = self.place(name)
        with self._remote.open(path, "rb") if self._remote else Path(path).open("rb") as file:
            data: bytes = file.read(limit)
        return data

    def place(self, name: str) -> str:
        """Where a file lies."""
        return f"{self._root.rstrip('/')}/{name}"


def _remote(url: str) -> tuple[Any, str]:
    if importlib.util.find_spec("fsspec") is None:
        raise MissingExtraError(
            'reading a crawl from a URL needs fsspec; install it: pip install "tilewise[corpus]"'
        )
    from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra

    files, path = url_to_fs(url)
    return files, str(path)


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _listed(files: _Files, counts: Counts) -> Mapping[str, tuple[str, str]]:
    """(address, time of capture) by file, from the folder's own lists."""
    found: dict[str, tuple[str, str]] = {}
    for listing in files.listings:
        for line in files.read(listing, 1 << 30).decode("utf-8", "replace").splitlines():
            if not line.strip():
                continue
            row = _row(line, listing)
            if row is None:
                counts("broken_line")
            else:
                found.setdefault(row[0], row[1:])
    return found


def _row(line: str, listing: str) -> tuple[str, str, str] | None:
    if listing.endswith(".tsv"):
        file, _, rest = line.partition("\t")
        url, _, captured = rest.partition("\t")
        return (file.strip(), url.strip(), captured.strip()) if url.strip() else None
    try:
        row = json.loads(line)
        values = (row["file"], row["url"], row.get("captured") or "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return values if all(isinstance(value, str) for value in values) else None


def _canonical(data: bytes, kind: str) -> str:
    """The address that a page says is its own, if it is a whole one."""
    if kind.startswith("image/"):
        return ""
    match = _CANONICAL.search(data[:_HEAD_BYTES])
    url = match[1].decode("utf-8", "replace").replace("&amp;", "&") if match else ""
    return url if url.lower().startswith(("http://", "https://")) else ""


def _from_path(name: str) -> str:
    host, _, rest = name.partition("/")
    if rest and _HOST.fullmatch(host):
        return f"http://{host}/{quote(rest)}"
    return f"file:///{quote(name)}"


def _nothing(_: str) -> None:
    """Who has the first file counts what belongs to none."""
