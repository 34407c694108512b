"""robots.txt and X-Robots-Tag, read as RFC 9309 and the big crawlers read them."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.crawl.robots import (
    DISALLOW_ALL,
    MAX_ROBOTS_BYTES,
    Rules,
    opted_out,
    robots_url,
    rules_for_status,
)
from tilewise.corpus.images.addresses import checked_url
from tilewise.errors import SourceError


@pytest.mark.parametrize(
    ("rules", "path", "is_allowed"),
    [
        ("", "/a.png", True),
        ("User-agent: *\nDisallow:\n", "/a.png", True),
        ("User-agent: *\nDisallow: /\n", "/a.png", False),
        ("User-agent: *\nDisallow: /img\nAllow: /img/open\n", "/img/open/a.png", True),
        ("User-agent: *\nAllow: /img\nDisallow: /img/closed\n", "/img/closed/a.png", False),
        ("User-agent: *\nDisallow: /*.png$\n", "/a/b.png", False),
        ("User-agent: *\nDisallow: /*.png$\n", "/a/b.png?x=1", True),
        ("User-agent: other\nDisallow: /\n", "/a.png", True),
        ("User-agent: TileWise\nDisallow: /\n\nUser-agent: *\nAllow: /\n", "/a.png", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: tilewise\nDisallow: /no\n", "/a.png", True),
        ("user-agent:*\r\ndisallow:/a\r\n", "/a.png", False),
        ("\ufeffUser-agent: *\nDisallow: /a\n", "/a.png", False),
        ("<!doctype html><title>Not found</title>", "/a.png", True),
    ],
)
def test_the_longest_rule_of_our_group_decides(rules: str, path: str, is_allowed: bool) -> None:
    assert Rules(rules.encode()).allows(f"http://a.example{path}") == is_allowed


@pytest.mark.parametrize(
    ("rules", "delay_s"),
    [
        ("User-agent: *\nCrawl-delay: 2.5\n", 2.5),
        ("User-agent: *\nRequest-rate: 1/4\n", 4.0),
        ("User-agent: *\nCrawl-delay: -3\n", 0.0),
        ("User-agent: *\nCrawl-delay: soon\n", 0.0),
        ("User-agent: *\nCrawl-delay: inf\n", 0.0),
        ("User-agent: *\nCrawl-delay: nan\n", 0.0),
        ("User-agent: *\nDisallow: /x\n", 0.0),
        ("User-agent: other\nCrawl-delay: 9\n", 0.0),
    ],
)
def test_a_delay_is_taken_where_it_is_a_time(rules: str, delay_s: float) -> None:
    assert Rules(rules.encode()).delay_s == delay_s


@pytest.mark.parametrize(
    ("status", "is_allowed"),
    [(200, False), (404, True), (403, True), (410, True), (429, False), (500, False), (503, False)],
)
def test_what_is_not_there_allows_all_and_a_host_in_trouble_nothing(
    status: int, is_allowed: bool
) -> None:
    rules = Rules(rules_for_status(status, DISALLOW_ALL))
    assert rules.allows("http://a.example/a.png") == is_allowed


def test_rules_stand_at_the_root_of_the_host() -> None:
    assert robots_url("https://a.example:8443/x/y.png?z") == "https://a.example:8443/robots.txt"


def test_hostile_rules_take_no_time() -> None:
    many = b"User-agent: *\n" + b"Disallow: /" + b"*a" * 2000 + b"$\n" + b"Disallow: /b*\n" * 40_000
    began = time.process_time()
    Rules(many).allows("http://a.example/" + "a" * 4000 + ".png")
    assert time.process_time() - began < 3


@given(st.binary(max_size=300))
def test_any_bytes_are_rules(data: bytes) -> None:
    rules = Rules(data)
    assert rules.allows("http://a.example/a.png") in (True, False)
    assert 0 <= rules.delay_s < float("inf")


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_address_can_be_judged_by_any_rule(rule: str, path: str) -> None:
    rules = Rules(f"User-agent: *\nDisallow: {rule}\nAllow: {rule}*$\n".encode())
    with suppress(SourceError):
        assert rules.allows(checked_url(f"http://a.example/{path}")) in (True, False)


def test_what_lies_beyond_the_limit_does_not_count() -> None:
    data = b"# " + b"x" * MAX_ROBOTS_BYTES + b"\nUser-agent: *\nDisallow: /\n"
    assert Rules(data).allows("http://a.example/a.png")


@pytest.mark.parametrize(
    ("tags", "rule"),
    [
        ([], None),
        (["noarchive"], None),
        (["noai"], "noai"),
        (["noarchive, NoImageIndex"], "noimageindex"),
        (["all", "none"], "none"),
        (["otherbot: noindex, noai"], None),
        (["otherbot: noindex, tilewise: noai"], "noai"),
        (["tilewise: noml"], "noml"),
        (["max-snippet: 10, noindex"], "noindex"),
        ([",,:,"], None),
    ],
)
def test_rules_of_an_answer_hold_for_all_or_for_the_one_named(
    tags: list[str], rule: str | None
) -> None:
    assert opted_out(tags) == rule
