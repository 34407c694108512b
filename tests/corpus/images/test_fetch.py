"""Images are asked for politely, safely, once, and whatever a host does is bounded."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.pictures import png
from tests.sources.serving import Site, redirect, serving
from tilewise import __version__
from tilewise.corpus.images.fetch import fetch_images, led_to, part_of
from tilewise.corpus.images.fetch_config import MAX_REDIRECTS, FetchConfig
from tilewise.corpus.images.index import ImageIndex, index_images
from tilewise.corpus.images.measure import measure_part
from tilewise.corpus.images.rules import Fetched, ImageConfig, verdict
from tilewise.errors import ConfigError
from tilewise.sources.addresses import Place

HERE = FetchConfig(
    contact="https://tilewise.example/bot",
    delay_s=0.0,
    backoff_s=0.02,
    max_delay_s=1.5,
    connect_s=5.0,
    silence_s=5.0,
    time_limit_s=10.0,
    allow_private=True,
)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        yield found


def _here(host: str, port: int, timeout_s: float) -> list[Any]:
    """Every name is this machine."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def _named(site: Site, host: str, path: str) -> str:
    return f"http://{host}:{urlsplit(site.base).port}{path}"


def _fetched(folder: Path, urls: list[str], cfg: FetchConfig = HERE, **more: Any) -> list[Fetched]:
    """Ask, index and look up; images are not decoded."""
    fetch_images(urls, folder, "web-00000", cfg, **more)
    index_images(folder)
    index = ImageIndex(folder)
    found = [index.lookup(url) for url in urls]
    index.close()
    return [
        replace(one, reason="") if one.detail == "it was not measured" else one for one in found
    ]


def _images_asked(site: Site) -> list[str]:
    return [path for path in site.asked if path != "/robots.txt"]


def test_an_image_comes_with_its_size_and_bytes(site: Site, tmp_path: Path) -> None:
    site.pages["/a.png"] = png(1, 300, 200)
    fetch_images([site["/a.png"]], tmp_path, "web", HERE)
    measure_part(tmp_path, "web", ImageConfig())
    index_images(tmp_path)
    index = ImageIndex(tmp_path)
    found = index.lookup(site["/a.png"])
    assert verdict(found, ImageConfig()) is None
    assert found.facts is not None
    assert (found.facts.width, found.facts.height) == (300, 200)
    assert index.data(site["/a.png"]) == png(1, 300, 200)


def test_each_address_is_asked_once_however_often_it_is_wanted(site: Site, tmp_path: Path) -> None:
    site.pages |= {"/a.png": png(1), "/b.png": png(2), "/to-b": redirect("/b.png")}
    urls = [site["/a.png"], site["/a.png#top"], site["/to-b"], site["/b.png"], site["/gone.png"]]
    cfg = replace(HERE, per_host=4)
    first = _fetched(tmp_path, urls, cfg)
    again = _fetched(tmp_path, urls, cfg)
    assert first == again
    assert max(Counter(site.asked).values()) == 1
    assert [found.reason for found in first] == ["", "", "", "", "image_unavailable"]
    assert first[2].sha256 == first[3].sha256


def test_what_the_archive_has_is_not_asked_for(site: Site, tmp_path: Path) -> None:
    site.pages |= {"/a.png": png(1), "/to-a": redirect("/a.png")}
    urls = [site["/a.png"], site["/to-a"]]
    counts = fetch_images(urls, tmp_path, "web", HERE, skip=lambda url: url.endswith("/a.png"))
    assert _images_asked(site) == ["/to-a"]
    assert counts == {"known": 1, "leads_on": 1}


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://files.example/a.png", "data:image/png;base64,AAAA",
        "http://127.0.0.1/a.png", "http://0x7f000001/a.png", "http://2130706433/a.png",
        "http://127.1/a.png", "http://0177.0.0.1/a.png", "http://[::1]/a.png",
        "http://[::ffff:10.0.0.8]/a.png", "http://169.254.169.254/latest/meta-data/",
        "http://localhost/a.png", "http://a.localhost./a.png", "http://10.0.0.8:8080/a.png",
        "http://①②⑦.0.0.1/a.png", "http://127.0.0.1./a.png", "http://printer.local/a.png",
    ],
)  # fmt: skip
def test_addresses_of_private_networks_are_never_asked(url: str, tmp_path: Path) -> None:
    def look_up(host: str, port: int, timeout_s: float) -> list[Any]:
        raise AssertionError(f"{host} was looked up")

    cfg = replace(HERE, allow_private=False)
    (found,) = _fetched(tmp_path, [url], cfg, look_up=look_up)
    assert found.reason == "image_blocked_address"


@pytest.mark.parametrize(
    "numbers", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:7f00:1"]]
)
def test_a_name_with_one_private_address_is_refused(numbers: list[str], tmp_path: Path) -> None:
    def look_up(host: str, port: int, timeout_s: float) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in n else socket.AF_INET, 1, 6, "", (n, port)) for n in numbers
        ]

    cfg = replace(HERE, allow_private=False)
    (found,) = _fetched(tmp_path, ["http://rebind.example/a.png"], cfg, look_up=look_up)
    assert found.reason == "image_blocked_address"
    assert "private network" in found.detail


