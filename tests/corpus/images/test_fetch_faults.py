"""Hosts that hang, lie, break off or send bombs cost a bounded time and have a reason."""

from __future__ import annotations

import gzip
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.corpus.pictures import png
from tests.sources.serving import Answer, Site, serving
from tilewise.corpus.images.fetch import fetch_images
from tilewise.corpus.images.fetch_config import FetchConfig
from tilewise.corpus.images.store import ImagePart, Row
from tilewise.errors import ConfigError, DataError

HERE = FetchConfig(
    contact="bot@tilewise.example",
    delay_s=0.0,
    retries=0,
    backoff_s=0.02,
    max_delay_s=2.0,
    connect_s=1.0,
    silence_s=0.3,
    time_limit_s=0.6,
    max_bytes=100_000,
    allow_private=True,
)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        yield found


def _row(folder: Path, url: str, cfg: FetchConfig = HERE) -> Row:
    fetch_images([url], folder, "web", cfg)
    with ImagePart(folder, "web") as part:
        return part.rows[url]


def _hang(site: Site) -> Callable[[BaseHTTPRequestHandler], object]:
    return lambda handler: site.over.wait(20)


def _drip(site: Site, head: bytes) -> Callable[[BaseHTTPRequestHandler], object]:
    """A byte now and then, for ever."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        while not site.over.wait(0.05):
            handler.wfile.write(b"x")

    return answer


def _flood(site: Site) -> Callable[[BaseHTTPRequestHandler], object]:
    """A body without an end and without a length."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n\x89PNG\r\n\x1a\n")
        while not site.over.is_set():
            handler.wfile.write(bytes(1 << 16))

    return answer


