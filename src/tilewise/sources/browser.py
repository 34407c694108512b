"""Chromium, started for one page and gone with it, whatever that page does."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tilewise.errors import MissingExtraError, SourceError
from tilewise.sources.processes import family_bytes
from tilewise.sources.program import find_program, passing_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

_log = logging.getLogger(__name__)

PROGRAM: Final = "TILEWISE_CHROMIUM"
"""Environment variable that names the browser's program."""

SANDBOX: Final = "TILEWISE_CHROMIUM_SANDBOX"
"""Environment variable; 0 starts the browser without its sandbox, as for root."""

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_INSTALL: Final = (
    "install it (Debian: apt-get install chromium; elsewhere: playwright install chromium)"
)
MAX_MEMORY_BYTES: Final = 1792 << 20
"""Most memory of a browser with its children; a page of 16,384 rows takes about half of it."""

MOST_FOLDER_BYTES: Final = 56
"""Longest path of a folder for temporary files: Chromium adds 46 bytes to make the path of a
socket, which may have 103 on macOS and 107 on Linux."""

SHORT: Final = "/tmp"
"""Where a link to a folder with a longer path is made."""

_LOOK_S: Final = 0.25
_STOP_TIMEOUT_S: Final = 10.0
_FLAGS: Final = (
    # nothing goes past a context's proxy, not even what Chromium does for itself: no names are
    # looked up, no UDP
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-pings",
    "--mute-audio",
    "--hide-scrollbars",
    # letters in grey alone and in the same place everywhere
    "--disable-lcd-text",
    "--font-render-hinting=none",
)

_PROFILE: Final = re.compile(r"--user-data-dir=(\S*playwright_chromiumdev_profile\S*)")

T = TypeVar("T")


class Leash:
    """What must be killed when time is up: the browser's processes and Playwright's own."""

    def __init__(self) -> None:
        self._groups: list[int] = []
        self._profile: str | None = None
        self._driver: int | None = None
        self._is_over = False
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether the browser was killed."""
        return self._is_over

    @property
    def is_too_large(self) -> bool:
        """Whether the browser holds more than ``MAX_MEMORY_BYTES``."""
        return any(family_bytes(pid) > MAX_MEMORY_BYTES for pid in self._groups)

    def hold(self, browser: Browser) -> None:
        """Note the processes of a browser that has just started."""
        session = browser.new_browser_cdp_session()
        for process in session.send("SystemInfo.getProcessInfo")["processInfo"]:
            if process["type"] == "browser":
                self._groups.append(int(process["id"]))
        profile = _PROFILE.search(session.send("SystemInfo.getInfo")["commandLine"])
        self._profile = profile[1] if profile else None
        session.detach()
        if self._is_over:
            self.kill_browser()

    def hold_driver(self, playwright: Playwright) -> None:
        """Note Playwright's helper; it has no public name for its process."""
        with suppress(AttributeError):
            impl: Any = playwright._impl_obj
            self._driver = int(impl._connection._transport._proc.pid)

    def kill_browser(self) -> None:
        """Kill the browser and its children, which are one process group."""
        self._is_over = True
        with self._lock:
            for group in self._groups:
                _kill(group)

    def clear(self) -> None:
        """Remove what a killed browser leaves of its profile."""
        if self._is_over and self._profile is not None:
            shutil.rmtree(self._profile, ignore_errors=True)

    def kill_driver(self) -> None:
        """Kill Playwright's helper."""
        if self._driver is not None:
            with suppress(OSError):
                os.kill(self._driver, signal.SIGTERM)


def _kill(pid: int) -> None:
    """Kill a process group, or the one process where it leads none."""
    with suppress(OSError):
        if hasattr(os, "killpg") and os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)


