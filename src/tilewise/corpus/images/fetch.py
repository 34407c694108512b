"""Images of the web: asked for politely and safely, each address once, whatever ends the run.

Every host has limits of its own (``hosts``), every request goes to a checked address
(``http_client``), and every answer is a row of a part (``store``) the moment it is there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tilewise.corpus.crawl.robots import (
    MAX_ROBOTS_BYTES,
    Rules,
    opted_out,
    robots_url,
    rules_for_status,
)
from tilewise.corpus.images.addresses import checked_parts, checked_url, host_of
from tilewise.corpus.images.facts import DECODED, OTHER_IMAGES
from tilewise.corpus.images.fetch_config import MAX_REDIRECTS, FetchConfig
from tilewise.corpus.images.hosts import Host
from tilewise.corpus.images.store import ImagePart, part_rows, robots_of
from tilewise.errors import ConfigError, MissingExtraError, SourceError
from tilewise.sources.addresses import LookUp, RefusedError
from tilewise.sources.content import HEAD_BYTES, kind_of

if TYPE_CHECKING:
    from tilewise.corpus.images.http_client import Answer, HttpClient

Told = Callable[[int, int], None]
"""Called with (addresses done, addresses to ask) in this run."""

_JITTER: Final = 0.25


def part_of(url: str, parts: int) -> int:
    """The number of the part, of so many, that an address belongs to: all of a host to one.

    Workers that fetch a part each so never ask one host at the same time.
    """
    try:
        name = urlsplit(url.strip()).hostname or ""
    except ValueError:
        name = ""
    return int.from_bytes(sha256(name.encode("utf-8", "replace")).digest()[:8], "big") % parts


def fetch_images(
    urls: Iterable[str],
    folder: Path,
    name: str,
    cfg: FetchConfig,
    *,
    skip: Callable[[str], bool] | None = None,
    owns: Callable[[str], bool] | None = None,
    told: Told | None = None,
    look_up: LookUp | None = None,
    now: Callable[[], float] = time.time,
    seed: int = 0,
) -> Counter[str]:
    """Ask for images and keep what comes in a part of a store; what it holds is not asked again.

    Args:
        urls: of images; those that may not be asked are left out, as every lookup says so anyhow.
        folder, name: of the store and the part.
        cfg: manners and limits.
        skip: whether an address is known already, e.g. from the archive; asked of redirects too.
        owns: whether a host that an address leads on to may be asked here; other workers may be
            asking the rest, which ``led_to`` gives when all are done. All may be if None.
        told: how far the run is.
        look_up: asks for the addresses of names; the system's resolver if None.
        now: seconds since 1970, for the age of a robots.txt and the time of capture.
        seed: of the small differences between waits.

    Returns:
        How many addresses of this run are ``kept``, ``leads_on``, ``known``, or failed, by reason.

    Raises:
        ConfigError: no contact is given, or the part cannot be written.
        MissingExtraError: a package is not installed.
    """
    if not cfg.contact:
        raise ConfigError(
            "contact is empty; give a mail address or URL that hosts can turn to, as --contact or "
            "images.contact, to fetch images from the network."
        )
    for package in ("aiohttp", "protego"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(
                f"fetching images needs {package}; install it with: pip install 'tilewise[corpus]'."
            )
    with ImagePart(folder, name) as part:
        may_ask = (lambda url: not skip(url)) if skip else _always
        fetcher = _Fetcher(part, cfg, may_ask, owns or _always, now, random.Random(seed))
        try:
            return asyncio.run(fetcher.run(urls, look_up, told))
        except BaseExceptionGroup as group:  # of tasks that ended together
            raise _first(group) from group


def led_to(folder: Path, is_known: Callable[[str], bool]) -> list[str]:
    """Addresses that others lead on to and that nobody was asked for, each once, sorted.

    Args:
        folder: of the store; nobody writes to it.
        is_known: whether anything came of asking for an address.
    """
    found = {
        row["to"]
        for path in folder.glob("*.log")
        for row, _ in part_rows(path)
        if "to" in row and not is_known(row["to"])
    }
    return sorted(found)


class _Fetcher:
    """One run over addresses of one part."""

    def __init__(
        self,
        part: ImagePart,
        cfg: FetchConfig,
        is_new: Callable[[str], bool],
        owns: Callable[[str], bool],
        now: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self._part, self._cfg, self._is_new, self._owns = part, cfg, is_new, owns
        self._now, self._chance = now, chance
        self._hosts: dict[str, Host] = {}
        self._flying: dict[str, asyncio.Event] = {}
        self._counts: Counter[str] = Counter()
        self._http: HttpClient
        self._done = self._total = 0

    async def run(
        self, urls: Iterable[str], look_up: LookUp | None, told: Told | None
    ) -> Counter[str]:
        """Ask for all of them."""
        from tilewise.corpus.images.http_client import HttpClient  # noqa: PLC0415 - an extra

        queues = self._queues(urls)
        self._total = sum(map(len, queues))
        waiting = deque(queues)
        async with HttpClient(self._cfg, look_up) as self._http, asyncio.TaskGroup() as group:
            for _ in range(min(self._cfg.concurrency, len(waiting))):
                group.create_task(self._hosts_in_turn(waiting, told))
        return self._counts

    def _queues(self, urls: Iterable[str]) -> list[deque[str]]:
        """What is to be asked, by host."""
        queues: dict[str, deque[str]] = {}
        for url in dict.fromkeys(urls):
            try:
                parts = checked_parts(url, allow_private=self._cfg.allow_private)
                asked = checked_url(url, allow_private=self._cfg.allow_private)
            except SourceError:
                self._counts["refused"] += 1
                continue
            row = self._part.rows.get(asked)
            if (row is not None and "to" not in row) or not self._is_new(asked):
                self._counts["known"] += 1
                continue
            queues.setdefault(host_of(parts), deque()).append(asked)
        return list(queues.values())

    async def _hosts_in_turn(self, waiting: deque[deque[str]], told: Told | None) -> None:
        """Ask one host after another, each by as many as may ask it at once."""
        while waiting:
            queue = waiting.popleft()
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._cfg.per_host, len(queue))):
                    group.create_task(self._urls_in_turn(queue, told))

    async def _urls_in_turn(self, queue: deque[str], told: Told | None) -> None:
        while queue:
            await self._follow(queue.popleft())
            self._done += 1
            if told is not None:
                told(self._done, self._total)

    async def _follow(self, url: str) -> None:
        """Ask an address and those it leads on to; a loop ends by itself, as each has its row."""
        for _ in range(MAX_REDIRECTS + 1):
            await self._row(url)
            row = self._part.rows.get(url)
            if row is None or "to" not in row or not self._owns(row["to"]):
                return
            url = row["to"]

    async def _row(self, url: str) -> None:
        """See that an address has its row, unless it is known elsewhere; asked once only."""
        while url in self._flying:
            await self._flying[url].wait()
        if url in self._part.rows or not self._is_new(url):
            return
        self._flying[url] = done = asyncio.Event()
        try:
            await self._ask(url)
        finally:
            del self._flying[url]
            done.set()

    async def _ask(self, url: str) -> None:
        """Ask an address and note what comes of it."""
        parts = checked_parts(url, allow_private=self._cfg.allow_private)
        if self._has_opted_out(parts.hostname or ""):
            self._fail(url, "image_opted_out", "opt_out")
            return
        if url in self._part.interrupted and not self._cfg.ask_interrupted:
            self._fail(url, "image_unavailable", "interrupted")
            return
        host = self._host(host_of(parts))
        async with host.one_of_few:
            if host.rules is None and host.trouble is None:
                async with host.learning:
                    await self._learn(host, url)
            if host.trouble is not None:
                self._fail(url, *host.trouble)
            elif host.rules is not None and not host.rules.allows(url):
                self._fail(url, "image_robots", "robots.txt")
            else:
                self._part.ask(url)
                self._note(url, await self._answer(host, url, self._cfg.max_bytes))

    async def _answer(self, host: Host, url: str, max_bytes: int, *, cut: bool = False) -> Answer:
        """What a host says, asked again where that may help."""
        for attempt in range(int(self._cfg.retries) + 1):
            await host.turn()
            answer = await self._http.get(url, max_bytes, cut=cut)
            if not answer.is_temporary:
                break
            wait_s = self._cfg.backoff_s * 2**attempt * (1 + _JITTER * self._chance.random())
            if answer.retry_after_s is not None:
                wait_s = max(wait_s, answer.retry_after_s)
            if wait_s > self._cfg.max_delay_s:
                told = f"{answer.detail}, asks to wait {wait_s:.0f} s"
                host.trouble = "image_unavailable", told
                return replace(answer, detail=told)
            host.pause(wait_s)
        host.count(is_trouble=answer.is_trouble, detail=answer.detail)
        return answer

    async def _learn(self, host: Host, url: str) -> None:
        """Read a host's robots.txt, kept from before or asked for now."""
        if host.rules is not None or host.trouble is not None:
            return  # another request to the host has done it
        row = self._part.robots.get(host.name)
        if row is not None and self._now() - row["at_s"] < self._cfg.robots_keep_s:
            host.learn(Rules(robots_of(row)))
            return
        at = robots_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            asked = checked_parts(at, allow_private=self._cfg.allow_private)
            answer = await self._answer(self._host(host_of(asked)), at, MAX_ROBOTS_BYTES, cut=True)
            if not answer.to:
                break
            try:
                at = checked_url(answer.to, allow_private=self._cfg.allow_private)
            except SourceError:
                break  # leads nowhere that may be asked: as if there were none
        if answer.status == 0:
            host.trouble = answer.reason, answer.detail
            return
        data = rules_for_status(404 if answer.to else answer.status, answer.data)
        self._part.put_robots(host.name, data, self._captured(), self._now())
        host.learn(Rules(data))

    def _note(self, url: str, answer: Answer) -> None:
        """Keep what came."""
        rule = opted_out(answer.tags)
        if answer.to:
            try:
                to = checked_url(answer.to, allow_private=self._cfg.allow_private)
            except RefusedError as err:
                self._fail(url, "image_blocked_address", f"leads on: {err}")
            except SourceError as err:
                self._fail(url, "image_unavailable", f"leads on: {err}")
            else:
                self._part.lead(url, to, self._captured())
                self._counts["leads_on"] += 1
        elif answer.reason:
            self._fail(url, answer.reason, answer.detail)
        elif rule is not None:
            self._fail(url, "image_opted_out", f"X-Robots-Tag {rule}")
        elif (kind := kind_of(answer.data[:HEAD_BYTES])) in DECODED:
            self._part.put(url, answer.data, self._captured())
            self._counts["kept"] += 1
        else:
            reason = "image_format" if kind in OTHER_IMAGES else "image_decode"
            self._fail(url, reason, f"it is {kind}")

    def _fail(self, url: str, reason: str, detail: str) -> None:
        self._part.fail(url, reason, detail[:300], self._captured())
        self._counts[reason] += 1

    def _host(self, name: str) -> Host:
        return self._hosts.setdefault(name, Host(name, self._cfg))

    def _has_opted_out(self, name: str) -> bool:
        return any(name == host or name.endswith(f".{host}") for host in self._cfg.opt_out)

    def _captured(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now()))


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _always(url: str) -> bool:
    return True
