"""Mosaics: their pattern stays, whatever is done to them, and their levels are read as written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.superres.making import image
from tilewise.errors import MissingExtraError, SourceError
from tilewise.superres.raw import (
    demosaicked,
    flipped,
    flipped_image,
    mosaic_from,
    mosaic_of,
    planes_of,
    read_mosaic,
    scaled,
)


def test_planes_are_taken_apart_and_put_back() -> None:
    mosaic = torch.arange(24.0).view(1, 4, 6)
    planes = planes_of(mosaic)
    assert planes[:, 0, 0].tolist() == [0.0, 1.0, 7.0, 6.0]  # R, G of its row, B, G
    assert torch.equal(mosaic_from(planes), mosaic)


@pytest.mark.parametrize("is_upside_down", [False, True])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_mosaic_turned_over_is_that_of_the_image_turned_over(
    is_upside_down: bool, is_mirrored: bool
) -> None:
    turns = {"is_upside_down": is_upside_down, "is_mirrored": is_mirrored}
    scene, target = image(16, 20)[0], image(32, 40, seed=1)[0]
    turned = flipped(mosaic_of(scene), **turns)
    assert torch.equal(turned, mosaic_of(flipped_image(scene, 1, **turns)))
    axes = [axis for axis, on in ((1, is_upside_down), (2, is_mirrored)) if on]
    enlarged = flipped_image(target, 2, **turns)
    assert enlarged.shape == (3, 28, 36)
    whole = target.flip(axes)
    top, left = 2 if is_upside_down else 0, 2 if is_mirrored else 0
    assert torch.equal(enlarged, whole[:, top : top + 28, left : left + 36])


def test_colours_are_filled_in_exactly_where_they_change_evenly() -> None:
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    scene = torch.stack([y / 20, x / 20, (x + y) / 40])
    found = demosaicked(mosaic_of(scene))
    torch.testing.assert_close(found[:, 2:-2, 2:-2], scene[:, 2:-2, 2:-2])
    grey = torch.full((3, 6, 8), 0.5)
    torch.testing.assert_close(demosaicked(mosaic_of(grey)), grey)


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_levels_of_16_bits_are_read_as_written(ending: str, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(500, 16384, (7, 9)).astype(np.uint16)
    levels[0, 0], levels[0, 1] = 512, 16383
    Image.fromarray(levels).save(tmp_path / f"one.{ending}")
    found = read_mosaic(tmp_path / f"one.{ending}")
    assert np.array_equal(found, levels[:6, :8])
    light = scaled(found)
    assert light.shape == (1, 6, 8)
    assert (float(light[0, 0, 0]), float(light[0, 0, 1])) == (0.0, 1.0)
    assert float(light.min()) == 0.0


def test_what_is_no_mosaic_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    with pytest.raises(SourceError, match="mode RGB; a mosaic is grey with 16 bits"):
        read_mosaic(tmp_path / "rgb.png")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    with pytest.raises(SourceError, match="cannot be read as a mosaic"):
        read_mosaic(tmp_path / "cut.png")


def test_a_camera_file_without_its_reader_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(MissingExtraError, match="pip install rawpy"):
        read_mosaic(tmp_path / "00001.ARW")
