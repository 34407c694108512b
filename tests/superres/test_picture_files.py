"""Pictures are read with all they have, and written strip by strip."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tilewise.errors import ConfigError, SourceError
from tilewise.sources.colour import to_pixels
from tilewise.superres import deep_png, deep_tiff, png_strips
from tilewise.superres.icc import space_of
from tilewise.superres.pictures import read_picture
from tilewise.superres.png_strips import PngStrips
from tilewise.superres.tiff_strips import TiffStrips

HEIGHT, WIDTH = 70, 53

FFMPEG = {1: "gray16le", 2: "ya16le", 3: "rgb48le", 4: "rgba64le"}
"""What FFmpeg calls 16 bits, by samples."""


def _deep(samples: int = 3) -> NDArray[np.uint16]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [y * (200 + 40 * i) + x * (300 - 30 * i) for i in range(samples)]
    noise = np.random.default_rng(0).integers(0, 3000, (HEIGHT, WIDTH, samples))
    return (np.stack(planes, -1) + noise).astype(np.uint16)


def _ffmpeg_reads(data: bytes, samples: int, bits: int) -> NDArray[np.uint16]:
    with av.open(io.BytesIO(data), "r") as file:
        frame = next(file.decode(video=0))
    assert isinstance(frame, av.VideoFrame)
    assert frame.format.components[0].bits == bits
    plane = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(HEIGHT, -1)
    kind = "u1" if bits == 8 else ">u2" if frame.format.is_big_endian else "<u2"
    row = plane[:, : WIDTH * samples * bits // 8].copy()
    return row.view(kind).reshape(HEIGHT, WIDTH, samples).astype(np.uint16)


def _ffmpeg_writes(values: NDArray[np.uint16], codec: str, **options: str) -> bytes:
    found = io.BytesIO()
    pixels = "rgb48be" if codec == "png" else "rgb48le"
    with av.open(found, "w", format="image2pipe") as file:
        stream: Any = file.add_stream(codec, rate=1, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        frame = av.VideoFrame.from_ndarray(values, format="rgb48le").reformat(format=pixels)
        for packet in (*stream.encode(frame), *stream.encode()):
            file.mux(packet)
    return found.getvalue()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_strips_of_png_and_tiff_are_what_ffmpeg_reads(samples: int, bits: int) -> None:
    values: NDArray[np.uint8] | NDArray[np.uint16] = _deep(samples)
    if bits == 8:
        values = (values >> 8).astype(np.uint8)
    png, tiff = io.BytesIO(), io.BytesIO()
    for out in (
        PngStrips(png, WIDTH, HEIGHT, samples, bits, [png_strips.text("Software", "ours")]),
        TiffStrips(tiff, WIDTH, HEIGHT, samples, bits, {305: "ours"}),
    ):
        for top in range(0, HEIGHT, 13):
            out.write(values[top : top + 13])
        out.close()
    for data in (png.getvalue(), tiff.getvalue()):
        assert (_ffmpeg_reads(data, samples, bits) == values).all()
    with Image.open(png) as picture:
        assert picture.info["Software"] == "ours"
    assert deep_tiff.tags_of(tiff)[305] == "ours"


@pytest.mark.parametrize("flags", ["", "+ildct"], ids=["plain", "interlaced"])
@pytest.mark.parametrize("pred", ["none", "sub", "up", "avg", "paeth", "mixed"])
def test_png_of_16_bits_by_ffmpeg_is_read_whole(pred: str, flags: str) -> None:
    data = io.BytesIO(
        _ffmpeg_writes(_deep(), "png", pred=pred, **({"flags": flags} if flags else {}))
    )
    head = deep_png.head_of(data)
    assert head is not None
    assert head.is_interlaced == bool(flags)
    assert (deep_png.read_deep(data, head) == _deep()).all()


@pytest.mark.parametrize("packing", ["raw", "lzw", "deflate", "packbits"])
def test_tiff_of_16_bits_by_ffmpeg_is_read_whole(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(_ffmpeg_writes(_deep(), "tiff", compression_algo=packing))
    found = read_picture(path)
    assert (found.bits, found.samples) == (16, 3)
    assert (np.rint(found.rows(3, 50) * 65535) == _deep()[3:50]).all()


def test_a_file_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for codec in ("png", "tiff"):
        data = _ffmpeg_writes(_deep(), codec)
        path.write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(SourceError, match="damaged or cut short"):
            read_picture(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_pictures_are_upright_as_pages_are(kind: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    picture = Image.fromarray((_deep() >> 8).astype(np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    picture.save(path, exif=exif)
    found = read_picture(path)
    with Image.open(path) as again:
        wanted = to_pixels(again)
    assert (found.height, found.width) == wanted.shape[:2]
    rows = np.concatenate([found.rows(0, 5), found.rows(5, found.height)])
    assert (np.rint(rows * 255) == wanted).all()


def test_depth_grey_palette_and_transparency_are_seen(tmp_path: Path) -> None:
    grey = Image.fromarray((_deep(1)[..., 0] >> 8).astype(np.uint8))
    colour = Image.fromarray((_deep(3) >> 8).astype(np.uint8))
    pictures = {
        "grey": (grey, 1, 8),
        "bits": (grey.convert("1"), 1, 8),
        "deep": (Image.fromarray(_deep(1)[..., 0]), 1, 16),
        "colour": (colour, 3, 8),
        "palette": (colour.quantize(40), 3, 8),
        "grey palette": (grey.convert("P"), 1, 8),
        "clear": (Image.merge("RGBA", (*colour.split(), grey)), 4, 8),
        "grey clear": (Image.merge("LA", (grey, grey)), 2, 8),
    }
    for name, (picture, samples, bits) in pictures.items():
        path = tmp_path / f"{name}.png"
        picture.save(path)
        found = read_picture(path)
        assert (found.samples, found.bits) == (samples, bits), name
        assert found.rows(0, found.height).shape == (HEIGHT, WIDTH, samples)


def test_cmyk_becomes_srgb_and_says_so(tmp_path: Path) -> None:
    Image.new("CMYK", (6, 4), (255, 0, 0, 0)).save(tmp_path / "a.jpg")
    found = read_picture(tmp_path / "a.jpg")
    assert found.samples == 3
    assert found.notes == ("its CMYK colours are converted to sRGB",)
    assert found.profile is None
    red, green, blue = found.rows(0, 1)[0, 0]
    assert red < 0.2 < green < blue + 0.1


def test_several_frames_are_refused_unless_the_first_is_wanted(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), shade) for shade in (10, 200)]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        path = tmp_path / name
        frames[0].save(path, save_all=True, append_images=frames[1:])
        with pytest.raises(SourceError, match=r"has 2 (frames|pages).*--first"):
            read_picture(path)
        first = read_picture(path, is_first_enough=True).rows(0, 4)
        assert abs(first[..., 0].mean() * 255 - 10) < 5


def test_what_decoding_takes_is_held_against_the_memory(tmp_path: Path) -> None:
    Image.new("RGB", (1000, 1000)).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"1000x1000 px takes 4 MB .*--memory"):
        read_picture(tmp_path / "a.png", memory_bytes=3_000_000)


def _profile(primaries: list[tuple[float, float, float]], gamma: int) -> bytes:
    """A profile of three primaries (XYZ at D50) and a curve of gamma / 256."""

    def fixed(values: tuple[float, ...]) -> bytes:
        return b"".join(round(v * 65536).to_bytes(4, "big", signed=True) for v in values)

    tags = {
        name: b"XYZ " + bytes(4) + fixed(xyz)
        for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    tags[b"wtpt"] = b"XYZ " + bytes(4) + fixed((0.9642, 1.0, 0.8249))
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + gamma.to_bytes(2, "big") + bytes(2)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"cprt"] = b"text" + bytes(4) + b"CC0\0"
    tags[b"desc"] = b"desc" + bytes(4) + (5).to_bytes(4, "big") + b"wide\0" + bytes(79)
    table, data = len(tags).to_bytes(4, "big"), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + (start + len(data)).to_bytes(4, "big") + len(value).to_bytes(4, "big")
        data += value
    head = bytearray(128)
    head[8:12], head[12:24] = b"\x02\x10\0\0", b"mntrRGB XYZ "
    head[36:40], head[68:80] = b"acsp", fixed((0.9642, 1.0, 0.8249))
    head[:4] = (start + len(data)).to_bytes(4, "big")
    return bytes(head) + table + data


DISPLAY_P3 = [(0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841)]


def test_colours_of_a_wide_profile_go_to_srgb_as_lcms_has_them_and_come_back() -> None:
    data = _profile(DISPLAY_P3, 563)
    space = space_of(data)
    assert space is not None
    inside = np.random.default_rng(0).uniform(0.3, 0.7, (1, 200, 3)).astype(np.float32)
    eight = np.rint(inside * 255).astype(np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    wanted = ImageCms.profileToProfile(
        Image.fromarray(eight), ImageCms.ImageCmsProfile(io.BytesIO(data)), srgb
    )
    assert wanted is not None
    found = space.to_srgb(eight.astype(np.float32) / np.float32(255)) * 255
    np.testing.assert_allclose(found, np.asarray(wanted), atol=1.2)
    steps = np.linspace(0, 1, 5, dtype=np.float32)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1)
    assert space.to_srgb(cube).min() < -0.1  # nothing is cut
    # float32 of light near black, where a curve of gamma alone is steepest
    np.testing.assert_allclose(space.from_srgb(space.to_srgb(cube)), cube, atol=6e-4)


def test_srgb_itself_needs_no_way_and_damage_is_told() -> None:
    assert space_of(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()) is None
    for data in (b"", bytes(200), _profile(DISPLAY_P3, 563)[:300]):
        with pytest.raises(ValueError, match=r"primaries|way back"):
            space_of(data)
