"""Cross packing attention computes what the published layer does; padding keeps what was there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.goldens import GoldenFile, golden_root
from tilewise.superres.attention import (
    ChannelAttention,
    PackingAttention,
    pack,
    pad_to_multiple,
    unpack,
)

FILE = "align_net.safetensors"


def _cases() -> list[str]:
    path: Path = golden_root() / "sdan" / FILE
    names = load_file(path) if path.is_file() else {}
    return sorted({name.split("/")[0] for name in names if name.startswith("cpa_")})


@pytest.mark.golden
def test_packing_has_the_published_order(golden: GoldenFile) -> None:
    tensors = load_file(golden("sdan", FILE))
    packed = pack(tensors["pack_b2/input"], 2)
    assert torch.equal(packed, tensors["pack_b2/out"])
    assert torch.equal(unpack(packed, 2), tensors["pack_b2/input"])


@pytest.mark.golden
@pytest.mark.parametrize("name", _cases())
def test_attention_matches_the_reference_forward_and_backward(
    name: str, golden: GoldenFile
) -> None:
    tensors = load_file(golden("sdan", FILE))
    layer = PackingAttention(int(name.split("_")[1].removeprefix("b")))
    layer.gain.data = tensors[f"{name}/gamma"]
    x = tensors[f"{name}/input"].requires_grad_()
    out = layer(x)
    torch.testing.assert_close(out, tensors[f"{name}/out"], atol=1e-5, rtol=1e-5)
    grads = torch.autograd.grad(out, (x, layer.gain), tensors[f"{name}/grad_out"])
    wanted = tensors[f"{name}/grad_input"], tensors[f"{name}/grad_gamma"]
    torch.testing.assert_close(grads, wanted, atol=1e-4, rtol=1e-4)


def test_attention_is_the_identity_at_the_start() -> None:
    x = torch.randn(2, 3, 8, 16)
    assert torch.equal(PackingAttention(8)(x), x)


def _gained(layer: PackingAttention) -> PackingAttention:
    torch.nn.init.constant_(layer.gain, 1.0)
    return layer


def test_attention_held_to_a_crop_is_the_same_on_a_larger_image() -> None:
    x = torch.rand(1, 2, 8, 8)
    for positions, is_same in ((4, True), (None, False)):
        layer = _gained(PackingAttention(4, positions))
        twice = layer(torch.cat([x, x], -1))[..., :8]
        assert torch.allclose(twice, layer(x), atol=1e-5) == is_same


def test_attention_stays_in_range_in_half_precision() -> None:
    x = 60 * torch.rand(1, 4, 32, 32)
    layer = _gained(PackingAttention(8))
    wanted = layer(x.half().float())
    assert ((x.half().float()[0, 0] ** 2).sum() * 4) > 65504  # a sum that half cannot hold
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x.half()).float(), wanted, atol=0.1, rtol=1e-2)


@pytest.mark.parametrize("size", range(1, 41))
def test_padding_then_cropping_gives_the_image_back(size: int) -> None:
    x = torch.rand(1, 2, size, 41 - size)
    padded = pad_to_multiple(x, 8)
    assert [side % 8 for side in padded.shape[-2:]] == [0, 0]
    assert torch.equal(padded[..., :size, : 41 - size], x)
    assert set(padded.unique().tolist()) == set(x.unique().tolist())
    missing = padded.shape[-2] - size
    if missing < size:  # elsewhere torch has no mirror
        wanted = torch.nn.functional.pad(x, (0, 0, 0, missing), mode="reflect")
        assert torch.equal(padded[..., : 41 - size], wanted)


@pytest.mark.parametrize("size", [2, 4, 6, 18])
def test_padding_keeps_the_pattern_of_a_mosaic(size: int) -> None:
    mosaic = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).repeat(size // 2, size // 2)
    padded: Tensor = pad_to_multiple(mosaic, 8)
    side = padded.shape[0]
    wanted = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).repeat(side // 2, side // 2)
    assert torch.equal(padded, wanted)


def test_padding_that_is_not_needed_is_not_done() -> None:
    x = torch.rand(1, 1, 16, 8)
    assert pad_to_multiple(x, 8) is x


def test_channel_attention_has_the_size_that_per_point_blocks_are_counted_with() -> None:
    assert sum(p.numel() for p in ChannelAttention(64).parameters()) == 580
