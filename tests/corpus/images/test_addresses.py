"""Addresses in one form, and those that are refused before anybody is asked."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.images.addresses import checked_parts, checked_url, host_of
from tilewise.errors import SourceError
from tilewise.sources.addresses import RefusedError, is_public


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("HTTP://A.Example:80/a.png#x", "http://a.example/a.png"),
        ("https://a.example:443", "https://a.example/"),
        ("https://a.example.:8443/ä b.png?q=é", "https://a.example:8443/%C3%A4%20b.png?q=%C3%A9"),
        (" http://bücher.example/%41 ", "http://xn--bcher-kva.example/%41"),
        ("http://93.184.216.34/a.png", "http://93.184.216.34/a.png"),
        ("http://[2606:2800:220:1::1]/a", "http://[2606:2800:220:1::1]/a"),
    ],
)
def test_an_address_has_one_form(url: str, form: str) -> None:
    assert checked_url(url) == form
    assert checked_url(form) == form


def test_limits_belong_to_scheme_host_and_port() -> None:
    urls = [
        "http://a.example/1",
        "http://A.example:80/2",
        "https://a.example/",
        "http://a.example:81/",
    ]
    hosts = [host_of(checked_parts(url)) for url in urls]
    assert hosts[0] == hosts[1] == "http://a.example:80"
    assert len(set(hosts)) == 3


@given(st.ip_addresses())
def test_an_ip_address_is_refused_exactly_where_it_is_not_public(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    url = f"http://[{ip}]/" if ip.version == 6 else f"http://{ip}/"
    if is_public(str(ip)):
        assert checked_url(url)
    else:
        with pytest.raises(RefusedError):
            checked_url(url)
    assert checked_url(url, allow_private=True)


@given(ip=st.ip_addresses(v=4, network="10.0.0.0/8"), spelling=st.integers(0, 5))
def test_odd_spellings_of_private_addresses_are_refused(
    ip: ipaddress.IPv4Address, spelling: int
) -> None:
    number = int(ip)
    host = [
        str(number), hex(number), f"0{number:o}", f"10.{number & 0xFFFFFF}",
        ".".join(f"0x{part:x}" for part in ip.packed), f"{ip}.",
    ][spelling]  # fmt: skip
    with pytest.raises(RefusedError):
        checked_url(f"http://{host}/")


@given(st.text(max_size=40))
def test_whatever_is_no_address_is_an_error_of_ours(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}/a.png", f"http://a.example/{text}"):
        with suppress(SourceError):
            assert checked_url(checked_url(url)) == checked_url(url)
