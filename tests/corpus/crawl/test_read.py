import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.reading import PNG, Read, packed, response
from tests.goldens import GoldenFile
from tilewise.corpus.crawl.body import decoded_body
from tilewise.corpus.crawl.raw import RawPage, ReadConfig, document_id
from tilewise.corpus.crawl.read import extent
from tilewise.errors import ConfigError, SourceError


def test_a_page_keeps_what_its_record_says(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    first = packed(response("http://a.example/0"))
    second = response(
        "http://a.example/1",
        b"<p>two</p>",
        kind="text/html; charset=big5",
        headers="X-Robots-Tag: noai\r\n",
    )
    path.write_bytes(first + packed(second))
    assert Read(path).pages[1] == RawPage(
        url="http://a.example/1",
        html=b"<p>two</p>",
        content_type="text/html; charset=big5",
        captured="2023-10-01T05:36:00Z",
        archive=str(path),
        offset=len(first),
        robots_tag="noai",
    )


def test_what_is_seen_and_not_wanted_is_dropped_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(
        response("http://a.example/gone", status="404 Not Found")
        + response("http://a.example/moved", status="301 Moved")
        + response("http://a.example/a.pdf", b"%PDF-1.7", kind="application/pdf")
        + response("http://a.example/b.html", b"%PDF-1.7 called html")
        + response("http://www.porn-tube.example/1")
        + response("http://a.example/large", b"<p>" + b"x" * 2000)
        + response("http://a.example/p.png", PNG, kind="image/png")
        + response("http://a.example/q.png", PNG, kind="image/png", status="404 Not Found")
        + response("http://a.example/robots.txt", b"User-agent: *", kind="text/plain")
    )
    read = Read(path, cfg=ReadConfig(max_page_bytes=1000))
    assert [(drop.url.rsplit("/", 1)[1], drop.reason) for drop in read.dropped] == [
        ("gone", "http_status"),
        ("moved", "http_status"),
        ("a.pdf", "not_html"),
        ("b.html", "not_html"),
        ("1", "url_blocklist"),
        ("large", "page_too_large"),
    ]
    assert {drop.stage for drop in read.dropped} == {"read"}
    assert [image.url for image in read.images] == [
        "http://a.example/p.png",
        "http://a.example/robots.txt",
    ]
    assert read.counts == {"image_http_status": 1}


@pytest.mark.parametrize("is_packed", [True, False], ids=["gzip", "plain"])
def test_ranges_of_an_archive_give_each_record_once(tmp_path: Path, is_packed: bool) -> None:
    records = [response(f"http://a.example/{i}", b"<p>%d WARC/1.0 </p>" % i * i) for i in range(40)]
    path = tmp_path / ("a.warc.gz" if is_packed else "a.warc")
    path.write_bytes(packed(*records) if is_packed else b"".join(records))
    whole = Read(path).pages
    size = extent(str(path)).end
    assert len(whole) == 40
    assert size == path.stat().st_size
    for step in (100, 777, size // 3):
        parts = [Read(path, at, min(at + step, size)).pages for at in range(0, size, step)]
        assert [page for part in parts for page in part] == whole


def test_one_long_gzip_member_belongs_to_the_range_with_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(packed(b"".join(response(f"http://a.example/{i}") for i in range(20))))
    size = path.stat().st_size
    assert len(Read(path, 0, size // 2).pages) == 20
    assert Read(path, size // 2, size).all == []


@pytest.mark.parametrize("is_packed", [True, False], ids=["gzip", "plain"])
def test_a_cut_archive_gives_all_before_the_cut(tmp_path: Path, is_packed: bool) -> None:
    records = [response(f"http://a.example/{i}", b"<p>text</p>" * 50) for i in range(5)]
    data = packed(*records) if is_packed else b"".join(records)
    path = tmp_path / ("a.warc.gz" if is_packed else "a.warc")
    last = len(packed(records[-1]) if is_packed else records[-1])
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(data[: len(data) - int(last * share)])
        read = Read(path)
        assert len(read.pages) == 4
        assert read.counts == {"truncated_record": 1}


def test_a_damaged_record_is_counted_once_and_stepped_over(tmp_path: Path) -> None:
    members = [packed(response(f"http://a.example/{i}", b"<p>text</p>" * 50)) for i in range(5)]
    path = tmp_path / "a.warc.gz"
    for damage in (slice(0, 10), slice(20, 60), slice(len(members[2]) - 30, None)):
        broken = bytearray(members[2])
        broken[damage] = bytes(len(broken[damage]))
        path.write_bytes(b"".join([*members[:2], bytes(broken), *members[3:]]))
        read = Read(path)
        assert [page.url[-1] for page in read.pages] == ["0", "1", "3", "4"]
        assert sum(read.counts.values()) == 1, read.counts


def test_wrong_lengths_hide_no_other_record(tmp_path: Path) -> None:
    good = [response(f"http://a.example/{i}") for i in range(3)]
    path = tmp_path / "a.warc"
    for length in (0, 20, 150, 10_000):
        bad = response("http://a.example/bad", length=length)
        path.write_bytes(good[0] + bad + good[1] + good[2])
        read = Read(path)
        urls = [page.url[-1] for page in read.pages]
        assert urls[0] == "0"
        assert urls[-2:] == ["1", "2"]
        assert sum(read.counts.values()) >= 1
    path.write_bytes(response("http://a.example/0", http_length=1) + good[1])
    assert [page.html for page in Read(path).pages] == [b"<p>hello</p>"] * 2


def test_bodies_are_unpacked_also_where_a_header_lies(tmp_path: Path) -> None:
    text = b"<p>hello</p>" * 3
    gzipped = "Content-Encoding: gzip\r\n"
    chunks = b"5\r\n<p>he\r\n7\r\nllo</p>\r\n0\r\n\r\n"
    path = tmp_path / "a.warc"
    path.write_bytes(
        response("http://a.example/0", gzip.compress(text), headers=gzipped)
        + response("http://a.example/1", text, headers=gzipped)
        + response("http://a.example/2", chunks, headers="Transfer-Encoding: chunked\r\n")
        + response("http://a.example/3", text, headers="Transfer-Encoding: chunked\r\n")
    )
    assert [page.html for page in Read(path).pages] == [text, text, b"<p>hello</p>", text]


def test_a_body_that_unpacks_to_much_is_cut_at_the_limit() -> None:
    bomb = gzip.compress(bytes(5_000_000))
    body, _ = decoded_body(bomb, "", "gzip", limit=1000)
    assert len(body) == 1000
    twice, _ = decoded_body(gzip.compress(bomb), "", "gzip, gzip, gzip, gzip, gzip", limit=1000)
    assert len(twice) <= 1000


@given(data=st.binary(max_size=400), at=st.integers(0, 2000))
@settings(max_examples=60, deadline=None)
def test_any_damage_leaves_the_reading_alive(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    whole = packed(*(response(f"http://a.example/{i}") for i in range(4)))
    path = tmp_path_factory.mktemp("damaged") / "a.warc.gz"
    for broken in (data, whole[:at] + data + whole[at + len(data) :]):
        path.write_bytes(broken)
        assert len(Read(path).pages) <= 8


def test_lines_are_read_in_ranges_and_broken_ones_counted(tmp_path: Path) -> None:
    rows = [{"url": f"http://a.example/{i}", "html": f"<p>é{i}</p>" * i} for i in range(20)]
    lines = [json.dumps(row, ensure_ascii=i % 2 == 0) for i, row in enumerate(rows)]
    lines[3:3] = ["{broken", "[]", '{"url": "http://a.example/x"}', "", '{"url": 3, "html": ""}']
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    read = Read(path)
    assert [page.url for page in read.pages] == [row["url"] for row in rows]
    assert read.pages[2].html == "<p>é2</p><p>é2</p>".encode()
    assert read.counts == {"broken_line": 4}
    size = path.stat().st_size
    for step in (1, 50, 333):
        parts = [Read(path, at, min(at + step, size)).pages for at in range(0, size, step)]
        assert [page for part in parts for page in part] == read.pages


def test_packed_lines_belong_to_the_first_range_and_a_cut_is_counted(tmp_path: Path) -> None:
    line = json.dumps({"url": "http://a.example/", "html": "<p>x</p>", "date": "2023-01-01"})
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(f"{line}\n".encode() * 100))
    read = Read(path, 0, 10)
    assert len(read.pages) == 100
    assert read.pages[0].captured == "2023-01-01"
    assert Read(path, 10, 200).all == []
    path.write_bytes(path.read_bytes()[:-20])
    assert Read(path).counts["truncated_gzip"] == 1


def test_a_folder_gives_its_pages_the_addresses_they_had(tmp_path: Path) -> None:
    (tmp_path / "example.org" / "sub").mkdir(parents=True)
    (tmp_path / "example.org" / "sub" / "a b.html").write_text("<p>by path</p>")
    (tmp_path / "example.org" / "pic.png").write_bytes(PNG)
    (tmp_path / "c.html").write_text(
        '<link rel="canonical" href="https://c.example/x?a=1&amp;b=2"><p>canonical</p>'
    )
    (tmp_path / "l.html").write_text("<p>listed</p>")
    (tmp_path / "z.htm").write_text("<p>nothing said</p>")
    (tmp_path / "notes.txt").write_text("no page")
    listing = {"file": "l.html", "url": "http://l.example/", "captured": "2022-02-02T00:00:00Z"}
    (tmp_path / "urls.jsonl").write_text(json.dumps(listing) + "\n{broken\n")
    read = Read(tmp_path)
    assert [(page.url, page.captured) for page in read.pages] == [
        ("https://c.example/x?a=1&b=2", ""),
        ("http://example.org/sub/a%20b.html", ""),
        ("http://l.example/", "2022-02-02T00:00:00Z"),
        ("file:///z.htm", ""),
    ]
    assert [image.url for image in read.images] == ["http://example.org/pic.png"]
    assert read.counts == {"broken_line": 1}
    assert extent(str(tmp_path)) == ("pages", 5)
    assert Read(tmp_path, 0, 2).all + Read(tmp_path, 2, 5).all == read.all


def test_sources_without_a_known_ending_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(packed(response("http://a.example/0")))
    (tmp_path / "b").write_bytes(b'{"url": "http://b.example/", "html": "<p>x"}')
    (tmp_path / "c").write_bytes(b"something else")
    assert len(Read(tmp_path / "a").pages) == len(Read(tmp_path / "b").pages) == 1
    with pytest.raises(SourceError, match="no crawl that can be read"):
        Read(tmp_path / "c")
    with pytest.raises(SourceError, match="cannot be read"):
        Read(tmp_path / "missing.warc.gz")


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_page_bytes"):
        ReadConfig(max_page_bytes=0)


def test_ids_come_from_address_and_time_alone() -> None:
    assert document_id("http://a.example/", "2023") == document_id("http://a.example/", "2023")
    assert document_id("http://a.example/", "2023") != document_id("http://a.example/", "2024")
    assert len(document_id("\ud800", "")) == 32


@pytest.mark.golden
def test_the_golden_archive_is_read_as_expected(golden: GoldenFile) -> None:
    path = golden("omnicorpus", "golden.warc.gz")
    lines = golden("omnicorpus", "expected.jsonl").read_text().splitlines()
    expected = {
        row["url"]: row["reason"] for row in map(json.loads, lines) if row["stage"] == "read"
    }
    read = Read(path)
    assert {drop.url: drop.reason for drop in read.dropped} == expected
    assert len(read.pages) == 285
    assert read.counts == {"image_http_status": 1}


def test_of_a_field_that_is_there_twice_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    headers = "content-type: image/png\r\nX-Robots-Tag: noai\r\nx-robots-tag: noindex\r\n"
    path.write_bytes(response("http://a.example/", headers=headers))
    (page,) = Read(path).pages
    assert (page.content_type, page.robots_tag) == ("text/html", "noai, noindex")
