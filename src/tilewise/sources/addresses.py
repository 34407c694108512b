"""Which web addresses may be asked, and connections to none but those.

A name is resolved once, every address it has is checked, and the connection goes to what was
checked. A name that means something else a moment later (DNS rebinding) so changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from tilewise.errors import SourceError

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}
_DNS_TIMEOUT_S: Final = 10.0
_SAFE: Final = "%/:=&?~#+!$,;'@()*[]-._|"

_REFUSED: Final = tuple(
    # what not every version of ``ipaddress`` counts as private
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's services for its machines, public by their number
        "192.0.0.0/24",  # protocols, and Oracle's services at 192.0.0.192
        "192.88.99.0/24",  # relays of 6to4
        "fec0::/10",  # site-local, of old
        "64:ff9b:1::/48",  # NAT64 inside a network
        "2001::/23",  # protocols, Teredo among them
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)

_CARRIERS: Final = (
    # (IPv6 network, bits right of the IPv4 address that its addresses carry)
    (ipaddress.ip_network("::/96"), 0),  # RFC 4291, IPv4-compatible
    (ipaddress.ip_network("::ffff:0:0/96"), 0),  # RFC 4291, IPv4-mapped
    (ipaddress.ip_network("::ffff:0:0:0/96"), 0),  # RFC 2765, IPv4-translated
    (ipaddress.ip_network("64:ff9b::/96"), 0),  # RFC 6052, NAT64
    (ipaddress.ip_network("2002::/16"), 80),  # RFC 3056, 6to4
)


class RefusedError(SourceError):
    """An address that may not be asked."""


class Place(NamedTuple):
    """One checked address of a host: what ``socket`` needs to connect to it."""

    family: int
    address: tuple[Any, ...]


LookUp = Callable[[str, int, float], list[Any]]
"""(host, port, seconds) to rows as ``socket.getaddrinfo`` gives them; raises SourceError."""


def is_address(text: str) -> bool:
    """Whether a source is a web address and no path: ``scheme://...`` or ``data:...``."""
    return bool(_SCHEME.match(text)) or text[:5].lower() == "data:"


def split_url(url: str) -> SplitResult:
    """Take a web address apart and bring it to ASCII.

    Returns:
        Its parts; ``hostname`` is there and ``port`` is a number or None.

    Raises:
        RefusedError: another scheme than http and https.
        SourceError: no host, a port that is none, or a user name in the address.
    """
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else ""
    if scheme not in _PORTS:
        raise RefusedError(
            f"{shortened(url)} is no address of the web; http:// and https:// are read, and "
            "files by their path."
        )
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
        path, query = (
            # Bytes that were no UTF-8 come as lone surrogates from headers and command lines.
            quote(part, safe=_SAFE, errors="surrogateescape")
            for part in (parts.path or "/", parts.query)
        )
    except ValueError as err:  # UnicodeError too
        raise SourceError(f"{shortened(url)} is no valid address ({err}); check it.") from err
    if not host or any(sign <= " " for sign in host):
        raise SourceError(f"{shortened(url)} names no host; check the address.")
    if parts.username is not None:
        raise SourceError(
            f"the address of {host} holds a user name; leave it out, and save the page from your "
            "browser if it needs a login."
        )
    netloc = f"[{host}]" if ":" in host else host
    netloc = netloc if port is None else f"{netloc}:{port}"
    return SplitResult(scheme, netloc, path, query, parts.fragment)


def port_of(parts: SplitResult) -> int:
    """The port that an address from ``split_url`` means."""
    return parts.port or _PORTS[parts.scheme]


def without_fragment(parts: SplitResult) -> str:
    """The address as text, without what follows ``#``."""
    return urlunsplit(parts._replace(fragment=""))


def shortened(url: str, length: int = 200) -> str:
    """An address fit for a message."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in url)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet.

    Private, loopback, link-local, shared (CGNAT), multicast, reserved and unspecified addresses do
    not, nor do the metadata services of cloud hosts, nor IPv6 addresses that carry such an IPv4
    address.

    Source: IANA special-purpose address registries (RFC 6890), as ``ipaddress`` has them.
    """
    ip: Ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        for network, shift in _CARRIERS:
            if ip in network:
                ip = ipaddress.IPv4Address((int(ip) >> shift) & 0xFFFF_FFFF)
                break
    if any(ip.version == network.version and ip in network for network in _REFUSED):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def resolve(
    host: str,
    port: int,
    *,
    allow_private: bool,
    timeout_s: float,
    look_up: LookUp | None = None,
) -> list[Place]:
    """Look a host up and check every address it has.

    Args:
        host, port: what to look up.
        allow_private: whether addresses that are not public will do.
        timeout_s: for the answer.
        look_up: asks for addresses; the system's resolver if None.

    Raises:
        RefusedError: one of them is not public, unless ``allow_private``.
        SourceError: there is no such host, or no answer in time.
    """
    places = [
        Place(family, address)
        for family, _, _, _, address in (look_up or _looked_up)(
            host, port, min(timeout_s, _DNS_TIMEOUT_S)
        )
    ]
    for place in places:
        if not allow_private and not is_public(str(place.address[0])):
            raise RefusedError(
                f"{host} is at {place.address[0]}, an address of this machine or of a private "
                "network; pass --allow-private (allow_private=True) if that is meant."
            )
    return places


def connect(host: str, port: int, *, allow_private: bool, timeout_s: float) -> socket.socket:
    """Connect to a host at an address that was checked.

    Args:
        host, port: where to; the name is resolved here and nowhere after.
        allow_private: whether addresses that are not public will do.
        timeout_s: for the look-up and all attempts together.

    Returns:
        A connected socket, with what is left of ``timeout_s`` as its timeout.

    Raises:
        RefusedError: an address of the host is not public.
        SourceError: no such host, or none of its addresses answers in time.
    """
    ends = time.monotonic() + timeout_s
    places = resolve(host, port, allow_private=allow_private, timeout_s=timeout_s)
    reason = "no address"
    for place in places:
        left = ends - time.monotonic()
        if left <= 0:
            reason = f"no answer in {timeout_s:.0f} s"
            break
        link = socket.socket(place.family, socket.SOCK_STREAM)
        try:
            link.settimeout(left)
            link.connect(place.address)
            link.settimeout(max(0.1, ends - time.monotonic()))
            return link
        except OSError as err:
            link.close()
            timed_out = isinstance(err, TimeoutError)
            reason = f"no answer in {timeout_s:.0f} s" if timed_out else str(err.strerror or err)
    raise SourceError(f"{host} cannot be reached at port {port} ({reason}); try again later.")


def _looked_up(host: str, port: int, timeout_s: float) -> list[Any]:
    """``getaddrinfo``, which knows no time limit, in a thread that may be left behind."""
    answer: list[Any] = []
    failed: list[Exception] = []

    def look() -> None:
        try:
            answer.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as err:
            failed.append(err)

    thread = threading.Thread(target=look, daemon=True, name=f"look up {host}")
    thread.start()
    thread.join(timeout_s)
    if answer:
        return answer
    if failed:
        raise SourceError(
            f"there is no host {host} to be found ({failed[0]}); check the address and the network."
        ) from failed[0]
    raise SourceError(f"looking up {host} took over {timeout_s:.0f} s; check the network.")
