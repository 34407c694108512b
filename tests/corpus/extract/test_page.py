import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.goldens import GoldenFile
from tilewise.corpus.crawl.raw import RawPage
from tilewise.corpus.crawl.read import read_pages
from tilewise.corpus.extract.body import BodyConfig
from tilewise.corpus.extract.page import ExtractConfig, extract
from tilewise.corpus.extract.prune import PruneConfig
from tilewise.errors import ConfigError
from tilewise.records import Block, Document, Dropped

CFG = ExtractConfig()

WORDS = "The quick brown fox walks over a long bridge and looks at the slow water below it. "
ARTICLE = "".join(f"<p>Paragraph {i}. {WORDS * 3}</p>" for i in range(6))


def document(body: str, *, head: str = "", url: str = "http://a.example/dir/page.html") -> Document:
    html = f"<html><head>{head}</head><body>{body}</body></html>"
    found = extract(RawPage(url=url, html=html.encode(), captured="2023-01-01T00:00:00Z"), CFG)
    assert isinstance(found, Document), found
    return found


def dropped(html: str | bytes, cfg: ExtractConfig = CFG) -> Dropped:
    data = html.encode() if isinstance(html, str) else html
    found = extract(RawPage(url="http://a.example/", html=data), cfg)
    assert isinstance(found, Dropped), found
    assert found.stage == "extract"
    return found


def text_of(found: Document) -> str:
    return "\n".join(block.text for block in found.blocks)


def test_elements_keep_their_kinds_and_their_order() -> None:
    found = document(
        f"""<article><h1>Title</h1><p>First   <b>bold</b>\nline.<br>Second line.</p>
        <figure><img src="a.png" alt="An A"><figcaption>Caption of A</figcaption></figure>
        <pre>def f():\n    return 1\n</pre>
        <blockquote><p>Quoted words.</p></blockquote>
        <ul><li>One<ul><li>One and a half</li></ul></li><li><p>Two</p><p>two more</p></li></ul>
        <table><tr><th>Name</th><th>Size</th></tr><tr><td>a</td><td>1</td></tr>
        <tr><td>b <i>c</i></td><td>2</td></tr></table>
        <details><summary>More</summary>Hidden words.</details>
        <video src="v.mp4"></video>
        <iframe src="https://www.youtube.com/embed/abc"></iframe>
        <dl><dt>Term</dt><dd>What it means.</dd></dl>
        <p>{WORDS * 4}</p></article>"""
    )
    assert [(block.kind, block.text, block.level) for block in found.blocks[:-1]] == [
        ("header", "Title", 1),
        ("text", "First bold line.\nSecond line.", 0),
        ("image", "", 0),
        ("code", "def f():\n    return 1", 0),
        ("quote", "Quoted words.", 0),
        ("list", "One", 1),
        ("list", "One and a half", 2),
        ("list", "Two\ntwo more", 1),
        ("table", "Name\tSize\na\t1\nb c\t2", 0),
        ("detail", "More", 0),
        ("detail", "Hidden words.", 0),
        ("video", "http://a.example/dir/v.mp4", 0),
        ("video", "https://www.youtube.com/embed/abc", 0),
        ("list", "Term", 1),
        ("text", "What it means.", 0),
    ]
    image = found.images[0]
    assert (image.url, image.alt) == ("http://a.example/dir/a.png", "An A")
    assert image.caption == "Caption of A"


def test_code_is_kept_verbatim_without_its_line_numbers() -> None:
    code = "if a &lt; b:\n\n\tprint(  'x'  )   # <b>bold</b>"
    found = document(
        f"<main><p>{WORDS * 3}</p><img src=a.png><table class=highlight><tr><td class=linenos>"
        f"<pre>1\n2</pre></td><td><pre>\n{code}\n</pre></td></tr></table></main>"
    )
    codes = [block.text for block in found.blocks if block.kind == "code"]
    assert codes == ["if a < b:\n\n\tprint(  'x'  )   # bold"]


def test_an_image_inside_a_sentence_follows_its_paragraph() -> None:
    found = document(
        f"<article><p>Press <img src=key.png> now. {WORDS}</p><p>{WORDS}</p></article>"
    )
    assert [block.kind for block in found.blocks] == ["text", "image", "text"]
    assert found.blocks[0].text.startswith("Press now. The quick")


