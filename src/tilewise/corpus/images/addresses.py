"""Addresses of images: brought to one form, and refused where they may never be asked.

Names are resolved and their addresses checked by ``tilewise.sources.addresses``; here stands what
can be told without asking anybody.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import SplitResult

from tilewise.errors import SourceError
from tilewise.sources.addresses import (
    RefusedError,
    is_public,
    port_of,
    shortened,
    split_url,
    without_fragment,
)

_LOCAL_NAMES = ("localhost", "localdomain", "local", "internal", "home.arpa", "onion")
"""Last parts of names that are of this machine or of private networks (RFC 6761, 6762, 8375)."""


def checked_url(url: str, *, allow_private: bool = False) -> str:
    """An address in its one form: small letters in scheme and host, ASCII, no fragment.

    A port that the scheme means anyhow goes, and a dot at the end of the host.

    Raises:
        RefusedError: not http or https, or a host that is told to be private by its name or
            number, in whatever spelling (127.1, 0x7f000001, [::ffff:10.0.0.8], full-width digits).
        SourceError: no valid address.
    """
    return without_fragment(checked_parts(url, allow_private=allow_private))


def checked_parts(url: str, *, allow_private: bool = False) -> SplitResult:
    """The same, taken apart."""
    parts = split_url(url.strip())
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise SourceError(f"{shortened(url)} names no host; check the address.")
    if not allow_private:
        number = _number(host)
        is_local = any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)
        if is_local or (number is not None and not is_public(number)):
            raise RefusedError(f"{shortened(url)} is of this machine or of a private network.")
    name = f"[{host}]" if ":" in host else host
    is_usual = port_of(parts) == (443 if parts.scheme == "https" else 80)
    return parts._replace(netloc=name if is_usual else f"{name}:{port_of(parts)}")


def host_of(parts: SplitResult) -> str:
    """Scheme, host and port of a checked address: what limits and robots.txt belong to."""
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port_of(parts)}"


def _number(host: str) -> str | None:
    """The IP address that a host is, also in the spellings that only C libraries know."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):  # a name; null bytes and the like
        return None
