"""Images are enlarged to any factor, tile by tile as at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tests.superres.making import TINY, network
from tilewise.errors import ConfigError, TilewiseError, WeightsError
from tilewise.records import Page
from tilewise.superres.config import SdanConfig
from tilewise.superres.enlarge import enlarge, enlarged_page, enlarger, new_size
from tilewise.superres.enlargers import Enlarger, Interpolation, NetworkEnlarger
from tilewise.superres.resample import Floats, Kernel, resize, resize_rows, taps
from tilewise.superres.tiles import Work, plan, strips


def _network(scale: int) -> NetworkEnlarger:
    cfg = SdanConfig(width=TINY.width, blocks=1, scale=scale, has_skip=True)
    return NetworkEnlarger(network(cfg).eval(), "tiny")


def _noise(height: int, width: int, samples: int = 3, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((height, width, samples), dtype=np.float32)


def _tiled(image: Floats, factor: float, by: Enlarger, tile: int) -> Floats:
    height, width, samples = image.shape
    size = (height, width, samples)
    chosen = plan(size, new_size(height, width, factor), by, 1 << 30, tile)
    return np.concatenate(list(strips(lambda a, b: image[a:b], chosen, by, Work())))


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
@pytest.mark.parametrize("sizes", [(7, 5, 14, 10), (13, 1, 39, 3), (50, 40, 33, 61), (1, 1, 4, 4)])
def test_resizing_is_pillows_in_float(kernel: Kernel, sizes: tuple[int, int, int, int]) -> None:
    height, width, rows, cols = sizes
    image = _noise(height, width)
    pillow = Image.Resampling.BICUBIC if kernel == "bicubic" else Image.Resampling.LANCZOS
    planes = [Image.fromarray(image[..., i]).resize((cols, rows), pillow) for i in range(3)]
    found = resize(image, rows, cols, kernel)
    np.testing.assert_allclose(found, np.stack([np.asarray(p) for p in planes], -1), atol=1e-6)


@pytest.mark.parametrize("rows", [20, 91])
def test_any_rows_of_a_resized_image_are_those_of_the_whole(rows: int) -> None:
    image = _noise(41, 6)
    down = taps(41, rows, "lanczos")
    whole = resize_rows(image, 0, down, 0, rows)
    for start in range(0, rows, 7):
        stop = min(start + 7, rows)
        low, high = down.span(start, stop)
        part = resize_rows(image[low:high], low, down, start, stop)
        np.testing.assert_allclose(part, whole[start:stop], atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [2, 4])
def test_tiles_give_what_the_whole_image_gives(scale: int, samples: int) -> None:
    by = _network(scale)
    for height, width in ((1, 1), (1, 39), (25, 1), (31, 47)):
        image = _noise(height, width, samples)
        if samples in (2, 4):
            image[height // 2 :, :, -1] = 0.5
        for factor in (scale, 1.37, 1.5 * scale):
            whole = _tiled(image, factor, by, 512)
            for tile in (7, 16):
                np.testing.assert_allclose(_tiled(image, factor, by, tile), whole, atol=2e-6)


@pytest.mark.parametrize("name", ["x2", "x4"])
def test_an_even_image_has_no_line_around_it(name: str) -> None:
    by = enlarger(name, 2 if name == "x2" else 4)
    made = enlarge(np.full((20, 33, 3), 0.95, np.float32), by.scale, by)
    assert made.max() - made.min() < 0.5 / 255


def test_beyond_its_borders_an_image_is_mirrored() -> None:
    by, image = _network(2), _noise(40, 30)
    mirrored = np.pad(image, ((16, 16), (16, 16), (0, 0)), "reflect")
    inner = (slice(2 * 16, -2 * 16), slice(2 * 16, -2 * 16))
    assert by.radius <= 16
    np.testing.assert_allclose(_tiled(image, 2, by, 512), by(mirrored)[inner], atol=2e-6)


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
def test_interpolation_by_strips_is_that_of_the_whole_image(kernel: Kernel) -> None:
    image = _noise(23, 17)
    for factor in (0.4, 1.0, 1.7, 3.0):
        by = Interpolation(kernel, 3)
        np.testing.assert_allclose(
            _tiled(image, factor, by, 5), _tiled(image, factor, by, 512), atol=1e-6
        )


def test_a_tile_of_a_network_sees_as_far_as_its_overlap() -> None:
    by = _network(2)
    image = _noise(3 * by.radius, 9)
    changed = image.copy()
    changed[0] = 1 - changed[0]
    differs = np.abs(by(image) - by(changed)).max((1, 2)) > 0
    assert differs.nonzero()[0].max() < 2 * (by.radius + 1)


@pytest.mark.parametrize("name", ["bicubic", "lanczos"])
def test_interpolation_shifts_nothing(name: str) -> None:
    """Means over the pixels that each pixel became are the image, but for what curves add."""
    slope = np.linspace(0, 1, 40, dtype=np.float32)
    image = np.broadcast_to(slope[:, None, None], (40, 40, 3)).copy()
    found = enlarge(image, 3, enlarger(name, 3))
    means = found.reshape(40, 3, 40, 3, 3).mean((1, 3))
    np.testing.assert_allclose(means[4:-4], image[4:-4], atol=1e-5)


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.01, 1.7, 2.0, 2.5])
def test_any_factor_gives_its_size(factor: float) -> None:
    image = _noise(19, 31)
    for by in (_network(2), enlarger("bicubic", 2)):
        found = enlarge(image, factor, by)
        assert found.shape == (round(19 * factor), round(31 * factor), 3)
    same = enlarge(image, 1.0, enlarger("bicubic", 2))
    np.testing.assert_allclose(same, image, atol=1e-6)


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 1e9])
def test_impossible_factors_are_refused(factor: float) -> None:
    with pytest.raises(ConfigError, match=r"0\.01 to 64 are allowed"):
        enlarge(_noise(3, 3), factor, enlarger("bicubic", 2))


def test_grey_stays_grey_and_even_transparency_stays_as_it_is() -> None:
    image = _noise(20, 20, 2)
    image[:10, :, 1], image[10:, :, 1] = 0, 1
    found = _tiled(image, 2, _network(2), 8)
    assert found.shape == (40, 40, 2)
    assert (found[:16, :, 1] == 0).all()
    assert (found[-16:, :, 1] == 1).all()


class _Broken:
    """An enlarger whose third tile is no number."""

    name, scale, radius, pixel_bytes = "broken", 2, 1, 100

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, rgb: Floats) -> Floats:
        self.calls += 1
        return np.full(
            (2 * len(rgb), 2 * rgb.shape[1], 3), np.nan if self.calls == 3 else 0, np.float32
        )


def test_values_that_are_no_numbers_name_the_tile_and_the_file() -> None:
    image = _noise(20, 20)
    by = _Broken()
    chosen = plan((20, 20, 3), (40, 40), by, 1 << 30, 10)
    with pytest.raises(WeightsError, match=r"a\.png: tile 3 of 4 \(columns 0 to 10, rows 10 to 20"):
        list(strips(lambda a, b: image[a:b], chosen, by, Work(name="a.png")))


def test_progress_counts_tiles_and_work_can_be_cancelled() -> None:
    seen: list[tuple[int, int]] = []
    image = _noise(64, 64)
    memory = 1_000_000  # for several tiles

    def run(cancel: Callable[[], bool]) -> None:
        enlarge(
            image,
            2,
            _network(2),
            memory_bytes=memory,
            progress=lambda done, total: seen.append((done, total)),
            cancel=cancel,
        )

    run(lambda: False)
    total = len(seen)
    assert total > 1
    assert seen == [(i + 1, total) for i in range(total)]
    with pytest.raises(TilewiseError, match=f"cancelled after 1 of {total} tiles"):
        run(lambda: len(seen) > total)


def test_too_little_memory_is_told_with_what_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"takes .* MB of memory and 0 MB are allowed"):
        enlarge(_noise(64, 64), 2, _network(2), memory_bytes=1000)
    with pytest.raises(
        ConfigError, match=r"takes (\d+) MB of memory and 100 MB are allowed"
    ) as told:
        plan((64, 64, 3), (128, 128), _network(2), -(10**7), total_bytes=10**8)
    needed = int(str(told.value).split(" takes ")[1].split()[0]) * 10**6
    more = needed - 10**8
    assert plan((64, 64, 3), (128, 128), _network(2), more - 10**7, total_bytes=needed).rows > 1


def test_a_page_keeps_its_name_and_number() -> None:
    pixels = (_noise(12, 20) * 255).astype(np.uint8)
    page = Page(pixels=pixels, name="scan", number=2, total=3, turned_deg=1.5)
    found = enlarged_page(page, 1.5, enlarger("lanczos", 2))
    assert (found.width, found.height) == (30, 18)
    assert (found.name, found.number, found.total, found.turned_deg) == ("scan", 2, 3, 1.5)


def test_networks_of_mosaics_enlarge_no_pictures() -> None:
    with pytest.raises(ConfigError, match="raw mosaics"):
        NetworkEnlarger(network(SdanConfig(input="raw", width=4, blocks=0)), "raw")
