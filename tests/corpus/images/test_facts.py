"""What an image's bytes say, with a reason for every kind of bytes that say nothing good."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from io import BytesIO

import imagehash
import numpy as np
import pytest
from PIL import Image

from tests.corpus.pictures import encoded, picture, png, png_bomb
from tilewise.corpus.images import facts as image_facts
from tilewise.corpus.images.facts import DecodeLimits, Facts, ImageMeter
from tilewise.errors import ConfigError
from tilewise.sources.decoder import room


@pytest.fixture(scope="module")
def meter() -> Iterator[ImageMeter]:
    found = ImageMeter()
    yield found
    found.close()


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 90}),
        ("JPEG", {"progressive": True}),
        ("WebP", {}),
        ("GIF", {}),
    ],
)
def test_hashes_are_those_of_imagehash(meter: ImageMeter, kind: str, how: dict[str, int]) -> None:
    data = encoded(picture(3), kind, **how)
    (facts,) = meter.measure([data])
    with Image.open(BytesIO(data)) as image:
        assert facts.p_hash == str(imagehash.phash(image))
        assert facts.d_hash == str(imagehash.dhash(image))
    assert (facts.kind, facts.width, facts.height, facts.reason) == (kind, 200, 160, "")
    assert len(facts.p_hash) == len(facts.d_hash) == 16


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK", "YCbCr"])
def test_every_way_to_store_colours_is_decoded(meter: ImageMeter, mode: str) -> None:
    if mode == "I;16":
        grey = np.asarray(picture(5).convert("L")).astype(np.uint16) * 257
        data = encoded(Image.fromarray(grey))
    else:
        kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
        data = encoded(picture(5, mode=mode), kind)
    plain, found = meter.measure([encoded(picture(5, mode="L")), data])
    assert found.reason == ""
    if mode not in ("1", "P"):  # which change the picture itself
        assert _apart(plain.p_hash, found.p_hash) <= 4


def test_signs_drawn_in_transparency_alone_differ(meter: ImageMeter) -> None:
    signs = []
    for seed in (1, 2):
        sign = Image.new("RGBA", (200, 160), (0, 0, 0, 0))
        sign.putalpha(picture(seed).convert("L"))
        signs.append(encoded(sign))
    one, other = meter.measure(signs)
    assert _apart(one.p_hash, other.p_hash) > 10
    assert _apart(one.d_hash, other.d_hash) > 10


def test_of_an_animated_image_the_first_frame_counts(meter: ImageMeter) -> None:
    frames = [picture(seed) for seed in range(3)]
    for kind in ("GIF", "WebP", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        still = encoded(frames[0], kind)
        moving, first = meter.measure([data, still])
        assert moving.is_animated
        assert not first.is_animated
        assert _apart(moving.p_hash, first.p_hash) <= 4


def test_a_photograph_on_its_side_has_the_size_it_is_shown_with(meter: ImageMeter) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (facts,) = meter.measure([encoded(picture(1, 200, 100), "JPEG", exif=exif)])
    assert (facts.width, facts.height) == (100, 200)


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "image_decode", "it is an empty file"),
        (b"<!doctype html><p>gone", "image_decode", "it is HTML"),
        (b"\x00" * 500, "image_decode", "it is of an unknown kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_format", "it is SVG"),
        (b"<?xml version='1.0'?><svg/>", "image_format", "it is SVG"),
        (encoded(picture(), "BMP"), "image_format", "it is BMP"),
        (encoded(picture(), "TIFF"), "image_format", "it is TIFF"),
        (encoded(picture(), "ICO"), "image_format", "it is an icon"),
        (png()[:-200], "image_decode", ""),
        (png()[:30], "image_decode", ""),
        (encoded(picture(), "JPEG")[:900], "image_decode", ""),
        (encoded(picture(), "WebP")[:200], "image_decode", ""),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "image_decode", ""),
        (b"RIFF\x10\0\0\0WEBPVP8 nonsense", "image_decode", ""),
        (b"\xff\xd8\xff\xe0nonsense", "image_decode", ""),
    ],
)
def test_bytes_that_are_no_good_have_a_reason(
    meter: ImageMeter, data: bytes, reason: str, detail: str
) -> None:
    (facts,) = meter.measure([data])
    assert facts.reason == reason
    assert facts.detail.startswith(detail)
    assert facts.detail


def test_a_decompression_bomb_is_known_by_its_header_alone(meter: ImageMeter) -> None:
    bomb = png_bomb(30_000, 1)
    wide = bomb[:16] + (30_000).to_bytes(4, "big") * 2 + bomb[24:]
    began = time.monotonic()
    bombs = meter.measure([_with_crc(wide), png_bomb(20_001, 1), png()])
    assert [facts.reason for facts in bombs] == ["image_too_many_pixels"] * 2 + [""]
    assert (bombs[0].width, bombs[0].height) == (30_000, 30_000)
    assert time.monotonic() - began < 5


def test_an_image_that_takes_too_long_costs_itself_alone() -> None:
    meter = ImageMeter(DecodeLimits(cpu_s=0.1))
    try:
        found = meter.measure([png(), png_bomb(9_000, 9_000)])
    finally:
        meter.close()
    assert [facts.reason for facts in found] == ["", "image_decode"]
    assert found[1].detail == "it takes over 0.1 s of processor time"


def test_an_image_that_takes_too_much_memory_costs_itself_alone() -> None:
    meter = ImageMeter(DecodeLimits(memory_bytes=180 << 20))
    try:
        found = meter.measure([png(), png_bomb(9_000, 9_000), png()])
    finally:
        meter.close()
    assert [facts.reason for facts in found] == ["", "image_decode", ""]


def test_a_decoder_that_crashes_is_started_again(
    meter: ImageMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert meter.measure([png()])[0].reason == ""
    running = meter._decoder.running
    assert running is not None
    os.kill(running.process.pid, 9)
    running.process.wait()
    running.process.returncode = None  # as if nobody had noticed yet
    monkeypatch.setattr(running.process, "poll", lambda: None)
    assert [facts.reason for facts in meter.measure([png(), png(1)])] == ["", ""]


def test_many_images_come_back_in_their_order(meter: ImageMeter) -> None:
    images = [png(n, 100 + n, 90) for n in range(2 * image_facts._BATCH + 3)]
    assert [facts.width for facts in meter.measure(images)] == [100 + n for n in range(len(images))]


def test_pixels_for_scorers_are_small_and_on_white(meter: ImageMeter) -> None:
    clear = encoded(Image.new("RGBA", (300, 600), (9, 9, 9, 0)))
    with room() as file:
        file.write(clear + b"nothing")
        file.flush()
        places = [(0, len(clear)), (len(clear), 7)]
        (facts, pixels), (_, nothing) = meter.draw_file(file, places, 100)
    assert (facts.width, facts.height) == (300, 600)
    assert pixels is not None
    assert pixels.shape == (100, 50, 3)
    assert pixels.min() == 255
    assert nothing is None


def test_limits_that_cannot_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="cpu_s is 0"):
        DecodeLimits(cpu_s=0.0)
    assert Facts(kind="PNG").reason == ""


def _apart(one: str | None, other: str | None) -> int:
    """Bits that differ."""
    assert one is not None
    assert other is not None
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _with_crc(data: bytes) -> bytes:
    """A PNG whose first chunk has a right checksum again."""
    return data[:29] + zlib.crc32(data[12:29]).to_bytes(4, "big") + data[33:]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "GIF"])
def test_damaged_bytes_never_crash_the_decoder(meter: ImageMeter, kind: str) -> None:
    whole, rng = encoded(picture(2, 60, 50), kind), np.random.default_rng(7)
    damaged = []
    for _ in range(150):
        data = bytearray(whole[: rng.integers(20, len(whole) + 1)])
        for at in rng.integers(0, len(data), rng.integers(1, 12)):
            data[at] = rng.integers(0, 256)
        damaged.append(bytes(data))
    for facts in meter.measure(damaged):
        assert facts.reason in ("", "image_decode", "image_format", "image_too_many_pixels")
        assert "crash" not in facts.detail
