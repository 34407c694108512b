"""One request at a time: to checked addresses alone, within limits of time and size.

aiohttp speaks HTTP here: it takes our addresses instead of looking names up, and is asked for a
socket for each connection, where the address is checked once more.
"""

from __future__ import annotations

import asyncio
import email.utils
import socket
import ssl
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tilewise.corpus.images.fetch_config import FetchConfig
from tilewise.errors import SourceError
from tilewise.sources.addresses import LookUp, Place, RefusedError, is_public, resolve

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 1 << 16
_DNS_THREADS: Final = 32
_DNS_KEPT: Final = 100_000
_HEADER_BYTES: Final = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said. ``reason`` and ``detail`` as in ``rules.Fetched``; ``status`` 0: none.

    ``to``: where it leads on. ``tags``: of X-Robots-Tag. ``is_trouble``: the host is slow, away
    or overrun; ``is_temporary``: asking again may help, after ``retry_after_s`` if it says so.
    """

    status: int = 0
    data: bytes = b""
    to: str = ""
    tags: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""
    is_trouble: bool = False
    is_temporary: bool = False
    retry_after_s: float | None = None


class HttpClient:
    """Asks addresses; lives as long as an ``async with`` block.

    Args:
        cfg: limits.
        look_up: asks for the addresses of names; the system's resolver if None.
    """

    def __init__(self, cfg: FetchConfig, look_up: LookUp | None = None) -> None:
        self._cfg = cfg
        self._look_up = look_up
        self._places: dict[tuple[str, int], list[Place] | SourceError] = {}

    async def __aenter__(self) -> Self:
        cfg = self._cfg
        self._pool = ThreadPoolExecutor(_DNS_THREADS, thread_name_prefix="look up")
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=cfg.per_host,
            use_dns_cache=False,
            resolver=_Given(self),
            ssl=_trusted(),
            socket_factory=self._socket,
            keepalive_timeout=15.0,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=cfg.time_limit_s, sock_connect=cfg.connect_s, sock_read=cfg.silence_s
            ),
            headers={
                "User-Agent": cfg.agent,
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # unpacked here, within the limit
            trust_env=False,  # a proxy would look names up by itself
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def get(self, url: str, max_bytes: int, *, cut: bool = False) -> Answer:
        """Ask one address, follow nothing.

        Args:
            url: as ``addresses.checked_url`` gives it.
            max_bytes: most that its body may hold, unpacked too.
            cut: keep the beginning of a longer body, where it would else be refused.
        """
        try:
            asked = URL(url, encoded=True)
            await self.places(asked.raw_host or "", asked.port or 0)
            async with self._session.get(asked, allow_redirects=False) as response:
                try:
                    return await self._read(url, response, max_bytes, cut)
                finally:
                    if not response.content.at_eof():
                        response.close()  # what is left of a body is not waited for
        except RefusedError as err:
            return Answer(reason="image_blocked_address", detail=str(err))
        except SourceError as err:
            return Answer(reason="image_unavailable", detail=f"no host: {err}", is_trouble=True)
        except TimeoutError:
            detail = f"no answer in {self._cfg.time_limit_s:g} s"
            return Answer(
                reason="image_unavailable", detail=detail, is_trouble=True, is_temporary=True
            )
        except (aiohttp.ClientError, OSError, zlib.error, ValueError) as err:
            return _broken(err)

    async def places(self, host: str, port: int) -> list[Place]:
        """The checked addresses of a host, looked up once.

        Raises:
            RefusedError: one of them is not public.
            SourceError: there are none.
        """
        found = self._places.get((host, port))
        if found is None:
            found = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._resolved, host, port
            )
            if len(self._places) >= _DNS_KEPT:
                self._places.clear()
            self._places[host, port] = found
        if isinstance(found, SourceError):
            raise found
        return found

    def known_places(self, host: str, port: int) -> list[Place]:
        """The same for a host that was looked up; no addresses for another."""
        found = self._places.get((host, port), [])
        return [] if isinstance(found, SourceError) else found

    def _resolved(self, host: str, port: int) -> list[Place] | SourceError:
        cfg = self._cfg
        try:
            return resolve(
                host,
                port,
                allow_private=cfg.allow_private,
                timeout_s=cfg.connect_s,
                look_up=self._look_up,
            )
        except SourceError as err:
            return err

    def _socket(self, info: Any) -> socket.socket:
        """A socket for an address; the last place where one can be refused."""
        family, kind, protocol, _, address = info
        if not self._cfg.allow_private and not is_public(str(address[0])):
            raise OSError(f"{address[0]} is of this machine or of a private network")
        return socket.socket(family, kind, protocol)

    async def _read(
        self, url: str, response: aiohttp.ClientResponse, max_bytes: int, cut: bool
    ) -> Answer:
        status, headers = response.status, response.headers
        tags = tuple(headers.getall("X-Robots-Tag", ()))
        location = headers.get("Location")
        if status in _REDIRECTS and location is not None:
            return Answer(status=status, to=urljoin(url, location.strip()), tags=tags)
        if status != 200:
            return Answer(
                status=status,
                reason="image_unavailable",
                detail=f"status {status}",
                is_trouble=status == 429 or status >= 500,
                is_temporary=status == 429 or status >= 500,
                retry_after_s=_retry_after(headers),
            )
        if not cut and (response.content_length or 0) > max_bytes:
            return Answer(status=status, reason="image_too_large", detail="by its header")
        packing = headers.get("Content-Encoding", "identity").strip().lower()
        unpack = _unpacker(packing)
        if unpack is None:
            detail = f"packed as {packing[:20]!r}"
            return Answer(status=status, reason="image_unavailable", detail=detail)
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += unpack.take(chunk, max_bytes + 1 - len(data))
            if len(data) > max_bytes:
                if cut:
                    break
                detail = "unpacked" if packing != "identity" else ""
                return Answer(status=status, reason="image_too_large", detail=detail)
        return Answer(status=status, data=bytes(data[:max_bytes]), tags=tags)


class _Given(AbstractResolver):
    """Gives aiohttp the addresses that were checked, and looks up none."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of a host that ``HttpClient.places`` has looked up."""
        places = self._client.known_places(host, port)
        if not places:
            raise OSError(f"{host} was not looked up")
        return [
            ResolveResult(
                hostname=host,
                host=str(place.address[0]),
                port=port,
                family=place.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for place in places
        ]

    async def close(self) -> None:
        """Nothing to let go of."""


class _Plain:
    """A body as it is."""

    def take(self, chunk: bytes, room: int) -> bytes:
        """At most ``room`` bytes of it."""
        return chunk[:room]


class _Unzip:
    """A body in gzip or zlib form."""

    def __init__(self) -> None:
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header

    def take(self, chunk: bytes, room: int) -> bytes:
        """At most ``room`` bytes of what a chunk holds, so that a bomb stays small."""
        return self._unpack.decompress(chunk, room) if room > 0 else b""


@lru_cache(1)
def _trusted() -> ssl.SSLContext:
    """Certificates that this system trusts, read once."""
    return ssl.create_default_context()


def _unpacker(packing: str) -> _Plain | _Unzip | None:
    if packing in ("", "identity"):
        return _Plain()
    return _Unzip() if packing in ("gzip", "x-gzip", "deflate") else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a host asks to wait, given as a number or, beside its Date, as a date."""
    said = headers.get("Retry-After", "").strip()
    if said.isdigit():
        return float(said)
    try:
        until = email.utils.parsedate_to_datetime(said)
        now = email.utils.parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _broken(err: Exception) -> Answer:
    """An answer that did not come, for another cause than time."""
    if isinstance(err, aiohttp.ClientSSLError | ssl.SSLError):
        kind = "no safe connection"
    elif isinstance(err, aiohttp.ClientConnectorError):
        kind = "no connection"
    elif isinstance(err, zlib.error):
        kind = "damaged packing"
    else:
        kind = "connection broke"
    said = " ".join(str(err).split())[:160] or type(err).__name__
    return Answer(
        reason="image_unavailable",
        detail=f"{kind}: {said}",
        is_trouble=kind in ("no connection", "no safe connection"),
        # closed before an answer began: mostly a connection kept open that the host had ended
        is_temporary=isinstance(err, aiohttp.ServerDisconnectedError),
    )
