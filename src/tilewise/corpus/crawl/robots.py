"""What hosts allow: robots.txt (RFC 9309) and the X-Robots-Tag of an answer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from tilewise.errors import MissingExtraError

AGENT: Final = "tilewise"
"""The product token that robots.txt may name."""

MAX_ROBOTS_BYTES: Final = 500 * 1024
"""RFC 9309, section 2.5: at least so much is read; the rest does not count."""

OPT_OUT: Final = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})
"""Rules of X-Robots-Tag by which an image stays out of a data set."""

_WITH_VALUE: Final = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")


class Rules:
    """The rules of one robots.txt for our agent."""

    def __init__(self, data: bytes) -> None:
        """Parse a file; what makes no sense in it does not count.

        Raises:
            MissingExtraError: protego is not installed.
        """
        text = data[:MAX_ROBOTS_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
        self._parsed = _protego().parse(text)

    def allows(self, url: str) -> bool:
        """Whether an address of the host may be asked."""
        return bool(self._parsed.can_fetch(url, AGENT))

    @property
    def delay_s(self) -> float:
        """Seconds between requests that the host asks for, 0 if it does not say."""
        delay = self._parsed.crawl_delay(AGENT) or 0.0
        rate = self._parsed.request_rate(AGENT)
        if rate is not None and rate.requests > 0:
            delay = max(delay, rate.seconds / rate.requests)
        return max(0.0, float(delay))


ALLOW_ALL: Final = b""
DISALLOW_ALL: Final = b"User-agent: *\nDisallow: /\n"


def rules_for_status(status: int, data: bytes) -> bytes:
    """The robots.txt that an answer stands for (RFC 9309, section 2.3.1).

    A file that is not there allows everything; a host in trouble (5xx, 429) allows nothing.
    """
    if 200 <= status < 300:
        return data
    return DISALLOW_ALL if status >= 500 or status == 429 else ALLOW_ALL


def robots_url(url: str) -> str:
    """Where the rules for an address stand."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/robots.txt"


def opted_out(tags: Iterable[str], agent: str = AGENT) -> str | None:
    """The rule by which an image may not be used, or None.

    Args:
        tags: values of X-Robots-Tag, each a list of rules parted by commas, for all agents or
            after a name and a colon for that one (``otherbot: noindex``).
        agent: our name.
    """
    for tag in tags:
        is_ours = True
        for part in tag.lower().split(","):
            name, colon, rule = part.partition(":")
            if colon and name.strip() not in _WITH_VALUE:
                is_ours = name.strip() in (agent, "*")
                part = rule
            if is_ours and part.strip() in OPT_OUT:
                return part.strip()
    return None


def _protego() -> Any:
    if importlib.util.find_spec("protego") is None:
        raise MissingExtraError(
            "robots.txt is read by protego; install it with: pip install 'tilewise[corpus]'."
        )
    from protego import Protego  # noqa: PLC0415 - an extra

    return Protego
