"""Web pages drawn by a real Chromium, from a real server and from files."""

from __future__ import annotations

import asyncio
import logging
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from tests.sources.drawing import BLUE, GREEN, RED, STYLE, block, drawn, has, options, rows, square
from tests.sources.serving import Site, redirect, serving
from tilewise.errors import SourceError
from tilewise.records import Pixels
from tilewise.sources import addresses, web
from tilewise.sources.pages import open_source

chromium = pytest.mark.chromium


@chromium
def test_a_page_is_drawn_whole_at_the_width_and_scale_asked_for(site: Site, clean: Path) -> None:
    site.pages["/"] = STYLE + block(RED, 1500) + block(GREEN, 1500) + block(BLUE, 8)
    pixels = drawn(site["/"], width=320, scale=1.5)
    assert pixels.shape == (3008 * 3 // 2, 480, 3)
    assert (pixels[0, 0].tolist(), pixels[-1, -1].tolist()) == (list(RED), list(BLUE))


@chromium
def test_what_follows_the_window_is_shown_once(site: Site) -> None:
    site.pages["/"] = (
        STYLE
        + block(RED, 40, "position:fixed;top:0;left:0;right:0")
        + block((200, 200, 200), 300)
        + block(BLUE, 30, "position:sticky;top:0")
        + '<div style="height:4000px"></div>'
        + block(GREEN, 20, "position:fixed;bottom:0;left:0;right:0")
    )
    pixels = drawn(site["/"])
    assert rows(pixels, RED) == list(range(40))
    assert rows(pixels, BLUE) == list(range(300, 330))
    assert rows(pixels, GREEN) == list(range(len(pixels) - 20, len(pixels)))


@chromium
def test_a_menu_that_waits_beside_the_window_stays_out_of_the_picture(site: Site) -> None:
    wide = "position:fixed;top:0;width:100%;transition:all 1s"
    site.pages["/"] = (
        STYLE
        + block(RED, 400, f"{wide};left:-100%")
        + block(RED, 400, f"{wide};left:100%")
        + block(BLUE, 40, f"{wide};left:0")
        + '<div style="height:2000px">x</div>'
    )
    pixels = drawn(site["/"])
    assert pixels.shape[1] == 400
    assert rows(pixels, BLUE) == list(range(40))
    assert not has(pixels, RED)


@chromium
@pytest.mark.slow
def test_a_fixed_header_inside_a_shifted_box_stays_where_it_was(site: Site) -> None:
    header = block(RED, 40, "position:fixed;top:10px;left:0;width:100%")
    site.pages["/"] = (
        STYLE + f'<div style="position:relative;margin-top:200px">{header}'
        '<div style="height:2500px">x</div></div>'
    )
    assert rows(drawn(site["/"]), RED) == list(range(10, 50))


@chromium
def test_images_that_load_late_are_there(site: Site) -> None:
    gap = '<div style="height:3000px"></div>'
    site.pages["/"] = f"""{STYLE}{gap}<img loading=lazy src=a.png width=400 height=40>{gap}
        <img id=seen width=400 height=40><script>
        new IntersectionObserver((seen, watch) => {{
            if (seen[0].isIntersecting) {{ document.getElementById("seen").src = "b.png"; }}
        }}).observe(document.getElementById("seen"));
        </script>"""
    site.pages["/a.png"], site.pages["/b.png"] = square(GREEN), square(BLUE)
    pixels = drawn(site["/"])
    assert len(rows(pixels, GREEN)) == 40
    assert len(rows(pixels, BLUE)) == 40


BAR = "position:fixed;left:0;right:0;bottom:0;height:200px;background:rgb(255,0,0);z-index:9"
BANNERS = {
    "known": f'<div id="onetrust-consent-sdk"><div style="{BAR}">Hello</div></div>',
    "named": f'<div class="my-cookie-bar" style="{BAR}">Hello <button>OK</button></div>',
    "worded": f'<div style="{BAR}">We use cookies. <a href="#">Accept all</a></div>',
    "german": f'<div style="{BAR}">Ihre Einwilligung, bitte. <button>Ja</button></div>',
    "dialog": f'<div role="dialog" style="{BAR};bottom:40%">Your privacy <button>OK</button></div>',
    "sticky": f'<div style="{BAR};position:sticky">We use cookies <button>OK</button></div>',
    "veiled": (
        '<div style="position:fixed;inset:0;background:rgb(255,0,0);z-index:5"></div>'
        f'<div style="{BAR}">Cookies? <button>OK</button></div>'
        "<style>html,body{overflow:hidden;height:100%}</style>"
    ),
}


@chromium
def test_consent_banners_are_left_out_and_what_they_hold_back_is_there(site: Site) -> None:
    site.pages["/"] = (
        f"{STYLE}<p>Text with a cookie in it</p>{block(GREEN)}"
        f'<div style="height:2000px"></div>{block(BLUE)}{"".join(BANNERS.values())}'
    )
    pixels = drawn(site["/"])
    assert not has(pixels, RED)
    assert (len(rows(pixels, GREEN)), len(rows(pixels, BLUE))) == (40, 40)


@chromium
@pytest.mark.slow
@pytest.mark.parametrize("name", BANNERS)
def test_each_kind_of_banner_is_known_by_itself(name: str, site: Site) -> None:
    site.pages["/"] = f"{STYLE}{block(GREEN)}<div style='height:2000px'></div>{BANNERS[name]}"
    assert not has(drawn(site["/"]), RED)


@chromium
@pytest.mark.slow
def test_what_only_looks_like_a_banner_stays(site: Site) -> None:
    bar = "position:fixed;left:0;right:0;background:rgb(255,0,0);height:60px;"
    site.pages["/"] = (
        f'{STYLE}<div style="{bar}top:0"><nav><a href=x>Shop</a> <a href=y>Your privacy</a></nav>'
        f'</div><div style="height:500px"></div>{block(GREEN)}'
        '<footer><a href="c">Cookie policy</a></footer>'
    )
    pixels = drawn(site["/"])
    assert len(rows(pixels, RED)) == 60
    assert len(rows(pixels, GREEN)) == 40


@chromium
def test_a_page_without_end_is_cut_and_says_so(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.pages["/"] = f"""{STYLE}<p>start</p><script>
        const more = () => document.body.insertAdjacentHTML("beforeend", '{block(GREEN, 700)}');
        more(); more();
        addEventListener("scroll", () => {{
            if (scrollY + innerHeight > document.body.scrollHeight - 800) more();
        }});</script>"""
    with caplog.at_level(logging.WARNING):
        assert len(drawn(site["/"], max_height=5000)) == 5000
    assert "is cut at 5000" in caplog.text


@chromium
def test_a_script_that_never_ends_is_given_up_and_can_be_left_out(site: Site, clean: Path) -> None:
    site.pages["/"] = STYLE + block(GREEN) + "<script>for(;;);</script>" + block(BLUE)
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"not drawn within 4 s.*--no-javascript"):
        drawn(site["/"], time_limit_s=4)
    assert time.monotonic() - began < 30
    pixels = drawn(site["/"], javascript=False)
    assert rows(pixels, GREEN) + rows(pixels, BLUE) == list(range(80))


@chromium
@pytest.mark.slow
def test_a_page_that_is_not_drawn_is_told_in_one_sentence(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_LOAD_MS", 500)
    site.pages["/again"] = f"{STYLE}x<script>onload = () => location.reload()</script>"
    site.pages["/none"] = (
        f"{STYLE}<script>setInterval('document.documentElement.remove()')</script>"
    )
    site.pages["/spin"] = f"{STYLE}x<script>for(;;);</script>"
    for path, words in (
        ("/again", r"keeps moving on to another page|not drawn within"),
        ("/none", r"cannot be drawn \(.*\); try --no-javascript"),
        ("/spin", r"not drawn within"),
    ):
        with pytest.raises(SourceError, match=words):
            drawn(site[path], time_limit_s=6)
    assert not caplog.records


@chromium
def test_without_javascript_no_script_changes_the_page(site: Site) -> None:
    site.pages["/"] = (
        f"{STYLE}<noscript>{block(GREEN)}</noscript><img loading=lazy src=a.png height=40 "
        f'width=400><script>document.write(`{block(RED)}`)</script><p onclick="x()">text</p>'
    )
    site.pages["/a.png"] = square(BLUE)
    pixels = drawn(site["/"], javascript=False)
    assert not has(pixels, RED)
    assert (len(rows(pixels, GREEN)), len(rows(pixels, BLUE))) == (40, 40)
    assert has(drawn(site["/"]), RED)


@chromium
@pytest.mark.slow
def test_a_part_that_never_comes_does_not_hold_the_page_up(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_LOAD_MS", 500)
    site.pages["/never.png"] = lambda handler: site.over.wait(60)
    site.pages["/"] = f"{STYLE}{block(GREEN)}<img src=never.png>"
    with caplog.at_level(logging.WARNING):
        assert len(rows(drawn(site["/"]), GREEN)) == 40
    assert "not all of it had come" in caplog.text


@chromium
@pytest.mark.slow
def test_downloads_are_refused(site: Site, clean: Path) -> None:
    fields = {"Content-Type": "text/html", "Content-Disposition": "attachment; filename=a.html"}
    site.pages["/file"] = (200, fields, b"<html>x")
    with pytest.raises(SourceError, match="offered as a download"):
        drawn(site["/file"])
    site.pages["/"] = f"""{STYLE}{block(GREEN)}<a id=a href=data:,x download=x.txt>x</a><script>
        a.click(); location = "/file"; open("/popup"); alert("stop"); print();
        onbeforeunload = () => "stay";</script>"""
    assert len(rows(drawn(site["/"]), GREEN)) == 40


@chromium
@pytest.mark.slow
def test_a_page_that_leads_to_a_login_says_so(site: Site) -> None:
    site.pages["/report"] = redirect("/in?back=/report")
    site.pages["/in"] = f"{STYLE}<form>Name <input> Password <input type=password></form>"
    with pytest.raises(SourceError, match=r"leads to a login .*give the file"):
        drawn(site["/report"])
    assert drawn(site["/in"]).size  # asked for itself, it is a page as any other


@chromium
@pytest.mark.slow
def test_a_server_that_turns_only_browsers_away_is_told(site: Site) -> None:
    def picky(handler: BaseHTTPRequestHandler) -> None:
        is_browser = "Chrome" in handler.headers.get("User-Agent", "")
        handler.send_response(403 if is_browser else 200)
        handler.end_headers()
        handler.wfile.write(b"<html>hello</html>")

    site.pages["/"] = picky
    with pytest.raises(SourceError, match="answers 403"):
        drawn(site["/"])


REACHING = """<iframe src="{0}/a" width=400 height=40></iframe><img src="{0}/b.png" width=400>
    <img src="/leads-on" width=400><script src="{0}/c.js"></script><link rel=preload as=image
    href="{0}/d.png"><link rel=preconnect href="{0}"><style>@import "{0}/e.css";</style><script>
    fetch("{0}/f", {{mode: "no-cors"}}); new WebSocket("{0}/g".replace("http", "ws"));
    new Worker(URL.createObjectURL(new Blob(["fetch('{0}/h', {{mode: 'no-cors'}})"])));
    navigator.sendBeacon("{0}/i"); new EventSource("{0}/j");
    </script>"""


@chromium
def test_no_part_of_a_page_reaches_a_private_address(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda ip: ip == "127.0.0.2")
    body = STYLE + block(GREEN) + REACHING.format(site.base)
    with serving("127.0.0.2") as outside:
        outside.pages["/"] = body
        outside.pages["/leads-on"] = redirect(site["/secret.png"])
        assert len(rows(drawn(outside["/"], allow_private=False), GREEN)) == 40
        assert "/leads-on" in outside.asked
    file = tmp_path / "page.html"
    file.write_text(body)
    assert len(rows(drawn(file, allow_private=False), GREEN)) == 40
    assert site.asked == []
    drawn(file)  # the same page, allowed to: the test would notice
    assert {"/a", "/b.png", "/c.js", "/e.css", "/f", "/g", "/h"} <= set(site.asked)


@chromium
@pytest.mark.slow
def test_a_page_that_moves_on_to_a_private_address_is_not_drawn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda ip: ip == "127.0.0.2")
    site.pages["/secret"] = STYLE + block(RED)
    with serving("127.0.0.2") as outside:
        outside.pages["/"] = f"{STYLE}<script>location = '{site['/secret']}'</script>"
        try:
            assert not has(drawn(outside["/"], allow_private=False), RED)
        except SourceError as err:
            assert "private network" in str(err)  # noqa: PT017, either will do
    assert site.asked == []


@chromium
def test_no_page_reads_files_outside_its_folder(tmp_path: Path, site: Site) -> None:
    (tmp_path / "secret.html").write_text(STYLE + block(RED))
    (tmp_path / "secret.png").write_bytes(square(RED))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "own.png").write_bytes(square(GREEN))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    page = f"""{STYLE}<img src="own.png" width=400 height=40>
        <iframe src="{(tmp_path / "secret.html").as_uri()}"></iframe>
        <img src="{(tmp_path / "secret.png").as_uri()}"><img src="../secret.png">
        <img src="..%2fsecret.png"><img src="link.png">
        <script>location.hash = "x"; open("{(tmp_path / "secret.html").as_uri()}");</script>"""
    (folder / "page.html").write_text(page)
    pixels = drawn(folder / "page.html")
    assert len(rows(pixels, GREEN)) == 40
    assert not has(pixels, RED)
    site.pages["/"] = page
    assert not has(drawn(site["/"]), RED)


@chromium
def test_a_local_page_shows_files_of_its_folder_and_cannot_read_them(
    tmp_path: Path, site: Site
) -> None:
    (tmp_path / "a.txt").write_text("secret")
    (tmp_path / "own.png").write_bytes(square(GREEN))
    (tmp_path / "own.css").write_text("p{background:rgb(0,0,255);height:40px;margin:0}")
    (tmp_path / "own.js").write_text("document.body.style.width = '400px'")
    (tmp_path / "page.html").write_text(f"""{STYLE}<link rel=stylesheet href=own.css>
        <img id=i src=own.png width=400 height=40 style="display:block"><p></p>
        <script src=own.js></script><script>
        const leak = (text) => {{ document.body.innerHTML = `{block(RED)}`; }};
        fetch("a.txt").then((answer) => answer.text()).then(leak);
        const canvas = document.createElement("canvas").getContext("2d");
        i.onload = () => {{ canvas.drawImage(i, 0, 0); canvas.getImageData(0, 0, 1, 1); leak(); }};
        </script>""")
    pixels = drawn(tmp_path / "page.html")
    assert (len(rows(pixels, GREEN)), len(rows(pixels, BLUE))) == (40, 40)
    assert not has(pixels, RED)


@chromium
@pytest.mark.slow
def test_without_network_a_local_page_asks_nobody(tmp_path: Path, site: Site) -> None:
    site.pages["/a.png"] = square(RED)
    file = tmp_path / "page.html"
    file.write_text(f"{STYLE}{block(GREEN)}<img src='{site['/a.png']}' width=400>")
    assert not has(drawn(file, network=False), RED)
    assert site.asked == []
    assert has(drawn(file), RED)


@chromium
@pytest.mark.slow
def test_text_without_a_word_on_its_encoding_is_read_as_utf_8(tmp_path: Path) -> None:
    said, plain = tmp_path / "said.html", tmp_path / "plain.html"
    said.write_bytes(f"{STYLE}<meta charset=utf-8>Größe € 12".encode())
    plain.write_bytes(f"{STYLE}Größe € 12".encode())
    assert np.array_equal(drawn(said), drawn(plain))


@chromium
def test_a_web_archive_holds_all_it_shows(site: Site, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    secret = tmp_path / "secret.html"
    secret.write_text(STYLE + block(RED))
    site.pages["/"] = (
        f"{STYLE}<p>Größe</p><img src=a.png width=400 height=40>"
        f"<script>document.write(`{block(BLUE)}`)</script>"
    )
    site.pages["/a.png"] = square(GREEN)
    with sync_playwright() as playwright:
        from tilewise.sources.browser import _program

        browser = playwright.chromium.launch(executable_path=_program(playwright))
        tab = browser.new_page()
        tab.goto(site["/"])
        session = tab.context.new_cdp_session(tab)
        data = session.send("Page.captureSnapshot", {"format": "mhtml"})["data"]
        browser.close()
    file = tmp_path / "saved.mhtml"
    reach = f'<iframe src=3D"{secret.as_uri()}"></iframe><img src=3D"{site["/b.png"]}"></body>'
    file.write_bytes(data.replace("</body>", reach).encode())
    before = len(site.asked)
    pixels = drawn(file)
    assert (len(rows(pixels, GREEN)), len(rows(pixels, BLUE))) == (40, 40)
    assert not has(pixels, RED)
    assert len(site.asked) == before


@chromium
@pytest.mark.slow
def test_fonts_are_waited_for(site: Site) -> None:
    font = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf")
    if not font.exists():
        pytest.skip("no DejaVu fonts; make system installs them")

    def late(handler: BaseHTTPRequestHandler) -> None:
        site.over.wait(0.8)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(font.read_bytes())

    site.pages["/late.ttf"] = late
    site.pages["/"] = f"""{STYLE}<p id=p>MMMM</p><script>
        onload = () => setTimeout(() => {{
            const face = new FontFace("late", "url(late.ttf)", {{display: "block"}});
            document.fonts.add(face);
            p.style.font = "40px late";
        }}, 700);</script>"""
    assert (drawn(site["/"]) < 64).any()


@chromium
@pytest.mark.slow
def test_a_page_that_scrolls_inside_itself_is_laid_out_whole(site: Site) -> None:
    site.pages["/"] = (
        f'{STYLE}<style>html,body{{height:100%;overflow:hidden}}</style><div style="height:100%;'
        f'overflow-y:auto">{block(GREEN)}<div style="height:3000px"></div>{block(BLUE)}</div>'
    )
    pixels = drawn(site["/"])
    assert rows(pixels, BLUE) == list(range(3040, 3080))


@chromium
def test_a_very_long_page_becomes_several_cut_between_lines(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "MAX_PICTURE_HEIGHT", 1000)
    line = block((0, 0, 0), 23, "width:60%") + '<div style="height:11px"></div>'
    site.pages["/"] = STYLE + 80 * line
    with open_source(site["/"], web=options()) as source:
        pages = [source.page(number).pixels for number in range(1, source.count + 1)]
        assert [source.size(i + 1)[:2] for i in range(len(pages))] == [
            (page.shape[1], page.shape[0]) for page in pages
        ]
    assert len(pages) == 3
    whole = np.concatenate(pages)
    assert len(whole) == 80 * 34
    assert len(rows(whole, (0, 0, 0))) == 80 * 23
    assert all(page[-1].min() == 255 for page in pages)


@chromium
@pytest.mark.slow
def test_pages_are_drawn_where_an_event_loop_runs(tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    file.write_text(STYLE + block(GREEN))

    async def draw() -> Pixels:
        return drawn(file)

    assert len(rows(asyncio.run(draw()), GREEN)) == 40
