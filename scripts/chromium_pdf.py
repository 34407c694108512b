"""Print web pages to PDF with one Chromium that stays open, offline."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


MEEK: Final = ("setpriv", "--bounding-set=-sys_nice") if shutil.which("setpriv") else ()
"""Run by root, Chromium would raise its own priority; this takes the right to do so from it."""

UNFLOAT: Final = """
for (const element of document.querySelectorAll("*"))
  if (["fixed", "sticky"].includes(getComputedStyle(element).position))
    element.style.setProperty("position", "static", "important");
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintSettings:
    """Paper in inches, margin in inches, zoom, "print" or "screen" style, and extra style rules."""

    width: float
    height: float
    margin: float
    scale: float
    media: str
    css: str


class BrowserError(Exception):
    """Chromium has failed on a page, or has not answered in time."""


class Browser:
    """A Chromium driven through a pipe, as nice as its caller; use it as a context manager."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.mkdtemp(prefix="tilewise-chromium-")
        (child_in, self._out), (self._in, child_out) = os.pipe(), os.pipe()
        # the browser reads at 3 and writes at 4, so ours must not lie there
        far = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (child_in, child_out)]
        command = [*MEEK, program, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        line = f'exec "$@" 3<&{far[0]} 4>&{far[1]} {far[0]}<&- {far[1]}>&-'
        self._process = subprocess.Popen(
            ["bash", "-c", line, "bash", *command],
            pass_fds=far,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (child_in, child_out, *far):
            os.close(fd)
        self._buffer = b""
        self._ids = itertools.count(1)
        self._session: str | None = None
        self._events: set[str] = set()
        try:
            self._open_tab()
        except BrowserError:
            self.close()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and remove its profile."""
        try:
            self._session = None
            self._call("Browser.close", timeout_s=5)
            self._process.wait(5)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for fd in (self._in, self._out):
            os.close(fd)
        shutil.rmtree(self._profile, ignore_errors=True)

    def pdf(self, url: str, settings: PrintSettings, timeout_s: float = 60) -> bytes:
        """Print one page to PDF.

        Raises:
            BrowserError: no answer in time, or the browser refuses.
        """
        end = time.monotonic() + timeout_s
        self._events.clear()
        self._call("Emulation.setEmulatedMedia", {"media": settings.media})
        self._call("Page.navigate", {"url": url}, timeout_s)
        while "Page.loadEventFired" not in self._events:
            self._events.add(str(self._receive(end).get("method")))
        self._settle()
        if settings.css:
            self._add_style(settings.css)
        reply = self._call(
            "Page.printToPDF",
            {
                "paperWidth": settings.width,
                "paperHeight": settings.height,
                "scale": settings.scale,
                "printBackground": True,
                **{f"margin{side}": settings.margin for side in ("Top", "Bottom", "Left", "Right")},
            },
            end - time.monotonic(),
        )
        return base64.b64decode(reply["data"])

    def _open_tab(self) -> None:
        opened = self._call("Target.createTarget", {"url": "about:blank"}, timeout_s=90)
        to = {"targetId": opened["targetId"], "flatten": True}
        self._session = self._call("Target.attachToTarget", to)["sessionId"]
        self._call("Page.enable")
        self._call("Emulation.setScriptExecutionDisabled", {"value": True})

    def _settle(self) -> None:
        """Let what floats above the page stand in it, so that it covers no text."""
        self._call("Emulation.setScriptExecutionDisabled", {"value": False})
        self._call("Runtime.evaluate", {"expression": UNFLOAT})
        self._call("Emulation.setScriptExecutionDisabled", {"value": True})

    def _add_style(self, css: str) -> None:
        frame = self._call("Page.getFrameTree")["frameTree"]["frame"]["id"]
        self._call("DOM.enable")
        self._call("CSS.enable")
        sheet = self._call("CSS.createStyleSheet", {"frameId": frame})["styleSheetId"]
        self._call("CSS.setStyleSheetText", {"styleSheetId": sheet, "text": css})
        self._call("CSS.disable")
        self._call("DOM.disable")

    def _call(
        self, method: str, params: dict[str, Any] | None = None, timeout_s: float = 60
    ) -> dict[str, Any]:
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        end = time.monotonic() + timeout_s
        while True:
            reply = self._receive(end)
            if reply.get("id") == number:
                if "error" in reply:
                    raise BrowserError(f"{method}: {reply['error'].get('message')}")
                result: dict[str, Any] = reply["result"]
                return result
            self._events.add(str(reply.get("method")))

    def _receive(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise BrowserError("no answer in time")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise BrowserError("the browser has ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        reply: dict[str, Any] = json.loads(line)
        return reply
