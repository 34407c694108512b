"""``tilewise upscale``: what stays of a picture, folders that go on, and bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.cli.upscaling import fails, names, photo, run
from tests.superres.test_picture_files import DISPLAY_P3, _profile
from tilewise.superres import deep_png


def test_one_picture_to_one_file(place: Path, model: Path) -> None:
    done = run(place / "a.png", "-o", place / "b.png", "--model", model)
    assert done.exit_code == 0, done.output
    assert done.output == f"{place / 'b.png'}: 24x16 to 48x32 px, {model}\n"
    with Image.open(place / "b.png") as picture:
        assert picture.size == (48, 32)
        assert picture.info["Software"].endswith(f"{model} x2")
    assert names(place) == ["a.png", "b.png"]


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_profile_exif_and_xmp_stay_and_the_picture_is_turned_once(
    ending: str, place: Path, model: Path
) -> None:
    exif = Image.Exif()
    exif[274], exif[271], exif[305] = 6, "Maker", "Camera 1.0"
    exif[0x8769] = {0xA002: 24, 0xA003: 16, 0x829A: 0.01}
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6" b="c"/></x:xmpmeta>'
    profile = _profile(DISPLAY_P3, 563)
    photo().save(
        place / "p.jpg", quality=95, exif=exif, xmp=xmp, icc_profile=profile, dpi=(100, 100)
    )
    out = place / f"o.{ending}"
    assert run(place / "p.jpg", "-o", out, "--model", model).exit_code == 0
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
        wanted = photo().transpose(Image.Transpose.ROTATE_270).resize((32, 48))
        error = np.asarray(picture.convert("RGB"), float) - np.asarray(wanted, float)
        assert np.abs(error).mean() < 12


def test_stripped_pictures_say_nothing_but_their_colours(place: Path) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo().save(place / "p.png", exif=exif, icc_profile=profile)
    assert run(place / "p.png", "-o", place / "o.png", "--strip").exit_code == 0
    with Image.open(place / "o.png") as picture:
        picture.load()
        assert set(picture.info) == {"icc_profile"}


def test_sixteen_bits_grey_and_transparency_stay(place: Path, model: Path) -> None:
    values = np.linspace(0, 65535, 20 * 12).reshape(12, 20).astype(np.uint16)
    Image.fromarray(values).save(place / "deep.png")
    words = ("-o", place / "o.png", "--model", model, "--overwrite")
    assert run(place / "deep.png", *words).exit_code == 0
    with Image.open(place / "o.png") as picture:
        assert picture.mode == "I;16"
        means = np.asarray(picture, float).reshape(12, 2, 20, 2).mean((1, 3))
        assert np.abs(means - values)[1:-1, 1:-1].mean() < 300
        assert len(np.unique(np.asarray(picture))) > 500
    clear = Image.merge("LA", (Image.new("L", (9, 7), 128), Image.new("L", (9, 7), 255)))
    clear.putpixel((0, 0), (0, 0))
    clear.save(place / "clear.png")
    assert run(place / "clear.png", *words).exit_code == 0
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
    assert run(place / "w.png", "-o", place / "o.png", *how).exit_code == 0
    with Image.open(place / "o.png") as found:
        values = np.asarray(found)
    seen = values[values[..., 3] > 0]
    assert seen[:, :3].min() >= 250
    assert (values[:12, :12, 3] == 0).all()


def test_cmyk_is_converted_and_says_so(place: Path) -> None:
    Image.new("CMYK", (6, 4), (200, 0, 0, 0)).save(place / "c.jpg")
    done = run(place / "c.jpg", "-o", place / "o.jpg")
    assert done.exit_code == 0
    assert "its CMYK colours are converted to sRGB" in done.output
    with Image.open(place / "o.jpg") as picture:
        assert picture.mode == "RGB"


def test_one_pixel_and_a_strip_of_one_pixel(place: Path, model: Path) -> None:
    for size in ((1, 1), (1, 200), (30_000, 1)):
        Image.new("RGB", size, (200, 100, 50)).save(place / "one.png")
        words = ("-o", place / "o.png", "--model", model, "--overwrite", "--tile", 4096)
        done = run(place / "one.png", *words)
        assert done.exit_code == 0, done.output
        with Image.open(place / "o.png") as picture:
            assert picture.size == (2 * size[0], 2 * size[1])


def test_a_folder_keeps_its_tree_and_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "sub").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.jpg", "sub/a.png")):
        photo(seed=index).save(photos / name)
    (photos / "notes.txt").write_text("no picture")
    done = run(photos, "-o", out, "--suffix", "_x2")
    assert done.exit_code == 0, done.output
    results = [out / name for name in ("a_x2.png", "b_x2.jpg", "sub/a_x2.png")]
    times = [path.stat().st_mtime_ns for path in results]
    results[1].unlink()
    again = run(photos, "-o", out, "--suffix", "_x2")
    assert again.exit_code == 0, again.output
    assert "2 of 3 were there already." in again.output
    assert [path.stat().st_mtime_ns for path in results][::2] == times[::2]
    assert results[1].is_file()
    other = fails(photos, "-o", out, "--suffix", "_x2", "--scale", 3)
    assert "a_x2.png, and 2 more: there already" in other
    assert run(photos, "-o", out, "--suffix", "_x2", "--scale", 3, "--overwrite").exit_code == 0
    with Image.open(results[0]) as picture:
        assert picture.size == (72, 48)


def test_results_beside_their_pictures_are_not_enlarged_again(place: Path) -> None:
    for count in (1, 2):
        done = run(place, "-o", place, "--suffix", "_x2")
        assert done.exit_code == 0, done.output
        assert ("1 of 1 were there already." in done.output) == (count == 2)
    assert names(place) == [".tilewise-upscale.jsonl", "a.png", "a_x2.png"]


@pytest.mark.parametrize(
    ("kind", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_run_that_was_stopped_leaves_no_result_and_goes_on(
    kind: signal.Signals, status: int, place: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    photo(900, 900).save(place / "b.png")
    how = ("-o", str(out), "--scale", "8", "--method", "bicubic")
    words = [sys.executable, "-m", "tilewise", "upscale", str(place), *how]
    said = tmp_path / "said"
    with said.open("wb") as file:
        child = subprocess.Popen(words, stdout=file, stderr=file, preexec_fn=_heed_ctrl_c)
    part = out / ".b.png.part"
    until = time.monotonic() + 300
    while not (part.exists() and part.stat().st_size > 0) and time.monotonic() < until:
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(kind)
    child.wait()
    assert not (out / "b.png").exists()
    assert child.returncode == status
    assert part.exists() == (kind == signal.SIGKILL)
    assert "Traceback" not in said.read_text()
    (place / "b.png").unlink()
    photo(40, 40).save(place / "b.png")
    done = run(place, *how)
    assert done.exit_code == 0, done.output
    assert "1 of 2 were there already." in done.output
    assert names(out) == [".tilewise-upscale.jsonl", "a.png", "b.png"]


def _heed_ctrl_c() -> None:
    """Jobs in the background ignore it, and so would a child of theirs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_files_of_other_kinds_in_a_folder_are_counted(place: Path, tmp_path: Path) -> None:
    (place / "notes.txt").write_text("no picture")
    (place / "page.html").write_text("<!DOCTYPE html><p>no picture")
    (place / "data.bin").write_bytes(bytes(range(1, 200)))
    done = run(place, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "Left out, as they are no pictures: 3 in folders." in done.output
    assert names(tmp_path / "out") == [".tilewise-upscale.jsonl", "a.png"]


def test_a_name_may_be_as_long_as_the_system_takes(place: Path) -> None:
    target = place / f"{'é' * 125}.png"
    done = run(place / "a.png", "-o", target)
    assert done.exit_code == 0, done.output
    assert names(place) == sorted(["a.png", target.name])


def test_a_bad_picture_among_many_does_not_stop_the_others(place: Path, tmp_path: Path) -> None:
    data = (place / "a.png").read_bytes()
    (place / "b.png").write_bytes(data[: len(data) // 2])
    photo(seed=1).save(place / "c.png")
    done = run(place, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "b.png: the PNG data are damaged or cut short" in done.output
    assert done.output.endswith("Error: 1 of 3 pictures could not be enlarged.\n")
    assert names(tmp_path / "out") == [".tilewise-upscale.jsonl", "a.png", "c.png"]


def test_colours_of_a_wide_profile_do_not_change(place: Path, model: Path) -> None:
    wide = Image.new("RGB", (30, 30), (255, 20, 10))
    wide.save(place / "p3.png", icc_profile=_profile(DISPLAY_P3, 563))
    assert run(place / "p3.png", "-o", place / "o.png", "--model", model).exit_code == 0
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
    assert run(place / "deep.png", "-o", place / "o.png", "--scale", 1).exit_code == 0
    with (place / "o.png").open("rb") as found:
        head = deep_png.head_of(found)
        assert head is not None
        assert (head.bits, head.colour) == (16, 6)
        assert (deep_png.read_deep(found, head) == values).all()


def test_the_record_is_a_line_for_each_result(place: Path, tmp_path: Path) -> None:
    run(place, "-o", tmp_path / "out")
    line = json.loads((tmp_path / "out" / ".tilewise-upscale.jsonl").read_text())
    assert line["name"] == "a.png"
    assert line["facts"][-1] == (tmp_path / "out" / "a.png").stat().st_size
