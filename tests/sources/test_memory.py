"""Arrays and PIL images as sources."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.sources.making import pixels_of, saved, scene
from tilewise.errors import SourceError
from tilewise.sources.pages import open_source


def test_a_uint8_array_is_taken_as_it_is_and_copied() -> None:
    array = np.asarray(scene()).copy()
    pixels = pixels_of(array)
    assert np.array_equal(pixels, array)
    array[:] = 0
    assert pixels.any()
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0, 128, 255]], np.uint8),
        np.array([[0, 128 * 257, 65535]], np.uint16),
        np.array([[[0], [128], [255]]], np.uint8),
        np.array([[0, 128 / 255, 1]], np.float64),
        np.array([[0, 128 / 255, 1]], np.float32),
        np.repeat(np.array([[0, 128, 255]], np.uint8)[..., None], 3, axis=2),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_every_type_of_array_is_scaled_to_8_bits(array: np.ndarray) -> None:
    assert pixels_of(array)[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


def test_true_is_white() -> None:
    assert pixels_of(np.array([[True, False]]))[0, :, 0].tolist() == [255, 0]


def test_an_array_with_alpha_is_laid_on_white() -> None:
    array = np.array([[[200, 0, 0, 0], [200, 0, 0, 255], [200, 0, 0, 51]]], np.uint8)
    assert pixels_of(array)[0].tolist() == [[255, 255, 255], [200, 0, 0], [244, 204, 204]]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.zeros((0, 5), np.uint8), r"shape \(0, 5\)"),
        (np.zeros((2, 2, 2), np.uint8), r"shape \(2, 2, 2\)"),
        (np.zeros((2, 2), np.int64), "type int64"),
        (np.array([["a"]]), "type <U1"),
        (np.array([[0.0, 255.0]]), "floats from 0 to 255"),
        (np.array([[-0.1, 1.0]]), "floats from -0.1 to 1"),
        (np.array([[np.nan]]), "floats from nan to nan"),
    ],
    ids=str,
)
def test_an_array_that_is_no_picture_is_refused(array: np.ndarray, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        open_source(array)


def test_a_pil_image_keeps_its_pixels_and_is_left_alone() -> None:
    picture = scene().convert("RGBA")
    assert np.array_equal(pixels_of(picture), np.asarray(scene()))
    assert picture.mode == "RGBA"


def test_a_pil_image_without_pixels_is_refused() -> None:
    with pytest.raises(SourceError, match="the given picture is 0x5 px"):
        open_source(Image.new("RGB", (0, 5)))


def test_a_lazily_opened_pil_image_of_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(saved(Image.effect_noise((64, 64), 50), "PNG")[:-500])
    with Image.open(path) as picture, pytest.raises(SourceError, match="cut short"):
        open_source(picture)


def test_the_name_given_stands_in_messages_and_on_the_page() -> None:
    with open_source(np.zeros((2, 3), np.uint8), name="slide 4") as source:
        assert source.page(1).name == "slide 4"
        assert source.size(1) == (3, 2, "px")
        with pytest.raises(SourceError, match="slide 4: page 2"):
            source.page(2)


def test_another_type_is_refused_by_its_name() -> None:
    with pytest.raises(SourceError, match="of type dict"):
        open_source({})  # type: ignore[arg-type]
