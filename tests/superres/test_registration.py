"""Known maps between pictures are found, and pictures that are not alike are told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tilewise.errors import ConfigError
from tilewise.superres.pairs import sampled
from tilewise.superres.registration import RegistrationConfig, fault, registered

Grey = NDArray[np.float64]


def _scene(seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    layers = [
        F.interpolate(
            torch.from_numpy(rng.standard_normal((1, 1, *size))).float(), (160, 192), mode="bicubic"
        )[0, 0]
        for size in ((10, 12), (40, 48))
    ]
    return layers[0] + layers[1]


def _seen(scene: torch.Tensor, affine: Grey, rows: int = 104, cols: int = 128) -> Grey:
    """The middle of the scene, where a place p of it shows the scene's ``affine`` p."""
    y, x = torch.meshgrid(torch.arange(float(rows)), torch.arange(float(cols)), indexing="ij")
    to_x = affine[0, 0] * x + affine[0, 1] * y + affine[0, 2] + 30
    to_y = affine[1, 0] * x + affine[1, 1] * y + affine[1, 2] + 28
    return np.asarray(sampled(scene[None], to_y.float(), to_x.float())[0].double())


def _turned(degrees: float, stretch: float, right: float, down: float) -> Grey:
    turn = np.deg2rad(degrees)
    linear = stretch * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack([linear, [right, down]])


@pytest.mark.parametrize(
    "affine",
    [
        _turned(0, 1, 0, 0),
        _turned(0, 1, 9.0, -6.0),
        _turned(0, 1, 0.4, 0.3),
        _turned(0.8, 1.01, 1.0, -2.0),
        _turned(-1.5, 0.98, 6.5, 4.5),
    ],
)
def test_a_known_map_is_found(affine: Grey) -> None:
    scene = _scene()
    fixed, moving = _seen(scene, affine), _seen(scene, np.eye(2, 3))
    # Other exposure and other contrast are no difference.
    found = registered(fixed, 0.5 * moving + 3)
    np.testing.assert_allclose(found.affine[:, :2], affine[:, :2], atol=1e-3)
    np.testing.assert_allclose(found.affine[:, 2], affine[:, 2], atol=0.08)
    assert found.correlation > 0.99
    assert found.before <= found.correlation + 1e-9
    assert fault(found, RegistrationConfig(stretch=0.05, shift=15)) is None


def test_pairs_that_cannot_be_learned_from_are_told_with_their_numbers() -> None:
    one, other = _scene(1), _scene(2)
    straight = np.eye(2, 3)
    unlike = fault(registered(_seen(one, straight), _seen(other, straight)), RegistrationConfig())
    assert unlike is not None
    assert unlike[0] == "too unlike"
    assert unlike[1] < 0.7
    far = registered(_seen(one, _turned(0, 1, 14, 0)), _seen(one, straight))
    assert fault(far, RegistrationConfig()) == ("too far off", far.shift)
    assert far.shift == pytest.approx(14, abs=0.1)
    wide = registered(_seen(one, _turned(0, 1.05, -3, -3)), _seen(one, straight))
    assert fault(wide, RegistrationConfig()) == ("sizes differ", wide.stretch)


def test_a_flat_picture_is_unlike_anything() -> None:
    scene = _seen(_scene(), np.eye(2, 3))
    found = registered(np.full_like(scene, 0.5), scene)
    assert fault(found, RegistrationConfig()) == ("too unlike", 0.0)


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(20, 20\) and \(20, 24\)"):
        registered(np.zeros((20, 20)), np.zeros((20, 24)))
    with pytest.raises(ConfigError, match=r"correlation is 1\.5"):
        RegistrationConfig(correlation=1.5)
