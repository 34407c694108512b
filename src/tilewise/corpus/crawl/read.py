"""Crawls as they lie on disk, read record by record: WARC, JSON Lines, a folder of HTML.

A broken record is counted with a reason and never ends the reading; a range of a source can be
read alone, so that one large archive is work for many.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, cast

from tilewise.corpus.crawl.folder import folder_files, read_folder
from tilewise.corpus.crawl.lines import read_lines
from tilewise.corpus.crawl.raw import Counts, Extent, Raw, RawImage, RawPage, ReadConfig
from tilewise.corpus.crawl.warc import read_warc
from tilewise.errors import MissingExtraError, SourceError

__all__ = [
    "Counts", "Extent", "Raw", "RawImage", "RawPage", "ReadConfig", "extent",
    "read_pages",
]  # fmt: skip

Kind = Literal["warc", "jsonl", "folder"]

_GZIP: Final = b"\x1f\x8b"
_BUFFER: Final = 1 << 17
_ENDINGS: Final[dict[str, Kind]] = {
    ".warc": "warc",
    ".warc.gz": "warc",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson.gz": "jsonl",
}


def read_pages(
    path_or_url: str,
    *,
    counts: Counts,
    start: int = 0,
    end: int | None = None,
    cfg: ReadConfig | None = None,
) -> Iterator[Raw]:
    """Read the pages and images of one source.

    Args:
        path_or_url: a WARC file (plain or gzip), JSON Lines of ``{"url", "html"}`` (plain or
            gzip), a folder of HTML files; a local path, or a URL that fsspec knows.
        counts: called with a reason for each broken record (``broken_record``,
            ``truncated_record``, ``broken_line``, ...) and each image that is too large.
        start, end: only records that begin in [start, end), in the unit of ``extent``. A gzip
            file that is no row of members belongs to the range with its first byte.
        cfg: limits.

    Yields:
        Pages, images and robots.txt files in the order of the source, and a ``Dropped`` of stage
        ``read`` for a page that is not wanted: ``http_status``, ``not_html``, ``url_blocklist``,
        ``page_too_large``.

    Raises:
        SourceError: there is no such source, or it is of another kind.
        MissingExtraError: a package that this kind needs is not installed.
    """
    cfg = cfg or ReadConfig()
    kind = _kind(path_or_url)
    if kind == "folder":
        yield from read_folder(path_or_url, counts=counts, start=start, end=end, cfg=cfg)
        return
    with _opened(path_or_url) as file:
        last = _size(file) if end is None else min(end, _size(file))
        read = read_warc if kind == "warc" else read_lines
        yield from read(file, path_or_url, counts=counts, start=start, end=last, cfg=cfg)


def extent(path_or_url: str) -> Extent:
    """How far a source goes, so that it can be read in ranges.

    Raises:
        SourceError, MissingExtraError: as for ``read_pages``.
    """
    if _kind(path_or_url) == "folder":
        return Extent("pages", len(folder_files(path_or_url)))
    with _opened(path_or_url) as file:
        return Extent("bytes", _size(file))


def is_remote(path_or_url: str) -> bool:
    """Whether a source is a URL for fsspec and no path."""
    return "://" in path_or_url


def remote_matches(url: str) -> list[str]:
    """What a URL with ``*``, ``[...]`` or, but for the web, ``?`` stands for, sorted.

    A URL without such a sign, or of which there is a file by just that name, stands for itself.

    Raises:
        SourceError: nothing matches, or the place cannot be listed.
        MissingExtraError: a package that this kind needs is not installed.
    """
    is_web = url.startswith(("http://", "https://"))
    if not any(sign in url for sign in ("*[" if is_web else "*[?")):
        return [url]
    files, path = _file_system(url)
    try:
        if files.exists(path):
            return [url]
        found = sorted(files.unstrip_protocol(name) for name in files.glob(path))
    except (OSError, ValueError) as err:
        raise _unreadable(url, err) from err
    if not found:
        raise SourceError(f"{url}: nothing matches this pattern; check it.")
    return found


def _kind(path_or_url: str) -> Kind:
    name = path_or_url.lower().rstrip("/")
    if not is_remote(path_or_url) and Path(path_or_url).is_dir():
        return "folder"
    for ending, kind in _ENDINGS.items():
        if name.endswith(ending):
            return kind
    if is_remote(path_or_url) and _is_remote_folder(path_or_url):
        return "folder"
    with _opened(path_or_url) as file:
        head = _head(file)
    if head.startswith(b"WARC/"):
        return "warc"
    if head.lstrip().startswith(b"{"):
        return "jsonl"
    raise SourceError(
        f"{path_or_url} is no crawl that can be read: WARC (.warc, .warc.gz), JSON Lines of url "
        "and html (.jsonl, .jsonl.gz) and folders of HTML files are; give one of these."
    )


def _head(file: BinaryIO) -> bytes:
    """The first bytes, unpacked."""
    head = file.read(64)
    if not head.startswith(_GZIP):
        return head
    file.seek(0)
    try:
        return gzip.GzipFile(fileobj=file).read(64)
    except (OSError, EOFError):
        return b""


@contextmanager
def _opened(path_or_url: str) -> Iterator[BinaryIO]:
    """The file, open for reading at any place."""
    try:
        is_url = is_remote(path_or_url)
        opened = _remote(path_or_url) if is_url else Path(path_or_url).open("rb")  # noqa: SIM115
        file: BinaryIO = opened.__enter__()
        if is_url:  # what fsspec gives may have no ``readline`` with a limit
            file = BufferedReader(cast(RawIOBase, file), _BUFFER)
    except (OSError, ValueError) as err:
        raise _unreadable(path_or_url, err) from err
    with file:
        yield file if _has_length(file, path_or_url) else BytesIO()


def _has_length(file: BinaryIO, name: str) -> bool:
    """Whether a file has a length and so can be read in parts; one without is empty, or refused.

    Raises:
        SourceError: it is a stream, as of a web server that knows no ranges.
    """
    try:
        _size(file)
    except (OSError, ValueError) as err:
        if file.read(1):
            raise SourceError(
                f"{name} can only be read as one stream, as its server tells no length or knows no "
                "ranges; save it as a file, and give that."
            ) from err
        return False
    return True


def _remote(url: str) -> Any:
    fsspec = _fsspec()
    try:
        return fsspec.open(url, "rb")
    except ImportError as err:
        raise MissingExtraError(
            f"{url} needs a package that is not installed ({err}); install it with pip."
        ) from err


def _is_remote_folder(url: str) -> bool:
    files, path = _file_system(url)
    try:
        return bool(files.isdir(path))
    except (OSError, ValueError) as err:
        raise _unreadable(url, err) from err


def _file_system(url: str) -> tuple[Any, str]:
    """Where a URL leads: fsspec's file system, and the path there."""
    fsspec = _fsspec()
    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as err:
        raise MissingExtraError(
            f"{url} needs a package that is not installed ({err}); install it with pip."
        ) from err
    except (OSError, ValueError) as err:
        raise _unreadable(url, err) from err
    return files, str(path)


def _fsspec() -> Any:
    if importlib.util.find_spec("fsspec") is None:
        raise MissingExtraError(
            'reading a crawl from a URL needs fsspec; install it: pip install "tilewise[corpus]"'
        )
    import fsspec.core  # noqa: PLC0415 - an extra

    return fsspec


def _unreadable(name: str, err: Exception) -> SourceError:
    told: object = getattr(err, "strerror", None) or err
    if isinstance(err, FileNotFoundError) and str(err) in name:  # as fsspec says it
        told = err.__cause__ or "there is no such file"
    return SourceError(f"{name} cannot be read ({told}); check the path and its rights.")


def _size(file: BinaryIO) -> int:
    at = file.tell()
    size = file.seek(0, 2)
    file.seek(at)
    return size
