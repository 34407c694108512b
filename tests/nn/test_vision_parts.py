"""Encoder, merge, projector and norm equal their definitions."""

from __future__ import annotations

import pytest
import torch

from tilewise.errors import ConfigError
from tilewise.nn.merge import merge_patches
from tilewise.nn.norm import RMSNorm
from tilewise.nn.projector import Projector
from tilewise.nn.vit import ViT, ViTConfig, quick_gelu

SMALL = ViTConfig(tile=12, patch=4, width=8, layers=2, heads=2, mlp=10)


def test_blocks_are_joined_row_by_row() -> None:
    patches = torch.arange(16.0).view(1, 16, 1)  # a tile of 4 × 4 patches
    blocks = merge_patches(patches)[0].tolist()
    assert blocks == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert merge_patches(patches, side=4).shape == (1, 1, 16)


def test_channels_stay_together_when_blocks_are_joined() -> None:
    patches = torch.arange(8.0).view(1, 4, 2)
    assert merge_patches(patches)[0, 0].tolist() == list(range(8))


def test_a_tile_gives_its_patches_without_the_class_token() -> None:
    vit = ViT(SMALL)
    pixels = torch.randn(3, 3, 12, 12)
    assert vit.embed(pixels).shape == (3, 10, 8)
    assert vit(pixels).shape == (3, SMALL.patches, 8) == (3, 9, 8)


def test_tiles_do_not_see_each_other() -> None:
    vit, pixels = ViT(SMALL), torch.randn(3, 3, 12, 12)
    torch.testing.assert_close(vit(pixels)[1:2], vit(pixels[1:2]))


def test_patches_are_read_row_by_row_at_their_positions() -> None:
    vit, pixels = ViT(SMALL), torch.zeros(1, 3, 12, 12)
    pixels[0, :, 4:8, 8:12] = 1  # row 1, column 2
    felt = vit.patch(pixels).flatten(2)[0].norm(dim=0)
    assert felt.nonzero().flatten().tolist() == [5]


def test_quick_gelu_is_a_gate_of_a_sigmoid() -> None:
    x = torch.linspace(-4, 4, 9)
    torch.testing.assert_close(quick_gelu(x), x / (1 + torch.exp(-1.702 * x)))


def test_the_projector_is_exact_gelu_between_two_layers() -> None:
    projector, x = Projector(6, 5, 4), torch.randn(2, 6)
    up = projector.up(x)
    exact = up * 0.5 * (1 + torch.erf(up / 2**0.5))
    torch.testing.assert_close(projector(x), projector.out(exact))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_is_taken_in_float32_and_cast_before_its_weight(dtype: torch.dtype) -> None:
    norm = RMSNorm(16, 1e-5).to(dtype)
    torch.nn.init.normal_(norm.weight)
    x = (100 * torch.randn(3, 16)).to(dtype)
    scale = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-5)
    torch.testing.assert_close(norm(x), (x.float() * scale).to(dtype) * norm.weight)


@pytest.mark.parametrize(("tile", "heads"), [(13, 2), (12, 3)])
def test_parts_of_patches_or_heads_are_refused(tile: int, heads: int) -> None:
    with pytest.raises(ConfigError, match="whole patches and whole heads"):
        ViTConfig(tile=tile, patch=4, width=8, layers=1, heads=heads, mlp=8)


@pytest.mark.parametrize(("rows", "cols", "side"), [(4, 4, 2), (4, 6, 2), (6, 3, 3)])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_tokens_lie_row_by_row_or_transposed(
    rows: int, cols: int, side: int, is_transposed: bool
) -> None:
    x = torch.randn(2, rows, cols, 5)
    found = merge_patches(x.flatten(1, 2), side, is_transposed=is_transposed, grid=(rows, cols))
    assert found.shape == (2, rows * cols // side**2, side**2 * 5)
    height, width = rows // side, cols // side
    for r in range(height):
        for s in range(width):
            block = [x[:, side * r + a, side * s + b] for a in range(side) for b in range(side)]
            at = s * height + r if is_transposed else r * width + s
            assert torch.equal(found[:, at], torch.cat(block, -1))


def test_a_projector_with_a_norm_takes_it_first_with_its_own_eps() -> None:
    projector, x = Projector(6, 5, 4, norm_eps=0.5), torch.randn(3, 6)
    weight, bias = projector.norm.parameters()
    torch.nn.init.normal_(weight)
    torch.nn.init.normal_(bias)
    spread = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, correction=0) + 0.5)[:, None]
    normed = spread * weight + bias
    wanted = projector.out(torch.nn.functional.gelu(projector.up(normed)))
    torch.testing.assert_close(projector(x), wanted)
    assert not any(name.startswith("norm") for name in Projector(6, 5, 4).state_dict())
