"""Image files: pages, limits and damage."""

from __future__ import annotations

import io
import struct
import threading
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.sources.making import pixels_of, png, saved, scene
from tilewise.errors import SourceError
from tilewise.sources.pages import open_source


def _numbered(count: int) -> list[Image.Image]:
    return [Image.new("L", (10 + i, 20), 10 * i) for i in range(count)]


def test_the_pages_of_a_tiff_are_pages_in_any_order() -> None:
    first, *rest = _numbered(5)
    data = saved(first, "TIFF", save_all=True, append_images=rest)
    with open_source(data) as source:
        assert source.count == 5
        assert [source.size(n).width for n in range(1, 6)] == [10, 11, 12, 13, 14]
        for number in (4, 1, 5, 4):
            page = source.page(number)
            assert (page.number, page.total, page.width) == (number, 5, 9 + number)
            assert page.pixels[0, 0, 0] == 10 * (number - 1)
        with pytest.raises(SourceError, match="page 6 was asked for; pages 1 to 5 exist"):
            source.page(6)
        with pytest.raises(SourceError, match="page 0"):
            source.size(0)


def test_reduced_copies_inside_a_tiff_are_no_pages() -> None:
    thumbnail = Image.new("L", (5, 5))
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}  # what Pillow reads for an appended picture
    data = saved(scene(), "TIFF", save_all=True, append_images=[thumbnail])
    with open_source(data) as source, Image.open(io.BytesIO(data)) as stored:
        assert getattr(stored, "n_frames", 1) == 2
        assert source.count == 1


def test_each_page_of_a_tiff_is_turned_by_its_own_orientation() -> None:
    upright, turned = scene(), scene().transpose(Image.Transpose.ROTATE_90)
    turned.encoderinfo = {"tiffinfo": {0x0112: 6}}
    data = saved(upright, "TIFF", save_all=True, append_images=[turned])
    with open_source(data) as source:
        assert source.size(2) == (48, 32, "px")
        for number in (2, 1, 2):
            assert np.array_equal(source.page(number).pixels, np.asarray(scene()))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF", "PNG"])
def test_of_an_animation_the_first_frame_is_the_page(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    with open_source(saved(frames[0], kind, save_all=True, append_images=frames[1:])) as source:
        assert source.count == 1
        red, green, blue = source.page(1).pixels[8, 8].tolist()
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("size", [(1, 20000), (20000, 1), (1, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF"])
def test_thin_and_tiny_pictures_are_pages(size: tuple[int, int], kind: str) -> None:
    assert pixels_of(saved(Image.new("RGB", size, "white"), kind)).shape == (size[1], size[0], 3)


def _huge(kind: str) -> bytes:
    """A file under 1 kB that declares 60,000 x 60,000 pixels."""
    small = saved(Image.new("1" if kind == "BMP" else "L", (8, 8)), kind)
    side = 60_000
    if kind == "PNG":
        return png(side, side, 8, 0, bytes(99))
    if kind == "GIF":
        return small[:6] + struct.pack("<2H", side, side) + small[10:]
    if kind == "BMP":
        return small[:18] + struct.pack("<2i", side, side) + small[26:]
    if kind == "JPEG":
        at = small.index(b"\xff\xc0") + 5
        return small[:at] + struct.pack(">2H", side, side) + small[at + 4 :]
    for tag in (256, 257):
        old = struct.pack("<HHII", tag, 4, 1, 8)
        assert old in small
        small = small.replace(old, struct.pack("<HHII", tag, 4, 1, side))
    return small


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF"])
def test_a_bomb_is_refused_by_its_header(kind: str) -> None:
    data = _huge(kind)
    assert len(data) < 1000
    open_source(saved(scene(), kind)).close()  # decoders load on first use
    start = time.perf_counter()
    with pytest.raises(
        SourceError, match=r"page 1 declares 60000x60000 px; at most [0-9,]+ pixels of this"
    ):
        open_source(data)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "GIF"])
def test_the_limit_is_ours_and_that_of_pillow_stays_as_it_was(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(scene(), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    assert pixels_of(data).shape == (32, 48, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_side_of_two_million_pixels_is_refused() -> None:
    with pytest.raises(SourceError, match="2000000x1 px"):
        open_source(png(2_000_000, 1, 8, 0, b"\0"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [(kind, {}) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")]
    + [("JPEG", {"progressive": True}), ("TIFF", {"compression": "tiff_lzw"})],
    ids=str,
)
def test_a_file_cut_anywhere_is_refused_or_gives_the_whole_picture(
    kind: str, options: dict[str, Any]
) -> None:
    data = saved(Image.effect_noise((40, 30), 90).convert("RGB"), kind, **options)
    whole, refused = pixels_of(data), 0
    cuts = {*range(0, len(data), max(1, len(data) // 150)), *range(len(data) - 30, len(data))}
    for cut in cuts:
        try:
            pixels = pixels_of(data[:cut])
        except SourceError:
            refused += 1
        else:
            assert np.array_equal(pixels, whole), f"cut at {cut} of {len(data)}"
    assert refused > 0.8 * len(cuts)


def test_the_message_for_a_cut_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(saved(Image.effect_noise((40, 30), 90), "PNG")[:300])
    with open_source(path) as source, pytest.raises(SourceError) as caught:
        source.page(1)
    assert str(caught.value) == (
        f"{path}: the PNG data are damaged or cut short (image file is truncated); get the file "
        "again."
    )


def test_warnings_of_pillow_do_not_leak() -> None:
    bad_count = saved(scene(), "PNG").replace(b"IDAT", b"IDAT", 1)
    animation = struct.pack(">I", 8) + b"acTL" + struct.pack(">II", 0, 0)
    animation += struct.pack(">I", zlib.crc32(animation[4:]))
    data = bad_count[:33] + animation + bad_count[33:]
    with pytest.warns(UserWarning, match="Invalid APNG"), Image.open(io.BytesIO(data)) as picture:
        picture.load()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pixels_of(data).shape == (32, 48, 3)


def test_threads_decode_side_by_side() -> None:
    data = {kind: saved(scene(), kind) for kind in ("PNG", "TIFF", "BMP", "GIF")}
    results: list[bool] = []

    def work() -> None:
        for _ in range(10):
            results.extend(pixels_of(file).shape == (32, 48, 3) for file in data.values())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 160
