"""``tilewise upscale``: what stays of a picture, folders that go on, and bad input."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageCms
from safetensors.torch import load_file, save_file

from tests.superres.making import network
from tests.superres.test_picture_files import DISPLAY_P3, _profile
from tilewise.cli.main import main
from tilewise.superres import deep_png
from tilewise.superres.config import SdanConfig
from tilewise.superres.enlarge import enlarger
from tilewise.superres.files import save
from tilewise.superres.upscale import Upscaling, upscale


def _run(*words: object) -> Result:
    return CliRunner().invoke(main, ["upscale", *map(str, words)])


def _fails(*words: object) -> str:
    done = _run(*words)
    assert done.exit_code == 1, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert done.output.count("\n") == 1, done.output
    assert done.output.startswith("Error: ")
    return done.output


def _photo(width: int = 24, height: int = 16, seed: int = 0) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
    return Image.fromarray((noise + (4 * x + 3 * y)[..., None]).clip(0, 255).astype(np.uint8))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with ``a.png`` alone."""
    folder = tmp_path / "place"
    folder.mkdir()
    _photo().save(folder / "a.png")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny network of scale 2 that gives about what bicubic interpolation does."""
    cfg = SdanConfig(width=4, blocks=0, scale=2, has_skip=True)
    net = network(cfg)
    for parameter in net.out.parameters():
        parameter.data *= 0.01
    return save(tmp_path / "model", net, cfg, {})


@contextmanager
def _no_file_over(size: int) -> Iterator[None]:
    """A disk that takes no more: the system's own refusal of larger files."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_one_picture_to_one_file(place: Path, model: Path) -> None:
    done = _run(place / "a.png", "-o", place / "b.png", "--model", model)
    assert done.exit_code == 0, done.output
    assert done.output == f"{place / 'b.png'}: 24x16 to 48x32 px, {model}\n"
    with Image.open(place / "b.png") as picture:
        assert picture.size == (48, 32)
        assert picture.info["Software"].endswith(f"{model} x2")
    assert _names(place) == ["a.png", "b.png"]


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_profile_exif_and_xmp_stay_and_the_picture_is_turned_once(
    ending: str, place: Path, model: Path
) -> None:
    exif = Image.Exif()
    exif[274], exif[271], exif[305] = 6, "Maker", "Camera 1.0"
    exif[0x8769] = {0xA002: 24, 0xA003: 16, 0x829A: 0.01}
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6" b="c"/></x:xmpmeta>'
    profile = _profile(DISPLAY_P3, 563)
    _photo().save(
        place / "p.jpg", quality=95, exif=exif, xmp=xmp, icc_profile=profile, dpi=(100, 100)
    )
    out = place / f"o.{ending}"
    assert _run(place / "p.jpg", "-o", out, "--model", model).exit_code == 0
    with Image.open(out) as picture:
        picture.load()
        assert picture.size == (32, 48)
        assert picture.info["icc_profile"] == profile
        found = picture.getexif()
        assert found.get(274, 1) == 1
        assert found[271] == "Maker"
        assert found[305].startswith("Camera 1.0; tilewise ")
        inner = found.get_ifd(0x8769)
        assert (inner[0xA002], inner[0xA003]) == (32, 48)
        assert float(inner[0x829A]) == pytest.approx(0.01)
        said = picture.info.get("xmp") or picture.info["XML:com.adobe.xmp"]
        said = said.encode() if isinstance(said, str) else said
        assert b'tiff:Orientation="1" b="c"' in said
        if ending != "webp":  # which knows none
            assert picture.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        wanted = _photo().transpose(Image.Transpose.ROTATE_270).resize((32, 48))
        error = np.asarray(picture.convert("RGB"), float) - np.asarray(wanted, float)
        assert np.abs(error).mean() < 12


def test_stripped_pictures_say_nothing_but_their_colours(place: Path) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    _photo().save(place / "p.png", exif=exif, icc_profile=profile)
    assert _run(place / "p.png", "-o", place / "o.png", "--strip").exit_code == 0
    with Image.open(place / "o.png") as picture:
        picture.load()
        assert set(picture.info) == {"icc_profile"}


