"""PSNR and SSIM against scikit-image's, and what registration takes away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.goldens import golden_root
from tilewise.errors import ConfigError
from tilewise.superres.metrics import figures, luma, psnr, ssim

PAIRS = golden_root() / "sdan" / "pairs"
ONE = PAIRS / "seeding_x4_l1_lr.png"
PSNR_THERE, SSIM_THERE, SSIM_Y_THERE = 27.433253928481214, 0.7073385366621494, 0.8256171073515317
needs_pair = pytest.mark.skipif(not ONE.is_file(), reason="no golden pair")


def _read(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.float64) / 255


def _pair() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The target, and the input enlarged by Pillow's bicubic."""
    target = _read(PAIRS / "seeding_x4_l1_aligned.png")
    with Image.open(ONE) as picture:
        size = (target.shape[1], target.shape[0])
        large = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return np.asarray(large, np.float64) / 255, target


@needs_pair
@pytest.mark.golden
def test_psnr_and_ssim_are_what_scikit_image_gave() -> None:
    image, target = _pair()
    # scikit-image 0.26.0: peak_signal_noise_ratio; structural_similarity with gaussian_weights,
    # sigma 1.5, use_sample_covariance False, which leaves out a border of 5 px as well.
    assert psnr(image, target) == pytest.approx(PSNR_THERE, abs=1e-9)
    assert ssim(image, target) == pytest.approx(SSIM_THERE, abs=1e-7)
    assert ssim(luma(image), luma(target)) == pytest.approx(SSIM_Y_THERE, abs=1e-7)


@needs_pair
def test_psnr_and_ssim_agree_with_scikit_image_where_it_is_installed() -> None:
    theirs = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    image, target = _pair()
    same = theirs.structural_similarity(
        image, target, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    assert ssim(image, target) == pytest.approx(float(same), abs=1e-7)
    ratio = theirs.peak_signal_noise_ratio(target, image, data_range=1.0)
    assert psnr(image, target) == pytest.approx(float(ratio), abs=1e-9)


@needs_pair
def test_registration_takes_a_shift_away_and_the_protocol_stays_with_the_figures() -> None:
    _, target = _pair()
    moved = np.roll(target, (2, -3), (0, 1))
    found = figures(moved, target, 4, "P0")
    assert found.protocol == "P0"
    assert found.registered_psnr is not None
    assert found.registered_psnr > 45 > 30 > found.psnr
    same = figures(target, target, 4, "P2")
    assert same.psnr == float("inf")
    assert same.ssim == 1.0


def test_luma_of_white_and_black_is_235_and_16() -> None:
    assert luma(np.ones((1, 1, 3))) * 255 == pytest.approx(235, abs=0.01)
    assert luma(np.zeros((1, 1, 3))) * 255 == pytest.approx(16, abs=0.01)


def test_pictures_of_two_sizes_and_small_ones_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be alike"):
        figures(np.zeros((90, 90, 3)), np.zeros((90, 91, 3)), 2, "P0")
    with pytest.raises(ConfigError, match="at least 11 must be left"):
        figures(np.zeros((70, 90, 3)), np.zeros((70, 90, 3)), 2, "P0")
