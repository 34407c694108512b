"""Made-up pairs: their truth is the truth, and the same key gives the same pair."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.goldens import golden_root
from tilewise.errors import ConfigError, SourceError
from tilewise.records import Pixels
from tilewise.superres.pairs import CameraConfig, camera_pair, sampled
from tilewise.superres.photos import read_photo

STILL = CameraConfig(turn_deg=0, zoom=0, shift=0, tilt=0, levels=(0,))


def _photo(seed: int = 0) -> Pixels:
    """Smooth noise in several sizes, 500 x 640 px."""
    rng = np.random.default_rng(seed)
    sizes = ((16, 20), (63, 80), (250, 320))
    layers = [torch.from_numpy(rng.standard_normal((1, 3, *size))).float() for size in sizes]
    wide = [F.interpolate(one, (500, 640), mode="bicubic") for one in layers]
    light = 0.5 + 0.15 * torch.stack(wide).sum(0)[0]
    return np.asarray((light.clamp(0, 1) * 255).byte().permute(1, 2, 0))


def _psnr(a: Tensor, b: Tensor, cut: int = 8) -> float:
    error = (a - b)[..., cut:-cut, cut:-cut].square().mean()
    return float(-10 * error.log10())


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("level", [0, 1])
def test_the_target_moved_by_the_flow_lies_on_the_aligned_one(scale: int, level: int) -> None:
    cfg = CameraConfig(levels=(level,))
    pair = camera_pair(_photo(), scale, 24, cfg, (1, scale), has_flow=True)
    assert pair.x.shape == pair.raw_rgb.shape == (3, 24, 24)
    assert pair.mosaic.shape == (1, 24, 24)
    assert pair.target.shape == pair.aligned.shape == (3, 24 * scale, 24 * scale)
    assert pair.flow is not None
    flow = F.interpolate(pair.flow[None], scale_factor=scale, mode="bilinear")[0] * scale
    side = torch.arange(24.0 * scale)
    y, x = torch.meshgrid(side, side, indexing="ij")
    moved = sampled(pair.aligned, y + flow[0], x + flow[1])
    assert _psnr(moved, pair.target) > _psnr(pair.aligned, pair.target) + 6


def test_cameras_that_do_not_move_see_the_same_but_for_noise() -> None:
    pair = camera_pair(_photo(), 4, 24, STILL, (3,), has_flow=True)
    assert pair.flow is not None
    assert float(pair.flow.abs().max()) < 1e-3
    assert _psnr(pair.aligned, pair.target) > 32


def test_the_wide_picture_is_the_shrunk_one_without_a_shift() -> None:
    pair = camera_pair(_photo(), 4, 32, STILL, (4,))
    small = F.avg_pool2d(pair.aligned[None], 4)[0]
    best = _psnr(pair.x, small, 4)
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        assert _psnr(pair.x, small.roll((down, right), (1, 2)), 4) < best - 1


def test_the_same_key_gives_the_same_pair_and_another_another() -> None:
    one, again, other = (
        camera_pair(_photo(), 2, 16, CameraConfig(), key) for key in ((5, 1), (5, 1), (5, 2))
    )
    for name in ("x", "mosaic", "target", "aligned"):
        assert torch.equal(getattr(one, name), getattr(again, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))


def test_values_are_levels_of_8_and_14_bits() -> None:
    pair = camera_pair(_photo(), 2, 16, CameraConfig(), (6,))
    torch.testing.assert_close(pair.x * 255, (pair.x * 255).round(), atol=1e-3, rtol=0)
    levels = pair.mosaic * (16383 - 512)
    torch.testing.assert_close(levels, levels.round(), atol=2e-3, rtol=0)
    assert 0 <= float(pair.x.min()) <= float(pair.x.max()) <= 1


def test_crops_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="crop is 15 px"):
        camera_pair(_photo(), 2, 15, CameraConfig(), (1,))
    with pytest.raises(SourceError, match="640x500 px, and pairs of this size need 832x832 px"):
        camera_pair(_photo(), 8, 76, CameraConfig(), (1,))
    with pytest.raises(ConfigError, match=r"levels is \(3,\)"):
        CameraConfig(levels=(3,))


@pytest.mark.golden
def test_pairs_are_as_hard_as_the_golden_ones() -> None:
    """Bicubic against both targets, and how far things are moved, lie in the goldens' range."""
    folder = golden_root() / "sdan"
    if not (folder / "photos").is_dir():
        pytest.skip("no golden photographs here")
    shifts, gains = [], []
    for path in sorted((folder / "pairs").glob("*_x4_*.json")):
        told = json.loads(path.read_text())
        shifts.append(told["mean_abs_shift_zoom_px"])
        parts = [
            torch.from_numpy(read_photo(Path(str(path)[:-5] + f"_{kind}.png"))).permute(2, 0, 1)
            for kind in ("lr", "aligned", "ref")
        ]
        x, aligned, ref = (part[None].float() / 255 for part in parts)
        up = F.interpolate(x, scale_factor=4, mode="bicubic")
        gains.append(_psnr(up, aligned, 32) - _psnr(up, ref, 32))
    ours, drops = [], []
    for path in sorted((folder / "photos").glob("*.jpg"))[:3]:
        pair = camera_pair(read_photo(path), 4, 64, CameraConfig(), (9,), has_flow=True)
        assert pair.flow is not None
        ours.append(float(pair.flow.norm(dim=0).mean()) * 4)
        up = F.interpolate(pair.x[None], scale_factor=4, mode="bicubic")[0]
        drops.append(_psnr(up, pair.aligned, 16) - _psnr(up, pair.target, 16))
    assert 0.4 * min(shifts) < float(np.mean(ours)) < 1.6 * max(shifts)
    assert min(gains) - 1 < float(np.mean(drops)) < max(gains) + 1
