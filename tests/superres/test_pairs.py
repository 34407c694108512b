"""On pairs with a known truth: shifts have the sign that the pairs are stored with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.goldens import golden_root
from tilewise.superres.deform import squared_deform_conv2d
from tilewise.superres.losses import colour_matched
from tilewise.superres.sdan import enlarged_and_moved, reference_of

PAIRS = sorted((golden_root() / "sdan" / "pairs").glob("*_flow.npy"))


def _picture(flow: Path, kind: str) -> Tensor:
    path = flow.with_name(flow.name.replace("flow.npy", f"{kind}.png"))
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def _psnr(a: Tensor, b: Tensor, cut: int) -> float:
    error = (a - b)[..., cut:-cut, cut:-cut].square().mean()
    return float(-10 * error.log10())


def _to_zoomed(path: Path) -> Tensor:
    """From the low-resolution camera's frame to the zoomed one's, in low-resolution pixels."""
    return torch.from_numpy(np.load(path)[1].astype(np.float32))[None]


@pytest.mark.golden
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_windows_moved_by_the_true_flow_see_what_the_target_shows(path: Path) -> None:
    flow, aligned, target = _to_zoomed(path), _picture(path, "aligned"), _picture(path, "ref")
    small, wanted = (reference_of(t, *flow.shape[-2:]) for t in (aligned, target))
    still = torch.zeros(3, 3, 3, 3)
    still[[0, 1, 2], [0, 1, 2], 1, 1] = 1  # each channel as it is
    before = _psnr(small, wanted, 4)
    after = _psnr(squared_deform_conv2d(small, still, flow, padding=1), wanted, 4)
    assert after > before + 3
    wrong = _psnr(squared_deform_conv2d(small, still, -flow, padding=1), wanted, 4)
    assert wrong < before


@pytest.mark.golden
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_the_skipped_image_moved_by_the_true_flow_lies_on_the_target(path: Path) -> None:
    flow, x, target = _to_zoomed(path), _picture(path, "lr"), _picture(path, "ref")
    scale = target.shape[-1] // x.shape[-1]
    target = colour_matched(target, x)
    before = _psnr(enlarged_and_moved(x, scale, None), target, 32)
    assert _psnr(enlarged_and_moved(x, scale, flow), target, 32) > before + 0.5


@pytest.mark.golden
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_a_colour_cast_is_undone_and_contrast_kept(path: Path) -> None:
    x, target = _picture(path, "lr")[..., 20:68, 10:58], _picture(path, "ref")
    scale = 8 if "_x8_" in path.name else 4
    target = target[..., 20 * scale : 68 * scale, 10 * scale : 58 * scale]
    cast = torch.tensor([0.85, 1.0, 1.2])[:, None, None]
    plain, tinted = colour_matched(target, x), colour_matched(target, cast * x)
    torch.testing.assert_close(tinted, cast * plain, atol=0.03, rtol=0.03)
    assert 0.9 < float(plain.std() / target.std()) < 1.1
