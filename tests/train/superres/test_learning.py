"""What SDAN networks learn in minutes: a pair by heart, and offsets that stay at zero."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.goldens import golden_root
from tests.train.superres.making import photos, tiny
from tilewise.superres.config import SdanConfig
from tilewise.superres.files import load
from tilewise.superres.losses import Pairs, SdanLossConfig, colour_matched, pairs_loss
from tilewise.superres.metrics import psnr
from tilewise.superres.pairs import CameraConfig, camera_pair
from tilewise.superres.photos import photo_paths, read_photo
from tilewise.superres.sdan import Sdan, reference_of
from tilewise.train.task import run_training

PAIRS = sorted((golden_root() / "sdan" / "pairs").glob("*_x4_*_ref.png"))[:1]


def _picture(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_photo(path)).permute(2, 0, 1)[None].float() / 255


def _inner(image: torch.Tensor, cut: int = 32) -> np.ndarray:
    return image[0, :, cut:-cut, cut:-cut].clamp(0, 1).permute(1, 2, 0).numpy()


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_one_pair_is_learned_by_heart(path: Path) -> None:
    torch.manual_seed(0)
    network = Sdan(SdanConfig(scale=4, width=24, blocks=3, block=4))
    x = _picture(path.with_name(path.name.replace("_ref", "_lr")))[..., 16:64, 16:80]
    target = _picture(path)[..., 64:256, 64:320]
    target = colour_matched(target, x)
    pairs, cfg = Pairs(x, target, x), SdanLossConfig(dropout=0.0, has_colour_match=False)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3, betas=(0.9, 0.99))
    drops, losses = torch.zeros(1, dtype=torch.bool), []
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 2e-3 if step < 300 else 5e-4
        lost = pairs_loss(network, pairs, cfg, drops)
        lost.check()
        optimiser.zero_grad()
        lost.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(lost.total.detach()))
    with torch.no_grad():
        image = network(x, reference_of(target, *x.shape[-2:])).image
    plain = F.interpolate(x, scale_factor=4, mode="bicubic")
    assert np.mean(losses[-20:]) < 0.4 * np.mean(losses[:5])
    assert psnr(_inner(image), _inner(target)) > psnr(_inner(plain), _inner(target)) + 3


@pytest.mark.slow
def test_offsets_stay_at_zero_in_the_mean_where_nothing_moved(tmp_path: Path) -> None:
    data = photos(tmp_path / "photos", 4)
    sizes = ("model.sizes.width=16", "model.sizes.block=4", "model.mean=0.98")
    # From random offsets: 0.3 px at first, and without the pin still 0.22 px behind 400 steps.
    begin = "model.sizes.is_unmoved_at_start=false"
    cfg = tiny("sdan", data, *sizes, begin, "run.save_every=300", steps=300)
    cfg = replace(cfg, optim=replace(cfg.optim, lr=1e-3, clip_norm=1.0))
    network = load(run_training(cfg, tmp_path / "out"))
    still = CameraConfig(turn_deg=0, zoom=0, shift=0, tilt=0, levels=(0,))
    offsets = []
    for seed, path in enumerate(photo_paths(data)):
        pair = camera_pair(read_photo(path), 4, 64, still, (5, seed))
        x = pair.x[None]
        with torch.no_grad():
            found = network(x, reference_of(pair.aligned[None], 64, 64)).offset
        assert found is not None
        offsets.append(found[0, :, 8:-8, 8:-8])
    whole = torch.stack(offsets)
    assert float(whole.mean((0, 2, 3)).norm()) < 0.05  # input pixels
    assert float(whole.std((2, 3)).mean()) > 1e-3  # the windows do move