def test_sixteen_bits_grey_and_transparency_stay(place: Path, model: Path) -> None:
    values = np.linspace(0, 65535, 20 * 12).reshape(12, 20).astype(np.uint16)
    Image.fromarray(values).save(place / "deep.png")
    words = ("-o", place / "o.png", "--model", model, "--overwrite")
    assert _run(place / "deep.png", *words).exit_code == 0
    with Image.open(place / "o.png") as picture:
        assert picture.mode == "I;16"
        means = np.asarray(picture, float).reshape(12, 2, 20, 2).mean((1, 3))
        assert np.abs(means - values)[1:-1, 1:-1].mean() < 300
        assert len(np.unique(np.asarray(picture))) > 500
    clear = Image.merge("LA", (Image.new("L", (9, 7), 128), Image.new("L", (9, 7), 255)))
    clear.putpixel((0, 0), (0, 0))
    clear.save(place / "clear.png")
    assert _run(place / "clear.png", *words).exit_code == 0
    with Image.open(place / "o.png") as picture:
        assert picture.mode == "LA"


@pytest.mark.parametrize("method", ["network", "bicubic", "lanczos"])
def test_nothing_of_what_is_transparent_shows_at_the_edge(
    method: str, place: Path, model: Path
) -> None:
    """White on transparent black: enlarged, all that is seen at all is still white."""
    picture = Image.new("RGBA", (40, 40))
    picture.paste((255, 255, 255, 255), (10, 10, 31, 31))
    picture.save(place / "w.png")
    how = ("--model", model) if method == "network" else ("--method", method)
    assert _run(place / "w.png", "-o", place / "o.png", *how).exit_code == 0
    with Image.open(place / "o.png") as found:
        values = np.asarray(found)
    seen = values[values[..., 3] > 0]
    assert seen[:, :3].min() >= 250
    assert (values[:12, :12, 3] == 0).all()


def test_cmyk_is_converted_and_says_so(place: Path) -> None:
    Image.new("CMYK", (6, 4), (200, 0, 0, 0)).save(place / "c.jpg")
    done = _run(place / "c.jpg", "-o", place / "o.jpg")
    assert done.exit_code == 0
    assert "its CMYK colours are converted to sRGB" in done.output
    with Image.open(place / "o.jpg") as picture:
        assert picture.mode == "RGB"


def test_one_pixel_and_a_strip_of_one_pixel(place: Path, model: Path) -> None:
    for size in ((1, 1), (1, 200), (30_000, 1)):
        Image.new("RGB", size, (200, 100, 50)).save(place / "one.png")
        words = ("-o", place / "o.png", "--model", model, "--overwrite", "--tile", 4096)
        done = _run(place / "one.png", *words)
        assert done.exit_code == 0, done.output
        with Image.open(place / "o.png") as picture:
            assert picture.size == (2 * size[0], 2 * size[1])


def test_a_folder_keeps_its_tree_and_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "sub").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.jpg", "sub/a.png")):
        _photo(seed=index).save(photos / name)
    (photos / "notes.txt").write_text("no picture")
    done = _run(photos, "-o", out, "--suffix", "_x2")
    assert done.exit_code == 0, done.output
    results = [out / name for name in ("a_x2.png", "b_x2.jpg", "sub/a_x2.png")]
    times = [path.stat().st_mtime_ns for path in results]
    results[1].unlink()
    again = _run(photos, "-o", out, "--suffix", "_x2")
    assert again.exit_code == 0, again.output
    assert "2 of 3 were there already." in again.output
    assert [path.stat().st_mtime_ns for path in results][::2] == times[::2]
    assert results[1].is_file()
    other = _fails(photos, "-o", out, "--suffix", "_x2", "--scale", 3)
    assert "a_x2.png, and 2 more: there already" in other
    assert _run(photos, "-o", out, "--suffix", "_x2", "--scale", 3, "--overwrite").exit_code == 0
    with Image.open(results[0]) as picture:
        assert picture.size == (72, 48)


def test_results_beside_their_pictures_are_not_enlarged_again(place: Path) -> None:
    for count in (1, 2):
        done = _run(place, "-o", place, "--suffix", "_x2")
        assert done.exit_code == 0, done.output
        assert ("1 of 1 were there already." in done.output) == (count == 2)
    assert _names(place) == [".tilewise-upscale.jsonl", "a.png", "a_x2.png"]


