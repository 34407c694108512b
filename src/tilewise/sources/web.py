"""Web pages: drawn whole by Chromium, from an address, a file or bytes.

A page is loaded, scrolled through once so that everything is there, tidied (``web_page.js``) and
drawn from top to bottom in one picture; a very long one becomes several, cut between lines.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from tilewise.errors import SourceError
from tilewise.records import Page, Pixels
from tilewise.sources.addresses import shortened
from tilewise.sources.browser import Leash, started, within
from tilewise.sources.gate import LOCAL_HOST, Gate, LocalPage
from tilewise.sources.image import decoding
from tilewise.sources.program import work_folder
from tilewise.sources.source import Closes, PageSize, RasterSize, check_number
from tilewise.sources.url import check_status
from tilewise.sources.web_options import MAX_PICTURE_WIDTH, WebOptions

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

_log = logging.getLogger(__name__)

MAX_PICTURE_HEIGHT: Final = 16_384
"""Tallest picture that Chromium draws in one piece; it repeats rows beyond."""

MAX_PICTURE_PIXELS: Final = 40_000_000
"""Most pixels of one page; a longer web page becomes several."""

WINDOW_HEIGHT: Final = 1024
"""Height of the window in CSS pixels, which pages may lay themselves out by."""

_ROW: Final = 4  # pages are cut at multiples of so many CSS pixels, whole pixels at any scale
_MIN_GAP: Final = 6  # rows of one colour that make a gap between lines
_LOAD_MS: Final = 20_000
_SETTLE_MS: Final = 3000
_STEP_MS: Final = 80
_GROWTH_MS: Final = 400
_NAVIGATES: Final = re.compile("context was destroyed|navigat", re.IGNORECASE)
_CHARSET: Final = re.compile(rb"charset", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture as Chromium gave it, PNG, of which the first ``height`` rows count."""

    png: bytes
    width: int
    height: int


class WebSource(Closes):
    """A web page that has been drawn: one page, or several if it is very long."""

    def __init__(self, shots: list[Shot], name: str) -> None:
        """Keep pictures as they are packed; they are decoded when asked for."""
        self.name = name
        self._shots = shots

    @property
    def count(self) -> int:
        """Number of pages."""
        return len(self._shots)

    def size(self, number: int) -> PageSize:
        """Size in pixels."""
        check_number(self.name, number, self.count)
        shot = self._shots[number - 1]
        return PageSize(shot.width, shot.height, "px")

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """Decode one page."""
        check_number(self.name, number, self.count)
        shot = self._shots[number - 1]
        pixels = _decoded(shot.png, self.name)[: shot.height]
        return Page(pixels=pixels, name=self.name, number=number, total=self.count)


def open_page_at(url: str, name: str, options: WebOptions, asked: str = "") -> WebSource:
    """Draw the page at a web address that has been checked (``url.fetch``).

    Args:
        url: where the page is.
        name: what messages call it.
        options: how it is drawn.
        asked: what led there by redirects, to tell a login that stands before the page.

    Raises:
        SourceError: it cannot be loaded or drawn in time, or wants a login.
        MissingExtraError: Playwright or Chromium is missing.
    """
    return _drawn(url, name, options, None, asked)


def open_html(data: bytes, folder: Path | None, name: str, options: WebOptions) -> WebSource:
    """Draw a page of HTML that is here.

    Args:
        data: the file's bytes.
        folder: what lies inside may be shown by the page; None: nothing may.
        name: what messages call it.
        options: how it is drawn.

    Raises:
        SourceError, MissingExtraError: as ``open_page_at``.
    """
    media = "text/html"
    if not _CHARSET.search(data[:2048]) and _is_utf_8(data):
        media += "; charset=utf-8"
    page = LocalPage(data, media, folder)
    return _drawn(page.url, name, options, page)


def open_mhtml(data: bytes, name: str, options: WebOptions) -> WebSource:
    """Draw a web archive (MHTML), which holds all that it shows; its scripts never run.

    Raises:
        SourceError, MissingExtraError: as ``open_page_at``.
    """
    with work_folder(name) as folder:
        file = folder / "page.mhtml"
        file.write_bytes(data)
        return _drawn(file.as_uri(), name, options, None)


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _drawn(
    url: str, name: str, options: WebOptions, page: LocalPage | None, asked: str = ""
) -> WebSource:
    limit_s = options.time_limit_s
    ends = time.monotonic() + limit_s

    def work(leash: Leash) -> tuple[list[Shot], list[str]]:
        with started(leash, folder, limit_s) as browser:
            visit = _Visit(browser, gate, url, name, ends, asked or url)
            return visit.shots(), visit.told

    with work_folder(name) as folder, Gate(options, page) as gate:
        try:
            shots, told = within(name, limit_s, work)
        except SourceError:
            raise
        except Exception as err:
            if type(err).__module__.startswith("playwright"):
                raise _not_drawn(name, str(err), gate) from err
            raise
    if gate.refused:
        told.append(f"{len(gate.refused)} parts were not loaded: {gate.refused[0]}")
    for text in told:  # of a page that was drawn in the end; else the error says enough
        _log.warning("%s: %s", name, text)
    return WebSource(shots, name)