def test_a_name_is_looked_up_once_so_that_rebinding_changes_nothing(
    site: Site, tmp_path: Path
) -> None:
    asked: list[str] = []

    def look_up(host: str, port: int, timeout_s: float) -> list[Any]:
        asked.append(host)
        number = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    site.pages |= {f"/{n}.png": png(n) for n in range(5)}
    urls = [_named(site, "rebind.example", f"/{n}.png") for n in range(5)]
    found = _fetched(tmp_path, urls, look_up=look_up)
    assert [each.reason for each in found] == [""] * 5
    assert asked == ["rebind.example"]


def test_a_connection_to_an_address_that_slipped_through_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tilewise.corpus.images import http_client

    monkeypatch.setattr(
        http_client,
        "resolve",
        lambda host, port, **_: [Place(socket.AF_INET, ("127.0.0.1", port))],
    )
    cfg = replace(HERE, allow_private=False)
    url = _named(site, "slips.example", "/a.png")
    (found,) = _fetched(tmp_path, [url], cfg)
    assert found.reason == "image_unavailable"
    assert site.asked == []


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("http://10.0.0.8/a.png", "image_blocked_address"),
        ("file:///etc/passwd", "image_blocked_address"),
        ("http://[::1]:80/", "image_blocked_address"),
        ("http://inside.example/a.png", "image_blocked_address"),
        ("http://", "image_unavailable"),
    ],
)
def test_redirects_are_checked_like_first_addresses(
    site: Site, tmp_path: Path, to: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tilewise.sources import addresses

    port = urlsplit(site.base).port

    def look_up(host: str, port: int, timeout_s: float) -> list[Any]:
        number = "10.1.2.3" if host == "inside.example" else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    # the test's own server counts as public, and no other address of this machine
    public = addresses.is_public
    is_public = lambda number: number == "127.0.0.1" or public(number)  # noqa: E731
    monkeypatch.setattr(addresses, "is_public", is_public)
    monkeypatch.setattr("tilewise.corpus.images.http_client.is_public", is_public)
    site.pages["/a.png"] = redirect(to)
    cfg = replace(HERE, allow_private=False)
    (found,) = _fetched(tmp_path, [f"http://outside.example:{port}/a.png"], cfg, look_up=look_up)
    assert found.reason == reason


def test_redirect_loops_and_long_chains_end(site: Site, tmp_path: Path) -> None:
    site.pages |= {
        "/loop": redirect("/pool"),
        "/pool": redirect("/loop"),
        "/self": redirect("/self"),
    }
    site.pages |= {f"/{n}": redirect(f"/{n + 1}") for n in range(20)}
    loop, self_, chain = _fetched(tmp_path, [site["/loop"], site["/self"], site["/0"]])
    assert (loop.detail, self_.detail) == ("redirect loop", "redirect loop")
    assert chain.detail == "too many redirects"
    assert _images_asked(site).count("/loop") == 1
    assert f"/{MAX_REDIRECTS}" in site.asked
    assert f"/{MAX_REDIRECTS + 1}" not in site.asked


def test_robots_txt_holds_for_its_host_and_is_asked_once(site: Site, tmp_path: Path) -> None:
    site.pages |= {
        "/robots.txt": "User-agent: *\nDisallow: /\n\nUser-agent: tilewise\nDisallow: /private/\n",
        "/private/a.png": png(1), "/open/a.png": png(2), "/open/b.png": png(3),
    }  # fmt: skip
    urls = [site["/private/a.png"], site["/open/a.png"], site["/open/b.png"]]
    found = _fetched(tmp_path, urls)
    assert [each.reason for each in found] == ["image_robots", "", ""]
    assert site.asked == ["/robots.txt", "/open/a.png", "/open/b.png"]


def test_robots_txt_is_kept_for_a_day(site: Site, tmp_path: Path) -> None:
    site.pages |= {"/a.png": png(1), "/b.png": png(2), "/c.png": png(3)}
    for hours, name in ((0, "a"), (23, "b"), (25, "c")):
        clock = lambda: 1e9 + 3600 * hours  # noqa: B023, E731
        fetch_images([site[f"/{name}.png"]], tmp_path, "web", HERE, now=clock)
    assert site.asked == ["/robots.txt", "/a.png", "/b.png", "/robots.txt", "/c.png"]


@pytest.mark.parametrize(("status", "reason"), [(404, ""), (403, ""), (503, "image_robots")])
def test_a_missing_robots_txt_allows_all_and_a_broken_host_nothing(
    site: Site, tmp_path: Path, status: int, reason: str
) -> None:
    site.pages |= {"/robots.txt": (status, {}, b""), "/a.png": png(1)}
    (found,) = _fetched(tmp_path, [site["/a.png"]])
    assert found.reason == reason


def test_robots_txt_is_found_through_redirects_and_cut_where_it_is_endless(
    site: Site, tmp_path: Path
) -> None:
    rules = b"User-agent: *\nDisallow: /no/\n" + b"# more\n" * 200_000
    site.pages |= {"/robots.txt": redirect("/rules.txt"), "/rules.txt": rules}
    site.pages |= {"/no/a.png": png(1), "/a.png": png(2)}
    found = _fetched(tmp_path, [site["/no/a.png"], site["/a.png"]])
    assert [each.reason for each in found] == ["image_robots", ""]


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("noai", "image_opted_out"),
        ("NoImageAI, noarchive", "image_opted_out"),
        ("tilewise: noindex", "image_opted_out"),
        ("otherbot: noindex, nofollow", ""),
        ("unavailable_after: 25 Jun 2030 15:00:00 GMT", ""),
        ("max-image-preview:large", ""),
    ],
)
def test_x_robots_tag_is_honoured(site: Site, tmp_path: Path, tag: str, reason: str) -> None:
    site.pages["/a.png"] = (200, {"X-Robots-Tag": tag}, png(1))
    (found,) = _fetched(tmp_path, [site["/a.png"]])
    assert found.reason == reason


