"""Colours, depths, transparency and orientation come out as a viewer shows them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.sources.making import pixels_of, png, saved, scene
from tilewise.sources.pages import open_source

_STORED_AS = {
    # orientation -> what a camera does to the upright picture before it stores it
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", _STORED_AS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_every_exif_orientation_gives_the_same_upright_page(orientation: int, kind: str) -> None:
    turn = _STORED_AS[orientation]
    stored = scene() if turn is None else scene().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, kind, exif=exif, **({} if kind in ("PNG", "TIFF") else {"quality": 95}))
    with open_source(data) as source:
        assert source.size(1) == (48, 32, "px")
        pixels = source.page(1).pixels
    distance = np.abs(pixels.astype(int) - np.asarray(scene())).mean()
    assert distance == 0 if kind in ("PNG", "TIFF") else distance < 6


def test_a_pil_image_with_an_orientation_is_turned_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("PNG", "TIFF"):
        data = saved(scene().transpose(Image.Transpose.ROTATE_90), kind, exif=exif)
        with Image.open(io.BytesIO(data)) as picture:
            assert np.array_equal(pixels_of(picture), np.asarray(scene()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_exif_block_leaves_the_picture_as_stored(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = saved(scene(), kind, exif=b"Exif\0\0" + b"XX not a header")
    assert pixels_of(data).shape == (32, 48, 3)
    if kind != "JPEG":  # Pillow reads that one by itself, and passes over the damage
        assert "EXIF data are damaged" in caplog.text


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_transparent_parts_are_white(kind: str) -> None:
    picture = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    picture.paste((0, 0, 200, 255), (0, 0, 16, 32))
    pixels = pixels_of(
        saved(picture, kind, **({} if kind in ("PNG", "TIFF") else {"quality": 100}))
    )
    assert np.abs(pixels[16, 4].astype(int) - (0, 0, 200)).max() < 8
    assert pixels[16, 28].min() > 250


def test_half_transparent_grey_is_mixed_with_white() -> None:
    assert pixels_of(saved(Image.new("LA", (4, 4), (0, 128)), "PNG"))[0, 0].tolist() == [127] * 3


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_the_transparent_entry_of_a_palette_is_white(kind: str) -> None:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([9, 9, 9, 10, 200, 30, 0, 0, 0])
    picture.paste(2, (0, 0, 4, 8))
    pixels = pixels_of(saved(picture, kind, transparency=2))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 7].tolist() == [10, 200, 30]


def test_a_palette_with_an_alpha_for_every_entry_is_mixed_with_white() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 0])
    picture.putpixel((1, 0), 1)
    assert pixels_of(saved(picture, "PNG", transparency=b"\x80\x00"))[0].tolist() == [
        [255, 127, 127],
        [255, 255, 255],
    ]


def test_a_see_through_colour_is_white_at_every_depth() -> None:
    rgb8 = png(2, 1, 8, 2, b"\0" + bytes([1, 2, 3, 9, 8, 7]), (b"tRNS", b"\0\1\0\2\0\3"))
    assert pixels_of(rgb8)[0].tolist() == [[255, 255, 255], [9, 8, 7]]
    grey16 = png(2, 1, 16, 0, b"\0" + struct.pack(">2H", 300, 32896), (b"tRNS", b"\x01\x2c"))
    assert pixels_of(grey16)[0, :, 0].tolist() == [255, 128]
    clear = struct.pack(">3H", 0x1234, 0xFF00, 0x8001)
    rgb16 = png(2, 1, 16, 2, b"\0" + clear + struct.pack(">3H", 0, 0, 0), (b"tRNS", clear))
    assert pixels_of(rgb16)[0].tolist() == [[255, 255, 255], [0, 0, 0]]


RAMP = np.arange(0, 65536, 257, dtype=np.uint16)[None].repeat(2, 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_cut(kind: str) -> None:
    pixels = pixels_of(saved(Image.fromarray(RAMP), kind))
    assert np.array_equal(
        pixels, np.arange(256, dtype=np.uint8)[None, :, None].repeat(2, 0).repeat(3, 2)
    )


def test_16_bit_rgb_is_scaled_not_cut() -> None:
    rows = b"".join(b"\0" + np.stack([r, r[::-1], r], -1).astype(">u2").tobytes() for r in RAMP)
    pixels = pixels_of(png(256, 2, 16, 2, rows))
    ramp = np.arange(256)
    assert np.array_equal(pixels[1], np.stack([ramp, ramp[::-1], ramp], -1))


def test_16_bit_grey_with_alpha_is_scaled_not_cut() -> None:
    row = np.stack([RAMP[0], np.full(256, 65535)], -1).astype(">u2").tobytes()
    assert pixels_of(png(256, 1, 16, 4, b"\0" + row))[0, :, 0].tolist() == list(range(256))


def _grey_tiff(bits: int, photometric: int, data: bytes, width: int, order: str = "<") -> bytes:
    """One row of grey, uncompressed, tag by tag (TIFF 6.0)."""
    tags = [(256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 110)]
    tags += [(277, 1), (278, 1)]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags) + 1)
    entries = b"".join(struct.pack(order + "HHIHH", t, 3, 1, v, 0) for t, v in tags)
    entries += struct.pack(order + "HHII", 279, 4, 1, len(data))
    body = head + entries + struct.pack(order + "I", 0)
    return (
        body.ljust(122, b"\0").replace(
            struct.pack(order + "HHIHH", 273, 3, 1, 110, 0),
            struct.pack(order + "HHIHH", 273, 3, 1, 122, 0),
        )
        + data
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_of_either_byte_order(order: str) -> None:
    data = np.array([0, 128 * 257, 65535], order + "u2").tobytes()
    assert pixels_of(_grey_tiff(16, 1, data, 3, order))[0, :, 0].tolist() == [0, 128, 255]


def test_16_bit_tiff_in_which_zero_is_white() -> None:
    data = np.array([0, 128 * 257, 65535], "<u2").tobytes()
    assert pixels_of(_grey_tiff(16, 0, data, 3))[0, :, 0].tolist() == [255, 127, 0]


def test_12_bit_tiff_is_scaled_by_its_own_depth() -> None:
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xFF, 0xFF])  # 0, 2048, 4095, 4095
    assert pixels_of(_grey_tiff(12, 1, packed, 4))[0, :, 0].tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([0.0, 32896.0, 65535.0], [0, 128, 255]),
        ([-5.0, 0.0, 5.0], [0, 128, 255]),
        ([7e8, 7e8, 7e8], [0, 0, 0]),
        ([0.0, float("nan"), 1.0], [0, 0, 255]),
    ],
    ids=str,
)
def test_floating_grey_is_scaled_by_its_range(values: list[float], expected: list[int]) -> None:
    picture = Image.fromarray(np.array([values], np.float32))
    for source in (picture, saved(picture, "TIFF")):
        assert pixels_of(source)[0, :, 0].tolist() == expected


def test_32_bit_grey_is_scaled_by_its_range() -> None:
    picture = Image.fromarray(np.array([[0, 32896, 65535]], np.int32))
    assert pixels_of(saved(picture, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_pictures_are_black_and_white(kind: str) -> None:
    picture = Image.new("1", (9, 2), 1)
    picture.putpixel((0, 0), 0)
    pixels = pixels_of(saved(picture, kind))
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[1].min() == 255


def test_cmyk_jpeg_as_photoshop_writes_it_is_not_inverted() -> None:
    # Pillow stores CMYK inverted with an Adobe marker, as Photoshop does
    data = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert b"Adobe" in data
    red, green, blue = pixels_of(data)[8, 8].tolist()
    assert red > 240
    assert max(green, blue) < 15


def test_cmyk_tiff_without_ink_is_white() -> None:
    picture = Image.new("CMYK", (4, 4), (0, 0, 0, 0))
    picture.putpixel((0, 0), (0, 0, 0, 255))
    pixels = pixels_of(saved(picture, "TIFF"))
    assert pixels[3, 3].tolist() == [255, 255, 255]
    assert pixels[0, 0].tolist() == [0, 0, 0]


def test_lab_tiff_becomes_srgb() -> None:
    picture = Image.new("LAB", (4, 1))
    # white, sRGB red (L*a*b* 53, 80, 67) and black; Pillow adds 128 to a* and b* in memory
    for x, lab in enumerate([(255, 128, 128), (136, 208, 195), (0, 128, 128)]):
        picture.putpixel((x, 0), lab)
    data = saved(picture, "TIFF")
    assert bytes([255, 0, 0, 136, 80, 67, 0, 0, 0]) in data  # signed bytes, as TIFF 6.0 says
    white, red, black = pixels_of(data)[0, :3].astype(int)
    assert white.min() >= 253
    assert red[0] > 245
    assert red[1:].max() < 40
    assert black.max() <= 2


def _matrix_profile(swap: bool = False, gamma: float = 1.0) -> bytes:
    """A small RGB matrix profile (ICC.1:2001-04): linear, or with red and blue exchanged."""
    colorants = {b"rXYZ": (0.4361, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971)}
    colorants[b"bXYZ"] = (0.1431, 0.0606, 0.7141)
    if swap:
        colorants[b"rXYZ"], colorants[b"bXYZ"] = colorants[b"bXYZ"], colorants[b"rXYZ"]

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {tag: xyz(value) for tag, value in colorants.items()}
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve, b"wtpt": xyz((0.9642, 1, 0.8249))}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def _cyan_is_green_profile() -> bytes:
    """A CMYK table profile (lut16Type) of two steps an ink, in which cyan ink looks green."""
    lab = []
    for corner in range(16):
        cyan, other = corner & 8, corner & 7
        lab += [0, 0x8000, 0x8000] if other else [0x8000, 0x4000, 0xB000] if cyan else []
        lab += [] if corner else [0xFF00, 0x8000, 0x8000]
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + struct.pack(">2H", 2, 2)
    table += struct.pack(">2H", 0, 65535) * 4 + struct.pack(">48H", *lab)
    table += struct.pack(">2H", 0, 65535) * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def _profile(use: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2.4, of these tags."""
    text = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"t\0" + bytes(79)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0x\0\0\0", **tags}
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        table += tag + struct.pack(">II", offset + len(data), len(value))
        data += padded
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4xI4s4s4s", 128 + len(body), 0x02400000, use, space, pcs)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + body


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_colours_go_through_the_profile_of_the_file(kind: str) -> None:
    options = {} if kind in ("PNG", "TIFF") else {"quality": 95}
    data = saved(
        Image.new("RGB", (16, 16), (250, 10, 10)),
        kind,
        icc_profile=_matrix_profile(True),
        **options,
    )
    red, green, blue = pixels_of(data)[8, 8].tolist()
    assert blue > 245
    assert max(red, green) < 80


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_go_through_the_profile_of_the_file(kind: str) -> None:
    picture = Image.new("CMYK", (32, 16), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 0), (0, 0, 16, 16))
    data = saved(picture, kind, icc_profile=_cyan_is_green_profile())
    red, green, blue = pixels_of(data)[8, 8].astype(int)
    assert green > max(red, blue) + 60
    assert pixels_of(data)[8, 28].min() > 250


