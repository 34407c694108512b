"""Addresses as they are compared: what says nothing about the page is left out."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

_TRACKING: Final = re.compile(
    r"(utm_\w*|gclid|fbclid|gclsrc|dclid|msclkid|yclid|mc_[ce]id|_ga|_gl|igshid|ref_src|"
    r"phpsessid|jsessionid|sessionid)",
    re.IGNORECASE,
)
_SESSION: Final = re.compile(r";jsessionid=[^/?]*", re.IGNORECASE)
_PORTS: Final = ("80", "443", "")


def normal_url(url: str) -> str:
    """An address by which visits to one page are known as such.

    The scheme, ``www.``, a usual port, the fragment, names of visits and sessions among the
    parameters and escapes that say what the character says are left out; the host is in lower
    case; parameters are sorted. Of what is no address with a host, only the fragment goes.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if parts.scheme.lower() not in ("http", "https", "") or not parts.netloc:
        return url.partition("#")[0]
    host = parts.netloc.rpartition("@")[2].lower().rstrip(".")
    name, colon, port = host.rpartition(":")
    if colon and not port.endswith("]") and port in _PORTS:
        host = name
    path = _plain(_SESSION.sub("", parts.path)) or "/"
    asked = sorted(
        _plain(one)
        for one in parts.query.split("&")
        if one and not _TRACKING.fullmatch(one.partition("=")[0])
    )
    return host.removeprefix("www.") + path + ("?" + "&".join(asked) if asked else "")


def domain_of(url: str) -> str:
    """The host of an address without ``www.`` and port, or ""."""
    host = normal_url(url).partition("/")[0] if "//" in url else ""
    return re.sub(r":\d+$", "", host)


def _plain(text: str) -> str:
    """Text with its escapes undone where that is safe: letters, digits and ``-._~``."""
    return re.sub(r"%[0-9A-Fa-f]{2}", _unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    letter = unquote(found[0], "latin-1")
    return letter if re.fullmatch(r"[A-Za-z0-9._~-]", letter) else found[0].upper()