def test_images_between_bare_lines_part_the_text() -> None:
    found = document(f"<div>{WORDS}<br><br><img src=a.png><br>{WORDS}<br><br>{WORDS}</div>")
    assert [block.kind for block in found.blocks] == ["text", "image", "text", "text"]


@pytest.mark.parametrize(
    ("img", "url"),
    [
        ('<img src="x.png">', "http://a.example/dir/x.png"),
        ('<img src="/x.png#frag">', "http://a.example/x.png"),
        ('<img src="//b.example/x y.png">', "http://b.example/x%20y.png"),
        ('<img src="/blank.gif" data-src="x.png">', "http://a.example/dir/x.png"),
        ('<img src="data:image/gif;base64,R0" data-original="x.png">', "http://a.example/dir/x.png"),
        ('<img srcset="s.png 160w, l.png 640w, m.png 320w">', "http://a.example/dir/l.png"),
        ('<img src="loading.gif" srcset="a.png 1x, b.png 2x">', "http://a.example/dir/b.png"),
        ('<img srcset="http://c.example/w_1,h_2/a.png 2x,b.png 1x">',
         "http://c.example/w_1,h_2/a.png"),
        ('<img data-srcset="a.png 100w, b.png 200w" src="data:,">', "http://a.example/dir/b.png"),
        ('<picture><source srcset="big.webp 800w"><img src="data:,"></picture>',
         "http://a.example/dir/big.webp"),
        ('<amp-img src="x.png"></amp-img>', "http://a.example/dir/x.png"),
        ('<img class=lazy><noscript><img src="x.png"></noscript>', "http://a.example/dir/x.png"),
        ('<img data-src="x.png"><noscript><img src="y.png"></noscript>',
         "http://a.example/dir/x.png"),
        ('<img src="file:///etc/passwd">', "file:///etc/passwd"),
        ('<img src="http://[::1]/a.png">', "http://[::1]/a.png"),
    ],
)  # fmt: skip
def test_the_true_address_of_an_image_is_found(img: str, url: str) -> None:
    found = document(f"<article><p>{WORDS}</p>{img}<p>{WORDS}</p></article>")
    assert [image.url for image in found.images] == [url]
    assert [block.kind for block in found.blocks] == ["text", "image", "text"]


def test_addresses_start_from_base() -> None:
    base = '<base href="http://cdn.example/img/">'
    assert document(f"<p>{WORDS}</p><img src=a.png>", head=base).images[0].url == (
        "http://cdn.example/img/a.png"
    )
    relative = document(f"<p>{WORDS}</p><img src=a.png>", head='<base href="../x/">')
    assert relative.images[0].url == "http://a.example/x/a.png"


def test_counters_advertisements_and_images_of_sidebars_are_left_out() -> None:
    found = document(
        f"""<div class="sidebar"><a href="/x"><img src="side.png"></a><a href=/y>Other</a></div>
        <article>{ARTICLE}<img src="good.png"><img src="count.gif" width="1" height="1">
        <a href="http://ads.example/click?x"><img src="sofa.png"></a>
        <a rel="sponsored nofollow" href="/go"><img src="shop.png"></a>
        <div class="ad-slot"><img src="ad.png"></div>
        <div style="display: none"><img src="hidden.png"></div></article>
        <footer><img src="badge.png"></footer>"""
    )
    assert [image.url.rsplit("/", 1)[1] for image in found.images] == ["good.png"]


NEWS = f"""
<div id="cookie-banner"><p>We use cookies to make this site better for you and our partners.</p>
<a href=/ok>Accept</a></div>
<header class="site-header"><a href="/"><img src="/logo.png"></a><nav><a href=/1>World</a></nav>
</header><div class="breadcrumbs"><a href="/">Home</a> &gt; <a href="/n">News</a></div>
<div class="container has-sidebar"><div class="col-main">
<h1>A bridge is built</h1><div class="byline">By Jane Doe, 3 May 2020</div>
<div class="share-buttons"><a href=#>Tweet this</a> <a href=#>Share that</a></div>
<div class="entry-content">{ARTICLE}<img src="bridge.jpg">
<p>Last words of the article, which are its own. {WORDS}</p></div>
<div class="tags"><a href=/t/1>bridges</a> <a href=/t/2>water</a></div>
<div class="author-bio"><a href=/jane>Jane Doe</a> writes about bridges.</div></div>
<div class="col-right"><ul>{
    "".join(f"<li><a href=/a{i}>Another story no {i}</a></li>" for i in range(8))
}</ul></div></div>
<section class="related-posts"><h3>You may also like</h3>
{
    "".join(
        f"<div class=card><img src=t{i}.jpg><h4><a href=/r{i}>Teaser {i}</a></h4></div>"
        for i in range(5)
    )
}</section>
<div id="disqus_thread"><p>A comment: {WORDS}</p><p>Another comment: {WORDS}</p></div>
<div class="newsletter">Sign up for our letter.</div>
"""