def test_a_linear_profile_brightens_middle_grey() -> None:
    data = saved(Image.new("RGB", (4, 4), (55, 55, 55)), "PNG", icc_profile=_matrix_profile())
    assert np.abs(pixels_of(data)[0, 0].astype(int) - 128).max() <= 2  # sRGB of 55/255 is 0.5
    grey = saved(Image.new("L", (4, 4), 55), "PNG", icc_profile=_matrix_profile())
    assert np.abs(pixels_of(grey)[0, 0].astype(int) - 128).max() <= 2


def test_alpha_survives_a_profile() -> None:
    picture = Image.new("RGBA", (4, 4), (250, 10, 10, 0))
    picture.putpixel((0, 0), (250, 10, 10, 255))
    pixels = pixels_of(saved(picture, "PNG", icc_profile=_matrix_profile(True)))
    assert pixels[0, 0, 2] > 245
    assert pixels[3, 3].tolist() == [255, 255, 255]


def test_the_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(scene(), "PNG", icc_profile=profile)
    assert np.array_equal(pixels_of(data), np.asarray(scene()))


@pytest.mark.parametrize(
    ("mode", "profile"), [("RGB", b"no profile at all"), ("CMYK", _matrix_profile(True))]
)
def test_a_profile_that_does_not_fit_is_said_and_left_out(
    mode: str, profile: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    data = saved(scene().convert(mode), "TIFF", icc_profile=profile)
    assert np.array_equal(pixels_of(data), np.asarray(scene().convert(mode).convert("RGB")))
    assert "taken as sRGB" in caplog.text


def test_the_bands_of_a_large_picture_join_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (3000, 1500, 3), np.uint8)
    assert np.array_equal(pixels_of(Image.fromarray(array).convert("RGBA")), array)