def test_a_killed_run_leaves_no_result_and_goes_on(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _photo(900, 900).save(place / "b.png")
    words = [
        sys.executable,
        "-m",
        "tilewise",
        "upscale",
        str(place),
        "-o",
        str(out),
        "--scale",
        "8",
    ]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    part = out / ".b.png.part"
    until = time.monotonic() + 120
    while not (part.exists() and part.stat().st_size > 0) and time.monotonic() < until:
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (out / "b.png").exists()
    (place / "b.png").unlink()
    _photo(40, 40).save(place / "b.png")
    done = _run(place, "-o", out, "--scale", 8)
    assert done.exit_code == 0, done.output
    assert "1 of 2 were there already." in done.output
    assert _names(out) == [".tilewise-upscale.jsonl", "a.png", "b.png"]


def test_a_bad_picture_among_many_does_not_stop_the_others(place: Path, tmp_path: Path) -> None:
    data = (place / "a.png").read_bytes()
    (place / "b.png").write_bytes(data[: len(data) // 2])
    _photo(seed=1).save(place / "c.png")
    done = _run(place, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "b.png: the PNG data are damaged or cut short" in done.output
    assert done.output.endswith("Error: 1 of 3 pictures could not be enlarged.\n")
    assert _names(tmp_path / "out") == [".tilewise-upscale.jsonl", "a.png", "c.png"]


def _animated(place: Path) -> Path:
    frames = [_photo(seed=seed) for seed in (0, 1)]
    frames[0].save(place / "x.gif", save_all=True, append_images=frames[1:])
    return place / "x.gif"


def _large(place: Path) -> Path:
    """30,000 x 30,000 px declared."""
    data = bytearray((place / "a.png").read_bytes())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = crc32(data[12:29]).to_bytes(4, "big")
    (place / "x.png").write_bytes(data)
    return place / "x.png"


def _truncated(place: Path) -> Path:
    data = (place / "a.png").read_bytes()
    (place / "x.png").write_bytes(data[: len(data) // 2])
    return place / "x.png"


def _folder(place: Path) -> str:
    (place / "o.png").mkdir()
    return "o.png"


def _pipe(place: Path) -> str:
    os.mkfifo(place / "o.png")
    return "o.png"


Case = tuple[Callable[[Path], Path], str | Callable[[Path], str], tuple[str | float, ...], str]

BAD: dict[str, Case] = {
    "truncated": (_truncated, "o.png", (), "damaged or cut short"),
    "animated": (_animated, "o.png", (), "has 2 frames"),
    "huge": (_large, "o.png", (), "declares 30000x30000 px"),
    "no picture": (lambda place: place.parent / "place" / ".." / "no.png", "o.png", (), "exist"),
    "same file": (
        lambda place: place / "a.png",
        "a.png",
        (),
        "is a picture that is to be enlarged",
    ),
    "no ending": (lambda place: place / "a.png", "out", (), "the ending is ''"),
    "other ending": (lambda place: place / "a.png", "o.gif", (), "the ending is '.gif'"),
    "no such folder": (lambda place: place / "a.png", "no/o.png", (), "folder does not exist"),
    "a folder": (lambda place: place / "a.png", _folder, (), "is a folder"),
    "a pipe": (lambda place: place / "a.png", _pipe, (), "is a device"),
    "scale 0": (lambda place: place / "a.png", "o.png", ("--scale", 0), "the scale is 0;"),
    "scale 1e9": (lambda place: place / "a.png", "o.png", ("--scale", 1e9), "the scale is 1e"),
    "scale nan": (lambda place: place / "a.png", "o.png", ("--scale", "nan"), "the scale is nan"),
    "memory": (lambda place: place / "a.png", "o.png", ("--memory", "much"), "memory is 'much'"),
    "little memory": (lambda place: place / "a.png", "o.png", ("--memory", "9MB"), "--memory"),
    "tile": (lambda place: place / "a.png", "o.png", ("--tile", -1), "the tile is -1 px"),
    "quality": (lambda place: place / "a.png", "o.jpg", ("--quality", 0), "the quality is 0"),
    "no model": (lambda place: place / "a.png", "o.png", ("--model", "x9"), "x9"),
    "two ways": (
        lambda place: place / "a.png",
        "o.png",
        ("--model", "x2", "--method", "bicubic"),
        "leave one of them out",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_leaves_no_file(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out, words, wanted = BAD[name]
    monkeypatch.chdir(place)
    picture = source(place)
    target = out if isinstance(out, str) else out(place)
    before = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
    said = _fails(picture, "-o", target, *words)
    assert any(part in said for part in wanted.split("|")), said
    assert {path: path.read_bytes() for path in place.iterdir() if path.is_file()} == before


def test_results_of_one_name_are_refused_before_any_work(place: Path, tmp_path: Path) -> None:
    _photo().save(place / "a.jpg")
    said = _fails(place, "-o", tmp_path / "out", "--format", "png")
    assert "would both be written to" in said
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_there_is_kept_unless_it_may_go(place: Path) -> None:
    (place / "o.png").write_text("mine")
    assert "there already" in _fails(place / "a.png", "-o", place / "o.png")
    assert (place / "o.png").read_text() == "mine"
    assert _run(place / "a.png", "-o", place / "o.png", "--overwrite").exit_code == 0


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp"])
def test_a_full_disk_is_one_sentence_and_leaves_no_file(ending: str, place: Path) -> None:
    _photo(300, 300).save(place / "a.png")
    with _no_file_over(5000):
        said = _fails(place / "a.png", "-o", place / f"o.{ending}")
    assert f"o.{ending}: cannot be written (File too large); make room" in said
    assert _names(place) == ["a.png"]


def test_an_interrupt_leaves_nothing(place: Path) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    settings = Upscaling(factor=2, memory_bytes=1 << 32)
    target = place / "o.png"
    with pytest.raises(KeyboardInterrupt):
        upscale(
            place / "a.png", target, "PNG", enlarger("bicubic", 2), settings, progress=interrupted
        )
    assert _names(place) == ["a.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(place: Path) -> None:
    (place / "shut").mkdir(mode=0o500)
    assert "cannot be written (Permission denied)" in _fails(
        place / "a.png", "-o", place / "shut" / "o.png"
    )


def test_weights_that_are_no_numbers_are_refused(place: Path, model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, model / "model.safetensors")
    (model / "manifest.json").unlink()
    said = _fails(place / "a.png", "-o", place / "o.png", "--model", model)
    assert "no finite numbers" in said
    assert _names(place) == ["a.png"]


def test_a_network_that_overflows_names_the_tile_and_leaves_no_file(
    place: Path, model: Path
) -> None:
    tensors = load_file(model / "model.safetensors")
    for tensor in tensors.values():
        tensor.fill_(3e38)
    save_file(tensors, model / "model.safetensors")
    (model / "manifest.json").unlink()
    said = _fails(place / "a.png", "-o", place / "o.png", "--model", model)
    assert "a.png: tile 1 of 1" in said
    assert "no numbers" in said
    assert _names(place) == ["a.png"]


def test_colours_of_a_wide_profile_do_not_change(place: Path, model: Path) -> None:
    wide = Image.new("RGB", (30, 30), (255, 20, 10))
    wide.save(place / "p3.png", icc_profile=_profile(DISPLAY_P3, 563))
    assert _run(place / "p3.png", "-o", place / "o.png", "--model", model).exit_code == 0
    with Image.open(place / "o.png") as picture:
        assert picture.info["icc_profile"] == _profile(DISPLAY_P3, 563)
        values = np.asarray(picture)[20:40, 20:40].astype(int)
    assert np.abs(values - [255, 20, 10]).max() <= 12


def test_sixteen_bit_colours_with_transparency_pass_through(place: Path) -> None:
    from tilewise.superres.png_strips import PngStrips

    values = np.random.default_rng(0).integers(0, 65535, (12, 9, 4)).astype(np.uint16)
    values[..., 3] = 65535
    with (place / "deep.png").open("wb") as file:
        out = PngStrips(file, 9, 12, 4, 16)
        out.write(values)
        out.close()
    assert _run(place / "deep.png", "-o", place / "o.png", "--scale", 1).exit_code == 0
    with (place / "o.png").open("rb") as found:
        head = deep_png.head_of(found)
        assert head is not None
        assert (head.bits, head.colour) == (16, 6)
        assert (deep_png.read_deep(found, head) == values).all()


def test_the_record_is_a_line_for_each_result(place: Path, tmp_path: Path) -> None:
    _run(place, "-o", tmp_path / "out")
    line = json.loads((tmp_path / "out" / ".tilewise-upscale.jsonl").read_text())
    assert line["name"] == "a.png"
    assert line["facts"][-1] == (tmp_path / "out" / "a.png").stat().st_size