def _not_drawn(name: str, said: str, gate: Gate) -> SourceError:
    """Playwright's errors in our words."""
    if gate.refused:
        return SourceError(f"{name} is not loaded: {gate.refused[0]}")
    if "Download is starting" in said:
        return SourceError(f"{name} is offered as a download and no page; save it, give the file.")
    if "crashed" in said.lower():
        return SourceError(f"{name} makes Chromium run out of memory or crash; lower --scale.")
    first = said.splitlines()[0]  # what follows is a log, which tells of navigation anyway
    if _NAVIGATES.search(first):
        return SourceError(
            f"{name} keeps moving on to another page and comes to no rest; try --no-javascript "
            "(javascript=False), or give the address that a browser ends at."
        )
    if "ERR_PROXY_CONNECTION_FAILED" in first:
        return SourceError(
            f"{name} cannot be drawn, as Chromium cannot reach 127.0.0.1, where tilewise hands the "
            "page over; switch the loopback network of this machine on."
        )
    reason = re.sub(r"^[\w.]+: ", "", first).strip().rstrip(".")
    return SourceError(
        f"{name} cannot be drawn ({reason[:200]}); try --no-javascript (javascript=False), or open "
        "it in a browser to see why."
    )


class _Visit:
    """One page in one fresh context of a browser, from loading to pictures."""

    def __init__(
        self, browser: Browser, gate: Gate, url: str, name: str, ends: float, asked: str
    ) -> None:
        self._asked = asked
        self.told: list[str] = []
        """What the user should know of a picture, such as that it is cut."""
        self.url, self.name, self.options, self._ends = url, name, gate.options, ends
        options = gate.options
        context = browser.new_context(
            proxy={"server": gate.address, "bypass": "<-loopback>"},
            viewport={"width": options.width, "height": WINDOW_HEIGHT},
            device_scale_factor=options.scale,
            java_script_enabled=options.javascript,
            accept_downloads=False,
            service_workers="block",
            reduced_motion="reduce",
            color_scheme="light",
        )
        self.tab: Tab = context.new_page()
        context.on("page", lambda other: other.close())  # windows that a page opens by itself
        script = Path(__file__).with_name("web_page.js").read_text(encoding="utf-8")
        self._script = script.rstrip().rstrip(";")

    def shots(self) -> list[Shot]:
        """Load, scroll, tidy, draw."""
        self._load()
        self._tidy()
        self._scroll_through()
        self._tidy()
        self._wait(lambda: bool(self._do("isReady()")), _SETTLE_MS)
        self._do("settle()")
        self._do("scrollTo(0)")
        width, height = self._do("size()")
        return self._draw(int(width), int(height))

    def _do(self, call: str) -> Any:
        """Call a function of ``web_page.js``; again where the page moved on meanwhile."""
        for _ in range(3):
            try:
                return self.tab.evaluate(f"{self._script}.{call}")
            except Exception as err:
                if not _NAVIGATES.search(str(err)):
                    raise
                self._settled("load", _SETTLE_MS)
        return self.tab.evaluate(f"{self._script}.{call}")

    def _load(self) -> None:
        left_ms = max(1.0, (self._ends - time.monotonic()) * 1000)
        response = self.tab.goto(self.url, wait_until="commit", timeout=left_ms)
        is_remote = self.url.startswith("http") and f"//{LOCAL_HOST}/" not in self.url
        if response is not None and is_remote:
            check_status(self.url, response.status)
        if not self._settled("load", min(left_ms / 3, _LOAD_MS)):
            self.told.append("not all of it had come when it was drawn")
        self._settled("networkidle", min(_SETTLE_MS, left_ms / 4))
        if is_remote and self._do("wantsLogin()") and _path(self.tab.url) != _path(self._asked):
            raise SourceError(
                f"{shortened(self.name)} leads to a login ({shortened(self.tab.url, 100)}); log in "
                "with a browser, save the page and give the file."
            )

    def _settled(self, state: Any, timeout_ms: float) -> bool:
        """Wait for a state of loading; False when it did not come."""
        from playwright.sync_api import TimeoutError as OverTimeError  # noqa: PLC0415

        try:
            self.tab.wait_for_load_state(state, timeout=timeout_ms)
        except OverTimeError:
            return False
        return True

    def _tidy(self) -> None:
        self._do("wake()")
        self._do("unfold()")
        count = self._do("hideBanners()")
        if count:
            _log.info("%s: %d consent banners are left out", self.name, count)

    def _scroll_through(self) -> None:
        """Show every part once, so that what loads late is there; an endless page has an end."""
        until = time.monotonic() + (self._ends - time.monotonic()) / 3
        limit, top = self.options.max_height, 0
        height = int(self._do("size()")[1])
        while time.monotonic() < until:
            self._do(f"scrollTo({top})")
            self.tab.wait_for_timeout(_STEP_MS)
            top += WINDOW_HEIGHT * 3 // 4
            is_at_end = top + WINDOW_HEIGHT // 4 >= min(height, limit)
            if is_at_end and (height >= limit or not self._has_grown(height)):
                break
            height = int(self._do("size()")[1])
        self._do("scrollTo(0)")
        self.tab.wait_for_timeout(_STEP_MS)

    def _has_grown(self, height: int) -> bool:
        """Whether the page gets longer when its end is in sight."""
        self._do(f"scrollTo({height})")
        self._settled("networkidle", _GROWTH_MS)
        return self._wait(lambda: int(self._do("size()")[1]) > height, _GROWTH_MS)

    def _wait(self, is_true: Callable[[], bool], timeout_ms: float) -> bool:
        ends = time.monotonic() + timeout_ms / 1000
        while not is_true():
            if time.monotonic() > ends:
                return False
            self.tab.wait_for_timeout(_STEP_MS)
        return True

    def _draw(self, width: int, height: int) -> list[Shot]:
        """Pictures of the document from top to bottom."""
        options = self.options
        if height > options.max_height:
            self.told.append(f"it is {height} CSS pixels high and is cut at {options.max_height}")
            height = options.max_height
        width = min(width, 2 * options.width, int(MAX_PICTURE_WIDTH / options.scale))
        shots: list[Shot] = []
        top = 0
        while top < height:
            rows = min(height - top, _most_rows(width, options.scale))
            is_last = top + rows == height
            png = self.tab.screenshot(
                full_page=True,
                clip={"x": 0, "y": top, "width": width, "height": rows},
                animations="disabled",
                timeout=max(1.0, (self._ends - time.monotonic()) * 1000),
            )
            shot, used = _shot(png, self.name, options.scale, is_last=is_last)
            shots.append(shot)
            top += rows if is_last else used
        return shots


