"""How images are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tilewise.corpus.crawl.robots import AGENT
from tilewise.corpus.version import version
from tilewise.errors import ConfigError

MAX_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchConfig:
    """How hosts are asked for images; times are in seconds.

    ``contact``: an address or URL that hosts can turn to, sent with each request.
    ``concurrency``: hosts asked at once. ``per_host``: requests to one host at once, ``delay_s``
    between the starts of two; a greater Crawl-delay holds, and a host that wants over
    ``max_delay_s``, by that or by Retry-After, is left alone. ``retries``: after 429, 5xx, timeouts
    and connections closed before an answer, the first after ``backoff_s``, each later one after
    twice the time.
    ``connect_s`` to be connected, ``silence_s`` without a byte, ``time_limit_s`` for one answer.
    ``max_bytes``: of one image. ``give_up_after``: troubles in a row, after which a host is asked
    nothing more. ``robots_keep_s``: how long a robots.txt holds. ``opt_out``: hosts that are never
    asked, with all below them. ``allow_private``: ask addresses of this machine and of private
    networks; for tests. ``ask_interrupted``: ask again for what was on its way when an earlier
    run ended; otherwise such an image is unavailable.
    """

    contact: str = ""
    concurrency: int = 256
    per_host: int = 1
    delay_s: float = 0.5
    max_delay_s: float = 30.0
    retries: int = 2
    backoff_s: float = 1.0
    connect_s: float = 10.0
    silence_s: float = 15.0
    time_limit_s: float = 60.0
    max_bytes: int = 20_000_000
    give_up_after: int = 5
    robots_keep_s: float = 86_400.0
    opt_out: tuple[str, ...] = ()
    allow_private: bool = False
    ask_interrupted: bool = True

    def __post_init__(self) -> None:
        if not self.contact.isascii() or not self.contact.isprintable():
            raise ConfigError(
                f"contact is {self.contact!r}; a mail address or URL in ASCII is allowed."
            )
        for name in ("concurrency", "per_host", "max_bytes", "give_up_after"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; 1 or more is allowed.")
        for name in ("connect_s", "silence_s", "time_limit_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name):g}; it must be over 0.")
        for name in ("delay_s", "max_delay_s", "retries", "backoff_s", "robots_keep_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name):g}; 0 or more is allowed.")

    @property
    def agent(self) -> str:
        """The User-Agent of each request."""
        return f"{AGENT}/{version()} (+{self.contact})"