def within(name: str, limit_s: float, work: Callable[[Leash], T]) -> T:
    """Do work with a browser in a thread of its own, and kill the browser when time is up.

    Playwright's plain interface may not run where an event loop does, hence the thread; its calls
    know no time limit when a page's script never ends, hence the leash.

    Raises:
        SourceError: the time is over, or the browser needs too much memory.
        Whatever ``work`` raises.
    """
    leash = Leash()
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work(leash))
        except BaseException as err:  # noqa: BLE001, raised again in the caller's thread
            failed.append(err)

    thread = threading.Thread(target=run, daemon=True, name=f"draw {name}")
    thread.start()
    ends, is_too_large = time.monotonic() + limit_s, False
    try:
        while thread.is_alive() and not is_too_large and time.monotonic() < ends:
            thread.join(_LOOK_S)
            is_too_large = leash.is_too_large
    finally:  # also when the caller is interrupted
        if thread.is_alive():
            leash.kill_browser()
            thread.join(_STOP_TIMEOUT_S)
        if thread.is_alive():
            leash.kill_driver()
            thread.join(_STOP_TIMEOUT_S)
        leash.clear()
    if is_too_large:
        raise SourceError(
            f"{name} makes Chromium need over {MAX_MEMORY_BYTES >> 20:,} MiB of memory and was not "
            "drawn; try --no-javascript (javascript=False) or a lower --scale."
        ) from (failed[0] if failed else None)
    if leash.is_over or not (done or failed):
        raise SourceError(
            f"{name} was not drawn within {limit_s:g} s, perhaps as a script of it never ends; try "
            "--no-javascript (javascript=False), or raise --time-limit (time_limit_s)."
        ) from (failed[0] if failed else None)
    if failed:
        raise failed[0]
    return done[0]


@contextmanager
def started(leash: Leash, folder: Path, timeout_s: float) -> Iterator[Browser]:
    """A running Chromium that reaches nothing by itself; contexts get a gate of their own.

    ``folder`` is for its temporary files.

    Raises:
        MissingExtraError: Playwright or Chromium is not installed.
        SourceError: Chromium does not start.
    """
    playwright_api = _playwright()
    with _short(folder) as temporary, playwright_api.sync_playwright() as playwright:
        leash.hold_driver(playwright)
        program = _program(playwright)
        has_sandbox = _has_sandbox()
        try:
            browser = playwright.chromium.launch(
                executable_path=program,
                args=list(_FLAGS),
                chromium_sandbox=has_sandbox,
                env={**os.environ, "TMPDIR": str(temporary)},
                artifacts_dir=str(folder),
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                timeout=timeout_s * 1000,
            )
        except playwright_api.Error as err:
            raise _not_started(program, str(err), has_sandbox=has_sandbox) from err
        try:
            leash.hold(browser)
            yield browser
        finally:
            with suppress(playwright_api.Error):
                browser.close()


@contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """The folder by a path that is short enough for sockets in it, by a link where need be."""
    if len(os.fsencode(folder)) <= MOST_FOLDER_BYTES:
        yield folder
        return
    with ExitStack() as stack:
        try:
            link = stack.enter_context(passing_folder("tw-", SHORT)) / "t"
            link.symlink_to(folder)
        except OSError as err:
            raise SourceError(
                f"the folder for temporary files, {folder.parent}, has too long a path for "
                f"Chromium, and a link to it in {SHORT} cannot be made ({err.strerror}); set "
                "TMPDIR to a folder with a shorter path."
            ) from err
        yield link


def _playwright() -> Any:
    """Playwright's module, which takes a third of a second to import."""
    try:
        from playwright import sync_api  # noqa: PLC0415
    except ImportError as err:
        raise MissingExtraError(
            "web pages are drawn by Chromium through Playwright, which is not installed; "
            'pip install "tilewise[web]".'
        ) from err
    return sync_api


def _program(playwright: Playwright) -> str:
    """Chromium as named, as found on the PATH, or as Playwright downloaded it."""
    try:
        return find_program(_NAMES, PROGRAM, _INSTALL)
    except MissingExtraError:
        if os.environ.get(PROGRAM):
            raise
        own = playwright.chromium.executable_path
        if own and Path(own).exists():
            return own
        raise


def _has_sandbox() -> bool:
    """Chromium's sandbox does not run as root; anybody may do without it by a variable."""
    said = os.environ.get(SANDBOX)
    if said is not None:
        return said != "0"
    return not (hasattr(os, "geteuid") and os.geteuid() == 0)


def _not_started(program: str, said: str, *, has_sandbox: bool) -> SourceError:
    if has_sandbox and re.search("sandbox|namespace", said, re.IGNORECASE):
        return SourceError(
            f"{program} cannot make its sandbox on this system; allow user namespaces, or set "
            f"{SANDBOX}=0 if every page to be read is trusted."
        )
    if room := re.search(r"E[A-Z]+: ([a-z -]+), mkdtemp '([^']*)/", said):
        return SourceError(
            f"Chromium's profile finds no room in {room[2]} ({room[1]}); free some, or set TMPDIR "
            "to another folder."
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = next((line for line in lines if "error while loading" in line), lines[0])
    return SourceError(f"{program} does not start ({reason[:300]}); {_INSTALL}.")
