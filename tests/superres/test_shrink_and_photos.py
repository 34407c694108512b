"""Shrunk pairs lie on each other; photographs of folders are found, turned upright and fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.superres.making import image
from tilewise.errors import ConfigError, SourceError
from tilewise.records import Pixels
from tilewise.superres.photos import Photos, photo_paths, read_photo
from tilewise.superres.shrink import ShrinkConfig, shrunk_pair

CLEAN = ShrinkConfig(blur_share=0, noise_share=0, jpeg_share=0)


def _picture(side: int = 96) -> Pixels:
    wide = F.interpolate(image(24, 24), (side, side), mode="bicubic", align_corners=False)[0]
    return np.asarray((wide.clamp(0, 1) * 255).byte().permute(1, 2, 0))


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_a_shrunk_picture_lies_on_its_target(scale: int, seed: int) -> None:
    pair = shrunk_pair(_picture(), scale, CLEAN, np.random.default_rng(seed))
    side = 96 // scale - 8
    assert pair.x.shape == (3, side, side)
    assert pair.target.shape == (3, scale * side, scale * side)
    up = F.interpolate(pair.x[None], scale_factor=scale, mode="bicubic", align_corners=False)[0]
    inner = slice(8, -8)
    error = (up - pair.target)[:, inner, inner].abs().mean()
    for moved in (pair.target.roll(1, 1), pair.target.roll(1, 2)):
        assert error < (up - moved)[:, inner, inner].abs().mean()


def test_what_is_lost_grows_with_the_settings() -> None:
    def lost(cfg: ShrinkConfig) -> float:
        pair = shrunk_pair(_picture(), 2, cfg, np.random.default_rng(1))
        up = F.interpolate(pair.x[None], scale_factor=2, mode="bicubic", align_corners=False)[0]
        return float((up - pair.target).square().mean())

    plain = lost(CLEAN)
    assert lost(replace(CLEAN, blur_share=1.0, blur=(1.0, 1.0))) > plain
    assert lost(replace(CLEAN, noise_share=1.0, noise=30.0)) > plain
    assert lost(replace(CLEAN, jpeg_share=1.0, jpeg=(5, 5))) > plain
    with pytest.raises(ConfigError, match="JPEG quality"):
        ShrinkConfig(jpeg=(90, 40))


def test_photographs_are_found_upright_and_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = Image.fromarray(rng.integers(0, 255, (40, 90, 3), np.uint8))
    wide.save(tmp_path / "b.png")
    (tmp_path / "more").mkdir()
    Image.new("L", (60, 30), 77).save(tmp_path / "more" / "a.jpg")
    turned = wide.getexif()
    turned[0x0112] = 6
    wide.save(tmp_path / "c.png", exif=turned)
    (tmp_path / "notes.txt").write_text("no photograph")
    paths = photo_paths(tmp_path)
    assert [path.name for path in paths] == ["b.png", "c.png", "a.jpg"]
    assert read_photo(paths[1]).shape == (90, 40, 3)
    photos = Photos(paths, (10, 20))
    assert [photos[n].shape for n in range(3)] == [(20, 45, 3), (20, 45, 3), (15, 30, 3)]
    assert np.array_equal(photos[2], np.full((15, 30, 3), 77))
    with pytest.raises(SourceError, match="90x40 px; 60x50 px or more are needed"):
        Photos(paths, (50, 60))[0]


def test_folders_and_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        photo_paths(tmp_path / "none")
    with pytest.raises(SourceError, match="holds no photographs"):
        photo_paths(tmp_path)
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(SourceError, match=r"cut\.jpg: cannot be read"):
        Photos(photo_paths(tmp_path), (1, 1))[0]


def test_photographs_that_no_longer_fit_into_memory_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilewise.superres.photos.KEPT_BYTES", 2000)
    for name in "abc":
        Image.new("RGB", (20, 20), (ord(name), 0, 0)).save(tmp_path / f"{name}.png")
    photos = Photos(photo_paths(tmp_path), (20, 20))
    assert [int(photos[n][0, 0, 0]) for n in (0, 1, 2, 0)] == [97, 98, 99, 97]
    assert len(photos._kept) == 1


def test_pairs_come_as_tensors_of_one_scale() -> None:
    pair = shrunk_pair(_picture(), 2, ShrinkConfig(), np.random.default_rng(2))
    assert pair.x.dtype == pair.target.dtype == torch.float32