def _path(url: str) -> str:
    """An address without what follows its path, to tell whether a page led elsewhere."""
    return re.split(r"[?#]", url, maxsplit=1)[0].rstrip("/")


def _most_rows(width: int, scale: float) -> int:
    """Most CSS pixels of height that one picture takes."""
    rows = min(MAX_PICTURE_HEIGHT, MAX_PICTURE_PIXELS / (width * scale)) / scale
    return max(_ROW, int(rows) // _ROW * _ROW)


def _shot(png: bytes, name: str, scale: float, *, is_last: bool) -> tuple[Shot, int]:
    """A picture, cut between two lines unless it is the last, and the CSS pixels it took."""
    with Image.open(BytesIO(png)) as image:
        width, height = image.size
    if is_last:
        return Shot(png=png, width=width, height=height), math.ceil(height / scale)
    unit = _ROW * scale
    cut = int(_gap(_decoded(png, name)) / unit)
    return Shot(png=png, width=width, height=round(cut * unit)), cut * _ROW


def _gap(pixels: Pixels) -> int:
    """Row in the lower quarter at which a page is best cut: the last gap between lines, or the end.

    A gap is ``_MIN_GAP`` rows each of one colour. Returns a row number up to the height.
    """
    height = len(pixels)
    first = height * 3 // 4
    part = pixels[first:]
    plain = (part == part[:, :1]).all(axis=(1, 2))
    run = 0
    for row in range(len(plain) - 1, -1, -1):
        run = run + 1 if plain[row] else 0
        if run >= _MIN_GAP and (row == 0 or not plain[row - 1] or run >= 4 * _MIN_GAP):
            return first + row + run // 2
    return height


def _decoded(png: bytes, name: str) -> Pixels:
    with decoding(name, "PNG"), Image.open(BytesIO(png)) as image:
        return np.array(image.convert("RGB"))  # Chromium writes upright sRGB without a profile
