"""A decoder may hang, crash or ask for too much: that page is refused, everything else goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sources.making import LEFT_HALF_RED, pdf, pixels_of
from tilewise.errors import SourceError
from tilewise.sources.pages import open_source
from tilewise.sources.pdf import PDFIUM

_ENDLESS = (
    "<< /Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 9e9 4 4] /XStep 4 "
    "/YStep 0.00001 /Resources << >> /Length 22 >>\nstream\n1 0 0 rg 0 0 2 2 re f \nendstream"
)


def _endless() -> bytes:
    """Two pages, the first of which PDFium does not come to an end of."""
    return pdf(
        "/Pattern cs /P scn 20 20 90 60 re f",
        LEFT_HALF_RED,
        page="/Resources << /Pattern << /P 4 0 R >> >>",
        objects=(_ENDLESS,),
    )


def test_a_page_without_end_is_given_up_and_others_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PDFIUM, "limits", replace(PDFIUM.limits, cpu_s=0.5))
    with open_source(pdf(LEFT_HALF_RED)) as other, open_source(_endless(), name="a.pdf") as source:
        with pytest.raises(SourceError, match=r"a\.pdf: page 1 is not drawn: this page takes over"):
            source.page(1)
        assert source.page(2).pixels[50, 50].tolist() == [255, 0, 0]
        assert other.page(1).pixels[50, 50].tolist() == [255, 0, 0]


def test_a_crash_is_one_sentence_and_the_next_page_is_drawn() -> None:
    with open_source(_endless(), name="a.pdf") as source:
        running = _process()
        killer = f"import os, time; time.sleep(0.5); os.kill({running.pid}, 9)"
        with (
            subprocess.Popen([sys.executable, "-c", killer]),
            pytest.raises(SourceError, match="makes PDFium crash or run out of memory"),
        ):
            source.page(1)
        assert source.page(2).pixels[50, 50].tolist() == [255, 0, 0]


def test_a_program_that_was_killed_between_two_pages_is_not_missed() -> None:
    with open_source(pdf(LEFT_HALF_RED)) as source:
        running = _process()
        running.kill()
        running.wait()
        assert source.page(1).pixels[50, 50].tolist() == [255, 0, 0]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_memory_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    PDFIUM.end()
    monkeypatch.setattr(PDFIUM, "limits", replace(PDFIUM.limits, memory_bytes=128 << 20))
    image = (
        "<< /Type /XObject /Subtype /Image /Width 20000 /Height 20000 /BitsPerComponent 8 "
        "/ColorSpace /DeviceRGB /Filter /RunLengthDecode /Length 3 >>\nstream\nabc\nendstream"
    )
    data = pdf("q 200 0 0 100 0 0 cm /I Do Q", page="/Resources << /XObject << /I 4 0 R >> >>",
               objects=(image,))  # fmt: skip
    pixels_of(data)  # PDFium leaves out a picture for which it gets no memory
    status = Path("/proc", str(_process().pid), "status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) < 256 << 10
    PDFIUM.end()


def test_the_program_ends_with_tilewise_in_the_middle_of_a_page(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(_endless())
    code = (
        "import sys, threading; from tilewise.sources.pdf import PDFIUM\n"
        "from tilewise.sources.pages import open_source\n"
        "source = open_source(sys.argv[1])\n"
        "print(PDFIUM.running.process.pid, flush=True)\n"
        "source.page(1)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "a.pdf")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        pid = int(asking.stdout.readline())
        time.sleep(0.3)
        asking.kill()
    ends = time.monotonic() + 20
    while _is_alive(pid):
        assert time.monotonic() < ends
        time.sleep(0.05)


def _process() -> subprocess.Popen[bytes]:
    assert PDFIUM.running is not None
    return PDFIUM.running.process


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path("/proc", str(pid), "stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
