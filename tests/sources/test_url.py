"""Web addresses: which may be asked, and what comes back within limits."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from tests.sources.making import pdf, saved, scene
from tests.sources.serving import Site, redirect, serving
from tilewise.errors import ConfigError, SourceError
from tilewise.sources import addresses
from tilewise.sources.addresses import RefusedError, is_public, split_url
from tilewise.sources.content import kind_of
from tilewise.sources.gate import Gate
from tilewise.sources.pages import open_source
from tilewise.sources.url import MAX_REDIRECTS, fetch
from tilewise.sources.web_options import WebOptions

HERE = WebOptions(allow_private=True, time_limit_s=20)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        yield found


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("168.63.129.16", "192.0.0.192", "198.18.0.1", "203.0.113.9"),
        *(
            "::",
            "::1",
            "fe80::1",
            "fe80::1%1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
        ),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "::ffff:0:127.0.0.1"),
        *("::ffff:169.254.169.254", "2001:0:1::1"),
        *("192.88.99.1", "fec0::1", "64:ff9b:1::1", "3fff::1"),
    ],
)
def test_addresses_of_this_machine_and_private_networks_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "no address of the web"),
        ("ftp://example.org/a", "no address of the web"),
        ("chrome://version", "no address of the web"),
        ("http://", "names no host"),
        ("http:///a", "names no host"),
        ("http://example.org:99999/", "no valid address"),
        ("http://[::1/", "no valid address"),
        ("http://user:secret@example.org/", "holds a user name"),
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as caught:
        open_source(url)
    assert "secret" not in str(caught.value)


def test_an_address_is_brought_to_ascii() -> None:
    parts = split_url("HTTPS://Bücher.example:8443/große seite?q=ü#x")
    assert parts.geturl() == "https://xn--bcher-kva.example:8443/gro%C3%9Fe%20seite?q=%C3%BC#x"


def test_bytes_of_an_address_that_are_no_letters_stay_as_they_are() -> None:
    parts = split_url("http://example.org/\udce4 b?\udcff")
    assert parts.geturl() == "http://example.org/%E4%20b?%FF"
    with pytest.raises(SourceError, match="no valid address"):
        split_url("http://example.org/\ud800")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]"]
)
def test_this_machine_is_not_asked_by_any_of_its_names(host: str, site: Site) -> None:
    port = site.base.rpartition(":")[2]
    with pytest.raises(RefusedError, match="--allow-private"):
        open_source(f"http://{host}:{port}/a.png")
    assert site.asked == []


def test_a_host_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(SourceError, match=r"no host nowhere\.invalid"):
        open_source("http://nowhere.invalid/")


def test_a_closed_port_is_one_sentence() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(SourceError, match=f"cannot be reached at port {port}"):
            fetch(f"http://127.0.0.1:{port}/", HERE)


def test_images_and_pdfs_are_told_by_content_and_not_by_name(site: Site) -> None:
    picture = scene()
    site.pages["/page.html"] = saved(picture, "PNG")
    site.pages["/page.png"] = pdf("", "")
    with open_source(site["/page.html"], web=HERE) as source:
        assert np.array_equal(source.page(1).pixels, np.asarray(picture))
        assert source.name == site["/page.html"]
    with open_source(site["/page.png"], web=HERE) as source:
        assert (source.count, source.size(1).unit) == (2, "pt")


def test_redirects_are_followed_and_carry_cookies(site: Site) -> None:
    site.pages["/a"] = (302, {"Location": "b?x=1", "Set-Cookie": "id=7; Path=/"}, b"")

    def wants_cookie(handler: BaseHTTPRequestHandler) -> None:
        has = handler.headers.get("Cookie") == "id=7"
        body = saved(scene(), "PNG") if has else b"no cookie"
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)

    site.pages["/b"] = wants_cookie
    found = fetch(site["/a"], HERE)
    assert (found.kind, found.url) == ("PNG", site["/b?x=1"])


def test_redirects_that_go_round_end(site: Site) -> None:
    site.pages["/a"] = redirect("/a")
    with pytest.raises(SourceError, match=f"over {MAX_REDIRECTS} redirects"):
        fetch(site["/a"], HERE)
    assert len(site.asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "data:text/html,x", "ftp://a/b"])
def test_a_redirect_to_another_scheme_is_refused(scheme: str, site: Site) -> None:
    site.pages["/a"] = redirect(scheme)
    with pytest.raises(RefusedError, match=r"/a leads on to .*, which is not asked"):
        fetch(site["/a"], HERE)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that counts as public, while 127.0.0.1 stays private."""
    monkeypatch.setattr(addresses, "is_public", lambda ip: ip == "127.0.0.2")
    with serving("127.0.0.2") as found:
        yield found