def test_hosts_on_the_opt_out_list_are_not_asked(site: Site, tmp_path: Path) -> None:
    cfg = replace(HERE, opt_out=("shy.example",))
    urls = [
        _named(site, host, "/a.png") for host in ("shy.example", "a.shy.example", "nshy.example")
    ]
    found = _fetched(tmp_path, urls, cfg, look_up=_here)
    assert [each.reason for each in found] == ["image_opted_out"] * 2 + ["image_unavailable"]


def test_every_request_names_us_and_a_contact(site: Site, tmp_path: Path) -> None:
    agents = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        agents.append(handler.headers["User-Agent"])
        handler.send_error(404)

    site.pages |= {"/robots.txt": answer, "/a.png": answer}
    _fetched(tmp_path, [site["/a.png"]])
    assert agents == [f"tilewise/{__version__} (+https://tilewise.example/bot)"] * 2


def test_without_a_contact_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contact is empty"):
        fetch_images(["http://a.example/a.png"], tmp_path, "web", FetchConfig())


def test_all_addresses_of_a_host_belong_to_one_part() -> None:
    parts = {
        part_of(f"https://a.example:{port}/{n}.png", 16) for port in (80, 443) for n in range(9)
    }
    assert len(parts) == 1
    assert len({part_of(f"http://{n}.example/", 16) for n in range(200)}) == 16


def test_hosts_of_other_parts_are_left_to_them(site: Site, tmp_path: Path) -> None:
    there = _named(site, "b.example", "/b.png")
    site.pages |= {"/a.png": redirect(there), "/b.png": png(2)}
    urls = [_named(site, "a.example", "/a.png")]
    for _ in range(2):  # the second run asks nothing
        fetch_images(
            urls, tmp_path, "web-0", HERE, owns=lambda url: "a.example" in url, look_up=_here
        )
    assert _images_asked(site) == ["/a.png"]
    index_images(tmp_path)
    index = ImageIndex(tmp_path)
    assert led_to(tmp_path, index.has) == [there]
    assert _images_asked(site).count("/b.png") == 0
    fetch_images([there], tmp_path, "web-led", HERE, skip=index.has, look_up=_here)
    index_images(tmp_path)
    index = ImageIndex(tmp_path)
    assert led_to(tmp_path, index.has) == []
    assert index.lookup(urls[0]).sha256 == index.lookup(there).sha256 != ""


NODES = 7


@settings(max_examples=12)
@given(
    leads=st.lists(st.integers(-2, NODES - 1), min_size=NODES, max_size=NODES),
    runs=st.lists(st.sets(st.integers(0, NODES - 1)), min_size=1, max_size=3),
)
def test_any_web_of_redirects_is_asked_once_and_understood(
    leads: list[int], runs: list[set[int]]
) -> None:
    """Page n is an image where ``leads[n]`` is -1, gone where it is -2, else leads on to that."""
    with serving() as site, TemporaryDirectory() as name:
        for n, to in enumerate(leads):
            if to != -2:
                site.pages[f"/{n}"] = png(n) if to == -1 else redirect(f"/{to}")
        for wanted in runs:
            cfg = replace(HERE, per_host=3)
            fetch_images([site[f"/{n}"] for n in sorted(wanted)], Path(name), "web", cfg)
        index_images(Path(name))
        index = ImageIndex(Path(name))
        for n in set().union(*runs):
            seen = [n]
            while leads[seen[-1]] >= 0 and leads[seen[-1]] not in seen:
                seen.append(leads[seen[-1]])
            found, last = index.lookup(site[f"/{n}"]), leads[seen[-1]]
            if len(seen) > MAX_REDIRECTS + 1:
                assert found.detail == "too many redirects"
            elif last >= 0:
                assert found.detail in ("redirect loop", "too many redirects")
            else:
                assert found.detail == ("it was not measured" if last == -1 else "status 404")
        index.close()
        assert max(Counter(site.asked).values(), default=1) == 1
