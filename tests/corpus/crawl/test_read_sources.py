"""Sources as users name them: folders, web servers, patterns of URLs, files that are none."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pytest

from tests.corpus.reading import Read, packed, response
from tilewise.corpus.crawl.read import extent
from tilewise.corpus.plan import find_inputs
from tilewise.errors import SourceError


def test_what_a_folder_holds_beside_pages_is_counted_once_whatever_the_ranges(
    tmp_path: Path,
) -> None:
    for name in ("a.html", "b.html"):
        (tmp_path / name).write_text("<p>hello</p>")
    (tmp_path / "gone.html").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.html")  # would never end
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "crawl.WARC.gz").write_bytes(packed(response("http://a.example/")))
    (tmp_path / "old" / "pages.jsonl").write_text("{}")
    (tmp_path / "urls.tsv").write_text("a.html\thttp://a.example/\nno address\n")
    read = Read(tmp_path)
    assert [page.url for page in read.pages] == ["http://a.example/", "file:///b.html"]
    assert read.counts == {"unreadable_file": 1, "archive_in_folder": 2, "broken_line": 1}
    assert Read(tmp_path, 0, 1).counts + Read(tmp_path, 1, 3).counts == read.counts


def test_a_folder_inside_that_cannot_be_listed_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.html").write_text("<p>hello</p>")
    (tmp_path / "shut").mkdir()
    real = os.scandir

    def scandir(path: str | Path) -> Any:  # rights do not stop root, who may run the tests
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    read = Read(tmp_path)
    assert (len(read.pages), read.counts) == (1, {"unreadable_folder": 1})
    with pytest.raises(SourceError, match=r"shut cannot be listed \(Permission denied\)"):
        Read(tmp_path / "shut")


def test_a_file_that_is_no_archive_inside_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    for data in (b"<html>404 not found</html>" * 9, gzip.compress(b"no archive, either")):
        path.write_bytes(data)
        assert (Read(path).all, Read(path).counts) == ([], {"broken_record": 1})
    path.write_bytes(b"some noise in front" + packed(response("http://a.example/0")))
    assert (len(Read(path).pages), Read(path).counts) == (1, {"broken_record": 1})
    for nothing in (b"", gzip.compress(b"")):
        path.write_bytes(nothing)
        assert (Read(path).all, Read(path).counts) == ([], {})


def test_patterns_of_urls_stand_for_what_they_match() -> None:
    files = fsspec.filesystem("memory")
    for name in ("2024/b.warc.gz", "2024/a.warc.gz", "2024/c.txt", "odd/[1].warc.gz"):
        files.pipe(f"/patterns/{name}", b"x")
    crawl = "memory://patterns"
    assert find_inputs([f"{crawl}/2024/*.warc.gz", f"{crawl}/2024/[ab].warc.gz"]) == (
        "memory:///patterns/2024/a.warc.gz",
        "memory:///patterns/2024/b.warc.gz",
    )
    odd = f"{crawl}/odd/[1].warc.gz"  # there is a file of this name
    assert find_inputs([odd, "http://a.example/?page=1"]) == (odd, "http://a.example/?page=1")
    with pytest.raises(SourceError, match="nothing matches this pattern"):
        find_inputs([f"{crawl}/*.jsonl"])


@contextmanager
def website(root: Path, *, has_ranges: bool) -> Iterator[str]:
    """The address of a server of a folder."""

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(root))

        def send_head(self) -> Any:
            asked = self.headers.get("Range", "")
            path = root / self.path.lstrip("/")
            if not (has_ranges and asked and path.is_file()):
                return super().send_head()
            first, last = (int(text) for text in asked.partition("=")[2].split("-"))
            data = path.read_bytes()
            part = data[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            return BytesIO(part)

        def send_header(self, keyword: str, value: str) -> None:
            if has_ranges or keyword != "Content-Length":
                super().send_header(keyword, value)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_archives_and_lines_are_read_from_a_web_server(tmp_path: Path) -> None:
    lines = [json.dumps({"url": f"http://a.example/{n}", "html": "<p>x" * 90}) for n in range(9)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n{broken\n")
    (tmp_path / "a.warc.gz").write_bytes(packed(response("http://a.example/0")))
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with website(tmp_path, has_ranges=True) as address:
        read = Read(f"{address}/a.jsonl")
        assert (len(read.pages), read.counts) == (9, {"broken_line": 1})
        end = extent(f"{address}/a.jsonl").end
        parts = [Read(f"{address}/a.jsonl", *part) for part in ((0, 700), (700, end))]
        assert [page.url for part in parts for page in part.pages] == [p.url for p in read.pages]
        assert len(Read(f"{address}/a.warc.gz").pages) == 1
        assert extent(f"{address}/empty.jsonl") == ("bytes", 0)
        with pytest.raises(SourceError, match=r"gone.warc.gz cannot be read \(404, "):
            extent(f"{address}/gone.warc.gz")
    with website(tmp_path, has_ranges=False) as address:
        assert extent(f"{address}/empty.jsonl") == ("bytes", 0)
        with pytest.raises(SourceError, match="can only be read as one stream"):
            extent(f"{address}/a.jsonl")


def test_sources_behind_urls_are_read_by_fsspec() -> None:
    files = fsspec.filesystem("memory")
    files.pipe("/crawl/a.warc.gz", packed(response("http://a.example/0")))
    files.pipe("/site/x.example/i.html", b"<p>hi</p>")
    assert [page.url for page in Read("memory://crawl/a.warc.gz").pages] == ["http://a.example/0"]
    assert [page.url for page in Read("memory://site").pages] == ["http://x.example/i.html"]
    assert extent("memory://crawl/a.warc.gz").unit == "bytes"