def test_a_redirect_to_a_private_address_is_refused(outside: Site, site: Site) -> None:
    outside.pages["/ok"] = saved(scene(), "PNG")
    assert fetch(outside["/ok"], WebOptions()).kind == "PNG"
    outside.pages["/a"] = redirect("/b")
    outside.pages["/b"] = redirect(site["/secret"])
    with pytest.raises(RefusedError, match=r"127\.0\.0\.1 is at"):
        fetch(outside["/a"], WebOptions())
    assert site.asked == []


def test_the_address_that_was_checked_is_the_one_asked(
    outside: Site, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means another machine the next time (DNS rebinding) gains nothing by it."""
    answers = iter(["127.0.0.2", "127.0.0.1", "127.0.0.1"])
    real = socket.getaddrinfo

    def rebinding(host: str, *args: object, **options: object) -> object:
        assert host == "rebind.example"
        return real(next(answers), *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    outside.pages["/a"] = saved(scene(), "PNG")
    port = outside.base.rpartition(":")[2]
    assert fetch(f"http://rebind.example:{port}/a", WebOptions()).kind == "PNG"
    with pytest.raises(RefusedError):
        fetch(f"http://rebind.example:{port}/a", WebOptions())
    assert (outside.asked, site.asked) == (["/a"], [])


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "answers 401 (Unauthorized): it wants a login"),
        (403, "answers 403 (Forbidden): access is forbidden, or it wants a login"),
        (404, "answers 404 (Not Found): there is no such page"),
        (410, "answers 410 (Gone)"),
        (429, "answers 429 (Too Many Requests)"),
        (500, "answers 500 (Internal Server Error): the server failed"),
        (503, "answers 503 (Service Unavailable)"),
        (299 + 600, "answers 899 (unknown)"),
    ],
)
def test_a_status_other_than_success_is_one_sentence(status: int, reason: str, site: Site) -> None:
    site.pages["/a"] = (status, {}, b"<html>sorry</html>")
    with pytest.raises(SourceError) as caught:
        open_source(site["/a"], web=HERE)
    assert f"{site['/a']} {reason}" in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_download_ends_at_its_size_limit(site: Site) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while not site.over.is_set():
                handler.wfile.write(b"%PDF-" + bytes(1 << 16))

    site.pages["/a"] = endless
    with pytest.raises(SourceError, match="holds over 1,024 KiB"):
        fetch(site["/a"], WebOptions(allow_private=True, max_bytes=1 << 20))


def test_packed_data_count_unpacked(site: Site) -> None:
    page = saved(scene(), "PNG")
    site.pages["/a"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(page))
    assert fetch(site["/a"], HERE).data == page
    bomb = gzip.compress(bytes(8 << 20))
    site.pages["/b"] = (200, {"Content-Encoding": "gzip"}, bomb)
    with pytest.raises(SourceError, match="holds over"):
        fetch(site["/b"], WebOptions(allow_private=True, max_bytes=1 << 20))
    site.pages["/c"] = (200, {"Content-Encoding": "br"}, b"x")
    with pytest.raises(SourceError, match="packed as 'br'"):
        fetch(site["/c"], HERE)


@pytest.mark.parametrize("part", ["silence", "head", "body"])
def test_a_server_that_takes_its_time_is_left(part: str, site: Site) -> None:
    """A byte now and then keeps a connection alive, but not the patience."""

    def slow(handler: BaseHTTPRequestHandler) -> None:
        if part == "body":
            handler.send_response(200)
            handler.end_headers()
        elif part == "head":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        with suppress(OSError):
            while not site.over.wait(0.05):
                if part != "silence":
                    handler.wfile.write(b"%")
                    handler.wfile.flush()

    site.pages["/a"] = slow
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"not there within 0\.6 s"):
        fetch(site["/a"], WebOptions(allow_private=True, time_limit_s=0.6))
    assert time.monotonic() - began < 5


def test_an_answer_cut_short_is_told(site: Site) -> None:
    site.pages["/a"] = (200, {"Content-Length": "9000", "Connection": "close"}, b"%PDF-1.4")
    with pytest.raises(SourceError, match="the connection broke"):
        fetch(site["/a"], HERE)


def test_what_is_no_http_is_told(site: Site) -> None:
    site.pages["/a"] = lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n")
    with pytest.raises(SourceError, match="the connection broke"):
        fetch(site["/a"], HERE)


def test_https_from_a_server_without_it_is_told(site: Site) -> None:
    with pytest.raises(SourceError, match="the connection broke"):
        fetch(site["/a"].replace("http:", "https:"), HERE)


def test_data_addresses_hold_their_own_bytes() -> None:
    picture = scene()
    from base64 import b64encode

    packed = b64encode(saved(picture, "PNG")).decode()
    with open_source(f"data:image/png;base64,{packed}") as source:
        assert np.array_equal(source.page(1).pixels, np.asarray(picture))
        assert len(source.name) <= 100
    assert fetch("data:text/html,<i>x%20y", WebOptions()).kind == "HTML"
    assert fetch("data:,a%2Cb#c", WebOptions()).data == b"a,b"
    assert fetch("data:;base64,YS1i", WebOptions()).data == b"a-b"


@pytest.mark.parametrize("url", ["data:text/html", "data:;base64,Y*S1i", "data:;base64,YS1iY"])
def test_damaged_data_addresses_are_one_sentence(url: str) -> None:
    with pytest.raises(SourceError, match="check the address"):
        fetch(url, WebOptions())


@pytest.mark.parametrize(
    "options",
    [
        {"width": 199},
        {"width": 9000},
        {"scale": 0.1},
        {"scale": float("nan")},
        {"width": 8000, "scale": 4.0},
        {"time_limit_s": 0.0},
        {"time_limit_s": float("inf")},
        {"max_height": 0},
    ],
    ids=str,
)
def test_options_that_cannot_hold_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        WebOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "head",
    [
        b"\xef\xbb\xbf\n<!DOCTYPE html><html>",
        b"<!-- saved from url=(0014)about:internet -->\r\n<html>",
        b"<?xml version='1.0'?><!DOCTYPE html><html xmlns='x'>",
        b"  <P>words",
        b"<table border=1>",
        b"<!-- only a comment",
        "<html>".encode("utf-16"),
    ],
)
def test_html_is_told_by_its_start(head: bytes) -> None:
    assert kind_of(head) == "HTML"


def test_other_markup_is_no_html() -> None:
    assert kind_of(b"<!-- x --><svg xmlns='y'>") == "SVG"
    assert kind_of(b"<article>") == "plain text"
    assert kind_of(b"a < b > c") == "plain text"
    mail = b"From: <Saved by Blink>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n"
    assert kind_of(mail) == "MHTML"


def _through(gate: Gate, request: bytes) -> bytes:
    """What a gate says to a request."""
    port = int(gate.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(request)
        data = b""
        while part := link.recv(4096):
            data += part
    return data


def test_the_gate_lets_nothing_private_pass(outside: Site, site: Site) -> None:
    outside.pages["/a"] = b"hello"
    host = site.base.removeprefix("http://")
    with Gate(WebOptions()) as gate:
        good = _through(gate, f"GET {outside['/a']} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert good.startswith(b"HTTP/1.1 200")
        assert good.endswith(b"hello")
        assert _through(gate, f"GET {site['/a']} HTTP/1.1\r\n\r\n".encode())[9:12] == b"403"
        assert _through(gate, f"CONNECT {host} HTTP/1.1\r\n\r\n".encode())[9:12] == b"403"
        assert _through(gate, b"GET file:///etc/passwd HTTP/1.1\r\n\r\n")[9:12] == b"400"
        assert _through(gate, b"nonsense\r\n\r\n")[9:12] == b"400"
        assert len(gate.refused) == 2
    assert site.asked == []


def test_the_gate_counts_bytes(outside: Site) -> None:
    outside.pages["/a"] = bytes(1 << 20)
    with Gate(WebOptions(max_bytes=1 << 18)) as gate:
        got = _through(gate, f"GET {outside['/a']} HTTP/1.1\r\n\r\n".encode())
        assert len(got) < 1 << 19
        assert "over 256 KiB" in gate.refused[0]
