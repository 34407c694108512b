"""Damaged files give pages or one SourceError, in bounded time, and nothing else."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.sources.making import LEFT_HALF_RED, pdf, saved, scene
from tilewise.errors import SourceError
from tilewise.sources.pages import open_source

_FILES = {kind: saved(scene(), kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "AVIF")}
_FILES["PNG palette"] = saved(scene().convert("P"), "PNG", transparency=3)
_FILES["TIFF pages"] = saved(scene(), "TIFF", save_all=True, append_images=[scene()] * 2)
_FILES["TIFF packed"] = saved(scene(), "TIFF", compression="tiff_lzw")
_FILES["TIFF CMYK"] = saved(scene().convert("CMYK"), "TIFF")
_FILES["JPEG CMYK"] = saved(scene().convert("CMYK"), "JPEG")
_FILES["PDF"] = pdf("BT /F 40 Tf 20 30 Td (Total) Tj ET", LEFT_HALF_RED)

_EDITS = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=6)


def _damaged(data: bytes, edits: list[tuple[float, bytes]], cut: float | None) -> bytes:
    out = bytearray(data)
    for place, replacement in edits:
        start = int(place * (len(out) - 1))
        out[start : start + len(replacement)] = replacement
    return bytes(out) if cut is None else bytes(out[: int(cut * len(out))])


@pytest.mark.parametrize("kind", _FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=_EDITS, cut=st.none() | st.floats(0, 1), in_header=st.booleans())
@example(edits=[(0.125, b"\x05")], cut=None, in_header=True)  # EXIF data that end too early
def test_damage_gives_pages_or_one_sentence(
    kind: str, edits: list[tuple[float, bytes]], cut: float | None, in_header: bool
) -> None:
    if in_header:
        edits = [(place * 80 / len(_FILES[kind]), bytes_) for place, bytes_ in edits]
    message, start = "", time.perf_counter()
    try:
        with open_source(_damaged(_FILES[kind], edits, cut)) as source:
            for number in range(1, min(source.count, 5) + 1):
                width, height, unit = source.size(number)
                if width * height < 4e6:
                    page = source.page(number, lambda w, h: (100, 50))
                    assert unit == "pt" or (page.width, page.height) == (width, height)
    except SourceError as err:
        message = str(err)
    assert "\n" not in message
    assert " at 0x" not in message
    assert time.perf_counter() - start < 5


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_give_pages_or_one_sentence(data: bytes) -> None:
    message = ""
    try:
        open_source(data).close()
    except SourceError as err:
        message = str(err)
    assert "\n" not in message
