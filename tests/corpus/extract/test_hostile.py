"""Pages made to hurt: any bytes give a document or a reason, in bounded time."""

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewise.corpus.crawl.raw import RawPage
from tilewise.corpus.extract.page import ExtractConfig, extract
from tilewise.records import Document, Dropped

CFG = ExtractConfig()
SIZE = 100_000
LIMIT_S = 6.0
"""A tenth of a second each on an idle core; what is quadratic takes minutes."""


def run(html: bytes, cfg: ExtractConfig = CFG, content_type: str = "") -> Document | Dropped:
    page = RawPage(url="http://a.example/x", html=html, content_type=content_type)
    found = extract(page, cfg)
    assert isinstance(found, (Document, Dropped))
    return found


def filled(part: bytes, before: bytes = b"") -> bytes:
    return (b"<img src=a.png>" + before + part * (SIZE // len(part)))[:SIZE]


PAGES = {
    "nested": filled(b"<div>"),
    "paragraphs": filled(b"<p>word"),
    "end tags": filled(b"</b>", b"<div>" * 900),
    "headers": filled(b"<header>x</header>", b"<div>" * 900),
    "tables": filled(b"<table><tr><td>x", b""),
    "tables in depth": filled(b"<table><tr><td>x</table>", b"<table><tr><td>" * 200),
    "lists": filled(b"<ul><li>a <a href=x>b</a></ul>", b"<ul><li>" * 400),
    "threes": filled(b"<div><p>a <a href=x>more</a></p></div>", b"<div>" * 900),
    "figures": filled(b"<img src=x.png>", b"<figure>" * 900),
    "pictures": filled(b'<source srcset="a 1x"><img>', b"<picture>"),
    "srcset": filled(b"a.jpg 1w, ", b'<img srcset="'),
    "srcsets": filled(b'<img srcset="' + b"a.jpg 1w, " * 390 + b'">'),
    "attributes": filled(b" a=1 b", b"<p "),
    "formatting": filled(b"<p>x", b"".join(b"<b id=%d>" % i for i in range(900))),
    "links": filled(b"<a href=x>"),
    "less than": filled(b"<"),
    "comments": filled(b"<!-- "),
    "entities": filled(b"&amp;"),
    "breaks": filled(b"a<br>"),
    "code": filled(b"<pre>a</pre>"),
    "json": filled(b'[{"license":', b'<script type="application/ld+json">'),
    "licences": filled(b"CC licensed provided under: Creative Commons attribution "),
    "charsets": filled(b"<meta charset charset "),
    "zeros": filled(b"\0"),
    "high bytes": filled(b"\xff\xfe\xfd"),
    "undeclared": filled("中文 text ".encode("gb18030")),
}


@pytest.mark.parametrize("name", PAGES)
def test_hostile_pages_end_in_bounded_time(name: str) -> None:
    before = process_time()
    run(PAGES[name])
    assert process_time() - before < LIMIT_S


def test_a_page_of_50_mb_is_dropped_at_once() -> None:
    before = process_time()
    found = run(b"<p>x" * 12_500_000)
    assert isinstance(found, Dropped)
    assert found.reason == "page_too_large"
    assert process_time() - before < 0.5


TAGS = (
    "div p a img table tr td ul li pre br h1 article main nav figure figcaption span b script "
    "style title head body html dl dd svg math noscript iframe video details picture source form"
).split()
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS]),
    st.sampled_from([
        "<img src=a.png>", "<img srcset='a 1x, b 2x' width=1>", "<a href='/x' rel=license>",
        "<div class='ad sidebar comments'>", "<div class=entry-content>", "<div hidden>",
        "<base href='::'>", "<base href='http://['>", "<img src='http://['>", "<img src=':'>",
        "<!--", "-->", "<![CDATA[", "<?x", "<!doctype html>", "&amp;", "&#0;", "&#xD800;",
    ]),
    st.text(max_size=12),
    st.just("Words that make a sentence of some length, as pages have them. " * 3),
)  # fmt: skip


@given(pieces=st.lists(PIECES, max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_markup_gives_a_document_or_a_reason(pieces: list[str]) -> None:
    html = "".join(pieces).encode("utf-8", "replace")
    found = run(html, ExtractConfig(needs_image=False))
    if isinstance(found, Document):
        assert all((block.kind == "image") == (block.image is not None) for block in found.blocks)
        assert all(block.text.strip() or block.image for block in found.blocks)
    run(b"<img src=a.png>" + html)


@given(data=st.binary(max_size=500), content_type=st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_document_or_a_reason(data: bytes, content_type: str) -> None:
    run(b"<img src=a.png><p>" + data, content_type=content_type)
    run(data, content_type=content_type)