@pytest.mark.parametrize("kind", ["hang", "drip of a head", "drip of a body"])
def test_a_host_that_never_ends_its_answer_is_left_in_time(
    site: Site, tmp_path: Path, kind: str
) -> None:
    site.pages["/a.png"] = {
        "hang": _hang(site),
        "drip of a head": _drip(site, b"HTTP/1.1 200 OK\r\nX-Long: "),
        "drip of a body": _drip(site, b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n"),
    }[kind]
    began = time.monotonic()
    row = _row(tmp_path, site["/a.png"])
    assert (row["reason"], row["detail"]) == ("image_unavailable", "no answer in 0.6 s")
    assert time.monotonic() - began < 5


def test_a_robots_txt_that_hangs_keeps_its_host_unasked(site: Site, tmp_path: Path) -> None:
    site.pages |= {"/robots.txt": _hang(site), "/a.png": png()}
    assert _row(tmp_path, site["/a.png"])["reason"] == "image_unavailable"
    assert site.asked == ["/robots.txt"]


@pytest.mark.parametrize(
    ("kind", "reason", "detail"),
    [
        ("by header", "image_too_large", "by its header"),
        ("endless", "image_too_large", ""),
        ("gzip bomb", "image_too_large", "unpacked"),
        ("deflate bomb", "image_too_large", "unpacked"),
        ("brotli", "image_unavailable", "packed as 'br'"),
        ("bad gzip", "image_unavailable", "damaged packing"),
        ("cut", "image_unavailable", "connection broke"),
        ("closed", "image_unavailable", "connection broke"),
        ("no http", "image_unavailable", "connection broke"),
        ("long header", "image_unavailable", "connection broke"),
        ("html", "image_decode", "it is HTML"),
        ("svg", "image_format", "it is SVG"),
        ("empty", "image_decode", "it is an empty file"),
    ],
)
def test_answers_that_are_no_image_have_a_reason(
    site: Site, tmp_path: Path, kind: str, reason: str, detail: str
) -> None:
    def raw(data: bytes) -> Callable[[BaseHTTPRequestHandler], object]:
        return lambda handler: handler.wfile.write(data)

    zeros = bytes(50_000_000)
    answers: dict[str, Callable[[], Answer]] = {
        "by header": lambda: bytes(200_000),
        "endless": lambda: _flood(site),
        "gzip bomb": lambda: (200, {"Content-Encoding": "gzip"}, gzip.compress(zeros)),
        "deflate bomb": lambda: (200, {"Content-Encoding": "deflate"}, zlib.compress(zeros)),
        "brotli": lambda: (200, {"Content-Encoding": "br"}, b"\x0b\x02\x80"),
        "bad gzip": lambda: (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08\x00nonsense" * 9),
        "cut": lambda: raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n\x89PNG"),
        "closed": lambda: raw(b""),
        "no http": lambda: raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        "long header": lambda: raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 99_999 + b"\r\n\r\n"),
        "html": lambda: "<!doctype html><p>not found, politely",
        "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "empty": lambda: b"",
    }
    site.pages["/a.png"] = answers[kind]()
    row = _row(tmp_path, site["/a.png"], replace(HERE, time_limit_s=5.0, silence_s=5.0))
    assert row["reason"] == reason
    assert row["detail"].startswith(detail)


ODD_ANSWERS = {
    "nothing": b"\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "odd status": b"HTTP/1.1 999 What\r\nContent-Length: 2\r\n\r\nok",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "odd version": b"HTTP/9.7 200 OK\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "null bytes": b"HTTP/1.1 200 OK\r\nX: \x00\x01\r\n\r\n\x00",
    "minus length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "vast length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "odd chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n",
    "vast chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500,
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "other letters": "HTTP/1.1 200 Öl\r\nÄ: ö\r\n\r\n".encode("latin-1"),
    "no location": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "empty location": b"HTTP/1.1 302 Found\r\nLocation:\r\nContent-Length: 0\r\n\r\n",
    "odd location": b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
    "raw location": b"HTTP/1.1 302 Found\r\nLocation: /\xe4\xff b%zz\r\nContent-Length: 0\r\n\r\n",
    "vast location": b"HTTP/1.1 302 Found\r\nLocation: /" + b"a" * 9000 + b"\r\n\r\n",
    "odd wait": b"HTTP/1.1 503 No\r\nRetry-After: 1e99\r\nContent-Length: 0\r\n\r\n",
    "old wait": b"HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n"
    b"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
}


@pytest.mark.parametrize("packing", ["", "robots"])
def test_odd_answers_leave_one_row_each_and_stop_nothing(
    site: Site, tmp_path: Path, packing: str
) -> None:
    def raw(data: bytes) -> Callable[[BaseHTTPRequestHandler], object]:
        return lambda handler: handler.wfile.write(data)

    urls = []
    for number, data in enumerate(ODD_ANSWERS.values()):
        urls.append(f"http://{number}.example:{urlsplit(site.base).port}/{number}.png")
        site.pages[f"/{number}.png"] = raw(data)

    def rules(handler: BaseHTTPRequestHandler) -> None:
        number = int(handler.headers["Host"].partition(".")[0])
        handler.wfile.write(list(ODD_ANSWERS.values())[number])

    if packing == "robots":
        site.pages["/robots.txt"] = rules

    def here(host: str, port: int, timeout_s: float) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    fetch_images(urls, tmp_path, "web", HERE, look_up=here)
    with ImagePart(tmp_path, "web") as part:
        assert set(urls) <= set(part.rows)
        assert not any("sha256" in row for row in part.rows.values())


def test_an_error_of_the_disk_ends_the_run_as_itself(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise ConfigError("web.log cannot be written (no space); make room")

    site.pages["/a.png"] = png()
    monkeypatch.setattr(ImagePart, "put", full)
    with pytest.raises(ConfigError, match="make room"):
        fetch_images([site["/a.png"]], tmp_path, "web", HERE)


def test_a_packed_image_within_the_limit_is_unpacked(site: Site, tmp_path: Path) -> None:
    site.pages["/a.png"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(png(3)))
    assert _row(tmp_path, site["/a.png"])["size"] == len(png(3))


@pytest.mark.parametrize(
    ("statuses", "asked", "is_kept"),
    [
        ([500, 429, 200], 3, True),
        ([503, 503, 503, 200], 3, False),
        ([404, 200], 1, False),
        ([403, 200], 1, False),
    ],
)
def test_only_429_5xx_and_timeouts_are_asked_again(
    site: Site, tmp_path: Path, statuses: list[int], asked: int, is_kept: bool
) -> None:
    left = iter(statuses)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        status, body = next(left), png()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    site.pages["/a.png"] = answer
    row = _row(tmp_path, site["/a.png"], replace(HERE, retries=2))
    assert ("sha256" in row) == is_kept
    assert site.asked.count("/a.png") == asked


def test_retry_after_is_honoured_and_a_long_one_ends_the_host(site: Site, tmp_path: Path) -> None:
    times: list[float] = []

    def busy(handler: BaseHTTPRequestHandler) -> None:
        times.append(time.monotonic())
        body = png()
        handler.send_response(429 if len(times) == 1 else 200)
        handler.send_header("Retry-After", "1")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    site.pages |= {"/a.png": busy, "/b.png": (503, {"Retry-After": "3600"}, b""), "/c.png": png()}
    cfg = replace(HERE, retries=2)
    fetch_images([site[path] for path in ("/a.png", "/b.png", "/c.png")], tmp_path, "web", cfg)
    assert times[1] - times[0] >= 1.0
    assert site.asked.count("/b.png") == 1
    assert "/c.png" not in site.asked


def test_requests_to_a_host_keep_their_distance(site: Site, tmp_path: Path) -> None:
    times: list[float] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        times.append(time.monotonic())
        handler.send_error(404)

    site.pages |= {f"/{n}.png": answer for n in range(4)}
    urls = [site[f"/{n}.png"] for n in range(4)]
    fetch_images(urls, tmp_path, "web", replace(HERE, delay_s=0.2, per_host=4))
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.15


def test_crawl_delay_is_honoured_and_a_long_one_ends_the_host(site: Site, tmp_path: Path) -> None:
    site.pages |= {"/robots.txt": "User-agent: *\nCrawl-delay: 0.3\n", "/a.png": png(1)}
    site.pages["/b.png"] = png(2)
    began = time.monotonic()
    fetch_images([site["/a.png"], site["/b.png"]], tmp_path, "web", HERE)
    assert time.monotonic() - began >= 0.6
    with serving() as slow:
        slow.pages |= {"/robots.txt": "User-agent: *\nCrawl-delay: 600\n", "/a.png": png(1)}
        row = _row(tmp_path, slow["/a.png"])
        assert (row["reason"], row["detail"]) == ("image_robots", "Crawl-delay of 600 s, over 2 s")
        assert slow.asked == ["/robots.txt"]


@pytest.mark.parametrize("per_host", [1, 2])
def test_no_more_requests_at_once_than_allowed(site: Site, tmp_path: Path, per_host: int) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1
        handler.send_error(404)

    site.pages |= {f"/{n}.png": answer for n in range(6)}
    urls = [site[f"/{n}.png"] for n in range(6)]
    fetch_images(urls, tmp_path, "web", replace(HERE, per_host=per_host))
    assert most == per_host


def test_a_host_in_trouble_is_given_up_and_others_are_not(site: Site, tmp_path: Path) -> None:
    site.pages |= {f"/{n}.png": (500, {}, b"") for n in range(9)}
    urls = [site[f"/{n}.png"] for n in range(9)]
    with serving() as other:
        other.pages["/a.png"] = png()
        counts = fetch_images(
            [*urls, other["/a.png"]], tmp_path, "web", replace(HERE, give_up_after=3)
        )
    assert len(site.asked) == 4  # robots.txt and three images
    assert counts == {"image_unavailable": 9, "kept": 1}


def test_a_host_that_is_not_there_has_a_reason(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        row = _row(tmp_path, f"http://127.0.0.1:{taken.getsockname()[1]}/a.png")
    assert row["detail"].startswith("no connection")
    row = _row(tmp_path, "http://nobody.invalid/a.png")
    assert row["detail"].startswith("no host")


def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    import ssl

    folder = tmp_path / "tls"
    folder.mkdir()
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
         certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asked: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        with listening.accept()[0] as link:
            try:
                with context.wrap_socket(link, server_side=True) as safe:
                    asked.append(safe.recv(100))
            except OSError:
                pass  # what a client that checks does

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        row = _row(tmp_path, f"https://127.0.0.1:{listening.getsockname()[1]}/a.png",
                   replace(HERE, time_limit_s=5.0, connect_s=5.0))  # fmt: skip
        thread.join(5)
    assert row["detail"].startswith("no safe connection")
    assert asked in ([], [b""])


_CHILD = """
import sys
from pathlib import Path
from tilewise.corpus.images.fetch import fetch_images
from tilewise.corpus.images.fetch_config import FetchConfig
base, folder, count, again = sys.argv[1:]
cfg = FetchConfig(contact="a@b.example", delay_s=0.005, backoff_s=0.05, per_host=4,
                  allow_private=True, ask_interrupted=again == "again")
fetch_images([f"{base}/{n}.png" for n in range(int(count))], Path(folder), "web", cfg)
"""


@pytest.mark.parametrize(
    ("ask_interrupted", "kills"),
    [
        (False, 2),
        pytest.param(True, 10, marks=pytest.mark.slow),
        pytest.param(False, 10, marks=pytest.mark.slow),
    ],
)
def test_after_kill_9_nothing_that_was_answered_is_asked_again(
    site: Site, tmp_path: Path, ask_interrupted: bool, kills: int
) -> None:
    count = 100
    site.pages |= {f"/{n}.png": png(n, 40, 30) for n in range(count)}
    argv = [sys.executable, "-c", _CHILD, site.base, str(tmp_path), str(count)]
    argv.append("again" if ask_interrupted else "never")
    for kill in range(kills):
        with subprocess.Popen(argv) as child:
            while len(site.asked) < (kill + 1) * count // (kills + 1):
                assert child.poll() is None
                time.sleep(0.002)
            child.send_signal(signal.SIGKILL)
    subprocess.run(argv, check=True)
    times = Counter(path for path in site.asked if path != "/robots.txt")
    twice = [path for path, often in times.items() if often > 1]
    with ImagePart(tmp_path, "web") as part:
        assert len(part.rows) == count
        lost = [row for row in part.rows.values() if row.get("detail") == "interrupted"]
        kept = [row for row in part.rows.values() if "sha256" in row]
        assert all(part.data(row) == site.pages[urlsplit(row["url"]).path] for row in kept)
    assert site.asked.count("/robots.txt") == 1
    if ask_interrupted:
        assert [row for row in part.rows.values() if "sha256" not in row] == []
        assert len(twice) <= 4 * kills  # what was on its way at each kill
    else:
        assert not twice
        assert len(kept) + len(lost) == count


def test_a_torn_row_and_bytes_without_a_row_are_cut_off(site: Site, tmp_path: Path) -> None:
    site.pages |= {"/a.png": png(1), "/b.png": png(2)}
    fetch_images([site["/a.png"]], tmp_path, "web", HERE)
    log, data = tmp_path / "web.log", tmp_path / "web.bytes"
    size = data.stat().st_size
    log.write_bytes(log.read_bytes() + b'{"url":"http://127.0.0.1/torn.png","sha2')
    data.write_bytes(data.read_bytes() + b"half an image")
    fetch_images([site["/b.png"]], tmp_path, "web", HERE)
    assert data.stat().st_size == size + len(png(2))
    assert site.asked == ["/robots.txt", "/a.png", "/b.png"]
    with ImagePart(tmp_path, "web") as part:
        assert part.data(part.rows[site["/b.png"]]) == png(2)


def test_rows_whose_bytes_a_power_cut_took_are_asked_again(site: Site, tmp_path: Path) -> None:
    site.pages["/a.png"] = png(1)
    part = ImagePart(tmp_path, "web")
    part.put(site["/a.png"], png(1))
    os.truncate(tmp_path / "web.bytes", 10)  # the row was written and never synced
    part._log.close()
    part._bytes.close()
    assert "sha256" in _row(tmp_path, site["/a.png"])
    assert site.asked == ["/robots.txt", "/a.png"]


def test_a_damaged_row_in_the_middle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_bytes(b'{"url": broken\n{"synced":0}\n')
    with pytest.raises(DataError, match="line 1 is damaged"):
        ImagePart(tmp_path, "web")


def test_two_runs_do_not_write_to_one_part(tmp_path: Path) -> None:
    with ImagePart(tmp_path, "web"), pytest.raises(ConfigError, match="another run"):
        ImagePart(tmp_path, "web")