FORUM = f"""
<table class="tborder"><tr><td><a href=/u1>user1</a></td><td id=post1>{ARTICLE}
<img src="photo.jpg"></td></tr></table>
<div class="pagination"><a href=?p=2>2</a> <a href=?p=3>3</a> <a href=?p=4>Next page</a></div>
<div class="navbar"><a href=/>Board index</a> <a href=/faq>Help pages</a></div>
"""

BARE = f"""
<table width=100%><tr><td width=150><a href=1>Products page</a><br><a href=2>Support page</a><br>
<a href=3>Contact page</a></td><td>{ARTICLE}<img src="old.gif"></td></tr></table>
"""


@pytest.mark.parametrize(
    ("page", "image", "extra"),
    [
        (NEWS, "bridge.jpg", ["cookies", "World", "Home", "Tweet", "Jane", "water</a>", "Another",
                              "Teaser", "comment", "letter", "also like"]),
        (FORUM, "photo.jpg", ["Next page", "Board index"]),
        (BARE, "old.gif", ["Products", "Support", "Contact"]),
    ],
    ids=["news", "forum", "tables"],
)  # fmt: skip
def test_the_body_is_found_among_what_surrounds_it(page: str, image: str, extra: list[str]) -> None:
    found = document(page)
    text = text_of(found)
    assert text.count("Paragraph") == 6
    assert [one for one in extra if one in text] == []
    assert [one.url.rsplit("/", 1)[1] for one in found.images] == [image]


def test_the_heading_above_a_body_belongs_to_it() -> None:
    found = document(NEWS, head="<title>A bridge is built - The News</title>")
    assert found.blocks[0] == Block(kind="header", text="A bridge is built", level=1)
    assert found.title == "A bridge is built - The News"


def test_sections_beside_a_short_body_are_added_again() -> None:
    found = document(
        f"<div class=wrap><div class=entry-content><p>{WORDS * 4}</p><img src=a.png></div>"
        f"<div class=x1><p>Second part. {WORDS * 4}</p></div>"
        f"<div class=x2><p>Third part. {WORDS * 4}</p></div></div>"
    )
    assert [part in text_of(found) for part in ("Second part", "Third part")] == [True, True]


def test_pruning_that_would_empty_a_page_is_undone() -> None:
    links = "".join(f"<p><a href=/{i}>{WORDS}</a></p>" for i in range(6))
    found = document(f"<div><p>Read: {WORDS}{WORDS}</p>{links}<img src=a.png></div>")
    assert "Read" in text_of(found)


def test_boxes_of_the_text_stay_and_lists_of_prose_with_links() -> None:
    items = "".join(f"<li>{WORDS} See <a href=/{i}>part {i}</a>.</li>" for i in range(6))
    found = document(
        f'<main>{ARTICLE}<img src=a.png><aside class="note"><p>Mind the gap.</p></aside>'
        f'<div class="sidebar"><p>A box beside the text. {WORDS}</p></div><ul>{items}</ul></main>'
    )
    text = text_of(found)
    assert "Mind the gap." in text
    assert "A box beside the text." in text
    assert text.count("See part") == 6


def test_formulas_are_kept_as_they_were_written() -> None:
    found = document(
        f"<p>{WORDS} So <script type='math/tex'>x^2</script> holds.</p><img src=a.png>"
    )
    assert "So $x^2$ holds." in text_of(found)


