"""Manners towards one host: how many requests at once, how far apart, what it allows, when to stop.

Times are those of the running event loop, in seconds.
"""

from __future__ import annotations

import asyncio

from tilewise.corpus.crawl.robots import Rules
from tilewise.corpus.images.fetch_config import FetchConfig


class Host:
    """One host, ``scheme://name:port``, of which nothing is known yet.

    ``trouble`` is the reason and detail for which it is asked nothing more.
    """

    def __init__(self, name: str, cfg: FetchConfig) -> None:
        self.name = name
        self.rules: Rules | None = None
        self.trouble: tuple[str, str] | None = None
        self.one_of_few = asyncio.Semaphore(cfg.per_host)
        self.learning = asyncio.Lock()
        self._cfg = cfg
        self._delay_s = cfg.delay_s
        self._next_s = 0.0
        self._troubles = 0

    async def turn(self) -> None:
        """Wait until the host may be asked again."""
        loop = asyncio.get_running_loop()
        while (wait_s := self._next_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        self._next_s = loop.time() + self._delay_s

    def pause(self, seconds: float) -> None:
        """Ask the host nothing for so long."""
        self._next_s = max(self._next_s, asyncio.get_running_loop().time() + seconds)

    def learn(self, rules: Rules) -> None:
        """Take in its robots.txt; one that wants too long a delay is left alone."""
        self.rules = rules
        if rules.delay_s > self._cfg.max_delay_s:
            self.trouble = (
                "image_robots",
                f"Crawl-delay of {rules.delay_s:g} s, over {self._cfg.max_delay_s:g} s",
            )
        self._delay_s = max(self._cfg.delay_s, rules.delay_s)
        self.pause(self._delay_s)

    def count(self, *, is_trouble: bool, detail: str) -> None:
        """Count an answer; after too many troubles in a row the host is left alone."""
        self._troubles = self._troubles + 1 if is_trouble else 0
        if self._troubles >= self._cfg.give_up_after and self.trouble is None:
            told = f"host given up after {self._troubles} troubles, the last: {detail}"
            self.trouble = "image_unavailable", told
