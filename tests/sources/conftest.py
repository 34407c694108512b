"""A web server, and a check that nothing stays behind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.sources.serving import Site, serving

MARK = "TILEWISE_TEST_MARK"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        yield found


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sees to it that no process and no temporary file of the test stays."""
    temporary = Path(tempfile.mkdtemp())  # short: Chromium's sockets lie deep inside
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv(MARK, str(tmp_path))
    yield temporary
    ends = time.monotonic() + 5
    while (left := [*_marked(str(tmp_path)), *temporary.iterdir()]) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not left
    temporary.rmdir()


def _marked(value: str) -> Iterator[str]:
    """Processes that were started with the mark."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={value}\0".encode() in environment.read_bytes() + b"\0":
                yield (environment.parent / "cmdline").read_text()[:200]