def test_signs_that_are_not_seen_are_left_out() -> None:
    found = document(f"<p>a\u200bb\u00adc\ufeff&nbsp;d\u202e {WORDS}</p><img src=a.png>")
    assert found.blocks[0].text.startswith("abc d The")


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("", "extract_empty"),
        (" \n ", "extract_empty"),
        (f"<p>{WORDS}</p>", "no_images"),
        (f"<p>{WORDS}</p><img src='data:image/png;base64,AA'>", "no_images"),
        (f"<article>{ARTICLE}</article><footer><img src=a.png></footer>", "no_images"),
        ("<img src=a.png>", "extract_empty"),
        ("<script>x</script><img src=a.png>", "extract_empty"),
    ],
)
def test_pages_without_text_or_image_are_dropped(html: str, reason: str) -> None:
    assert dropped(html).reason == reason


def test_pages_beyond_a_limit_are_dropped_with_the_value() -> None:
    image = "<img src=a.png>"
    large = dropped(image * 100, ExtractConfig(max_page_bytes=1000))
    assert (large.reason, large.value, large.threshold) == ("page_too_large", 1500.0, 1000.0)
    many = dropped(image * 100, ExtractConfig(max_elements=50))
    assert (many.reason, many.threshold) == ("too_many_elements", 50.0)
    deep = dropped(image + "<div>" * 60, ExtractConfig(max_depth=50))
    assert (deep.reason, deep.threshold) == ("too_deep", 50.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ExtractConfig(max_depth=0),
        lambda: PruneConfig(likeness=1.5),
        lambda: BodyConfig(body_share=-0.1),
    ],
)
def test_settings_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]


def test_the_image_may_be_left_unasked_for() -> None:
    page = RawPage(url="http://a.example/", html=f"<p>{WORDS}</p>".encode())
    assert isinstance(extract(page, ExtractConfig(needs_image=False)), Document)


def test_pages_that_opt_out_are_dropped_by_their_own_rule() -> None:
    body = f"<p>{WORDS}</p><img src=a.png>"
    told = dropped(f'<meta name="Robots" content="index, NoAI">{body}')
    assert (told.reason, told.value) == ("opted_out", "noai")
    page = RawPage(url="http://a.example/", html=body.encode(), robots_tag="noml")
    assert isinstance(extract(page, CFG), Dropped)
    assert isinstance(extract(page, ExtractConfig(obeys_opt_out=False)), Document)
    assert isinstance(document(body, head='<meta name="robots" content="index,follow">'), Document)


def test_results_depend_on_no_hash_seed() -> None:
    code = (
        "import sys; from tilewise.corpus.extract.page import ExtractConfig, extract, RawPage;"
        "print(extract(RawPage(url='http://a/', html=sys.stdin.buffer.read()), ExtractConfig()))"
    )
    out = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=NEWS.encode(),
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(out) == 1


@pytest.mark.golden
def test_golden_pages_are_extracted_as_expected(golden: GoldenFile) -> None:
    rows = golden("omnicorpus", "expected.jsonl").read_text().splitlines()
    expected = {row["url"]: row for row in map(json.loads, rows)}
    lines = golden("omnicorpus", "extraction_checks.jsonl").read_text().splitlines()
    checks = {row["url"]: row for row in map(json.loads, lines)}
    seen = set()
    for raw in read_pages(str(golden("omnicorpus", "golden.warc.gz")), counts=lambda _: None):
        if not isinstance(raw, RawPage):
            continue
        found, row = extract(raw, CFG), expected[raw.url]
        if isinstance(found, Dropped):
            also = row.get("also_ok", [])
            assert found.reason in {row["reason"], *also} or "any" in also, raw.url
        else:
            assert row["stage"] != "extract", raw.url
            if "page_license" in row:
                assert (found.license, found.license_source) == (
                    row["page_license"],
                    "rel-license",
                )
            if raw.url in checks:
                check_page(found, checks[raw.url])
                seen.add(raw.url)
    assert seen == set(checks)


def check_page(found: Document, check: dict[str, Any]) -> None:
    """Strings that must and must not be there, images and the order of both."""
    text = text_of(found)
    assert [part for part in check["must_contain"] if part not in text] == []
    assert [part for part in check["must_not_contain"] if part in text] == []
    if "images_in_order" in check:
        assert [image.url for image in found.images] == check["images_in_order"]
    blocks = iter(found.blocks)
    for kind, part in check.get("order", []):
        told = (block.image.url if block.image else block.text for block in blocks)
        assert any(part in one for one in told), (kind, part)
