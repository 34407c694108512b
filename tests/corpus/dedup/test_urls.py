"""Addresses as they are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.dedup.urls import domain_of, normal_url


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.example/x", "https://www.A.example:443/x#part"),
        ("http://a.example", "http://a.example/"),
        ("http://a.example/?b=2&a=1", "http://a.example/?a=1&b=2&utm_source=x&fbclid=1"),
        ("http://a.example/%7Eme/%c3%a9", "http://a.example/~me/%C3%A9"),
        ("http://a.example/x;jsessionid=AB12?q=1", "http://a.example/x?q=1"),
        ("http://user@a.example:80/x", "http://a.example./x"),
    ],
)
def test_visits_to_one_page_have_one_address(one: str, other: str) -> None:
    assert normal_url(one) == normal_url(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.example/x", "http://a.example/X"),
        ("http://a.example/x?id=1", "http://a.example/x?id=2"),
        ("http://a.example:8080/", "http://a.example/"),
        ("http://a.example/a%2Fb", "http://a.example/a/b"),
        ("http://b.example/", "http://a.example/"),
    ],
)
def test_other_pages_have_other_addresses(one: str, other: str) -> None:
    assert normal_url(one) != normal_url(other)


@given(st.text(max_size=60))
def test_any_text_is_taken(text: str) -> None:
    normal_url(text)
    normal_url("http://" + text)
    assert ":" not in domain_of("http://a.example:99/" + text)


def test_a_domain_is_the_host() -> None:
    assert domain_of("https://www.News.example:8080/a") == "news.example"
    assert domain_of("no address") == ""
