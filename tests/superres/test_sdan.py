"""The network is the published one, to the parameter, and moves nothing it is not told to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from tests.goldens import GoldenFile
from tests.superres.making import TINY, image, network
from tilewise.errors import ConfigError
from tilewise.superres.config import (
    OFFSET_CHANNELS,
    Alignment,
    Attention,
    SdanConfig,
    published,
)
from tilewise.superres.sdan import Sdan, enlarged_and_moved, inside, reference_of

NAMES = {
    "head.": "head.",
    "ref.": "align.reference.",
    "off1.": "align.offsets.convs.0.",
    "off2.": "align.offsets.convs.1.",
    "off3.": "align.offsets.out.",
    "gamma1": "align.offsets.attentions.0.gain",
    "gamma2": "align.offsets.attentions.1.gain",
    "dcn.": "align.deform.",
    "rgb.": "align.probe.",
    "body.last": "body.out.weight",
    "up.0.": "up.0.",
    "up.1.": "up.1.",
    "out.": "out.",
}
"""Names of the golden network's tensors and ours."""


def _ours(name: str) -> str:
    if name.startswith("body.") and name != "body.last":
        _, number, conv = name.split(".")
        return f"body.blocks.{number}.{ {'c1': 'first', 'c2': 'second'}[conv] }.weight"
    (start,) = (start for start in NAMES if name.startswith(start))
    ending = {"w": "weight", "b": "bias"}.get(name.removeprefix(start), "")
    return NAMES[start] + ending


def _golden_network(tensors: Mapping[str, Tensor]) -> Sdan:
    prefix = "net/param/"
    weights = {
        _ours(name.removeprefix(prefix)): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    width = weights["head.weight"].shape[0]
    blocks = len([name for name in weights if name.endswith("first.weight")])
    net = Sdan(replace(published(4), width=width, blocks=blocks))
    net.load_state_dict(weights)
    return net


@pytest.mark.golden
def test_a_whole_network_matches_the_reference(golden: GoldenFile) -> None:
    tensors = load_file(golden("sdan", "align_net.safetensors"))
    made = _golden_network(tensors)(tensors["net/raw"], tensors["net/ref"])
    for found, name in zip(made, ("sr", "rgb", "mask", "offset"), strict=True):
        torch.testing.assert_close(found, tensors[f"net/{name}"], atol=1e-5, rtol=1e-5)


@pytest.mark.golden
def test_gradients_of_the_golden_network_are_those_of_finite_differences(
    golden: GoldenFile,
) -> None:
    tensors = load_file(golden("sdan", "align_net.safetensors"))
    net = _golden_network(tensors).double()
    raw, ref = (tensors[f"net/{name}"][:1, :, :8, :16].double() for name in ("raw", "ref"))
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(1, 3, 32, 64, generator=generator, dtype=torch.float64)

    def value() -> Tensor:
        made = net(raw, ref)
        assert made.probe is not None
        return (made.image * weights).sum() + made.probe.square().sum()

    parameters = dict(net.named_parameters())
    grads = torch.autograd.grad(value(), list(parameters.values()))
    for (name, parameter), grad in zip(parameters.items(), grads, strict=True):
        way = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        step = 1e-7
        with torch.no_grad():
            parameter.add_(way, alpha=step)
            above = value()
            parameter.sub_(way, alpha=2 * step)
            below = value()
            parameter.add_(way, alpha=step)
        slope = (above - below) / (2 * step)
        torch.testing.assert_close((grad * way).sum(), slope, atol=1e-4, rtol=1e-4, msg=name)


def _count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_the_published_ones() -> None:
    net = Sdan(published(4))
    assert _count(net) == 1_671_818
    assert _count(Sdan(published(8))) == 1_819_530
    assert _count(net.align) == 157_511
    assert net.align is not None
    parts = {
        net.head: 640,
        net.align.reference: 6_976,
        net.align.offsets: 111_876,
        net.align.offsets.out: 1_154,
        net.align.deform: 36_928,
        net.align.probe: 1_731,
        net.body: 1_216_512,
        net.up: 2 * 147_712,
        net.out: 1_731,
    }
    assert {part: _count(part) for part in parts} == parts


@pytest.mark.parametrize(("alignment", "count"), [("per_point", 10_386), ("modulated", 15_579)])
def test_per_point_offsets_cost_what_the_spec_counts(alignment: Alignment, count: int) -> None:
    cfg = replace(published(4), alignment=alignment)
    net = Sdan(cfg)
    assert net.align is not None
    assert _count(net.align.offsets.out) == count
    if alignment == "per_point":
        assert _count(Sdan(replace(cfg, attention="channel")).align) == 167_901


def test_without_alignment_the_whole_block_is_left_out() -> None:
    assert _count(Sdan(replace(published(4), alignment="none"))) == 1_671_818 - 157_511
    assert _count(Sdan(SdanConfig())) == 1_671_818 + 2 * 9 * 64  # colours in place of a mosaic


def test_the_path_without_a_reference_needs_fewer_parameters() -> None:
    net = Sdan(replace(TINY, width=64, blocks=16, input="raw"))
    net(image(4, 4, channels=1)).image.sum().backward()
    used = sum(p.numel() for p in net.parameters() if p.grad is not None)
    assert used == 1_551_235


@pytest.mark.parametrize("alignment", OFFSET_CHANNELS)
@pytest.mark.parametrize("attention", ["packing", "channel", "none"])
@pytest.mark.parametrize("kind", ["rgb", "raw"])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_all_kinds_of_networks_enlarge_images_of_any_size(
    alignment: Alignment, attention: Attention, kind: Literal["rgb", "raw"], scale: int
) -> None:
    cfg = replace(TINY, alignment=alignment, attention=attention, input=kind, scale=scale)
    net = network(cfg)
    x = image(5, 11, channels=cfg.channels, batch=2)
    assert net(x).image.shape == (2, 3, 5 * scale, 11 * scale)
    if alignment != "none":
        made = net(x, image(5, 11, batch=2, seed=1))
        assert made.image.shape == (2, 3, 5 * scale, 11 * scale)
        assert made.offset is not None
        assert made.offset.shape == (2, 2 if alignment == "squared" else 18, 5, 11)
        made.image.sum().backward()
        assert net.align is not None
        assert net.align.offsets.out.weight.grad is not None


@pytest.mark.parametrize("alignment", ["squared", "per_point", "modulated"])
@pytest.mark.parametrize("size", [(7, 9), (8, 8), (1, 1)])
def test_offsets_of_zero_are_no_reference_at_all(
    alignment: Alignment, size: tuple[int, int]
) -> None:
    cfg = replace(TINY, alignment=alignment, has_skip=True, is_unmoved_at_start=True)
    net = network(cfg)
    x = image(*size)
    made = net(x, image(*size, seed=1))
    assert made.offset is not None
    assert not made.offset.any()
    assert made.mask is not None
    assert made.mask.all()
    torch.testing.assert_close(made.image, net(x).image, atol=1e-5, rtol=1e-5)


def test_the_reference_reaches_the_output_by_offsets_alone() -> None:
    net = network()
    x = image(16, 16)
    reference = image(16, 16, seed=1).requires_grad_()
    made = net(x, reference)
    assert torch.autograd.grad(made.image.sum(), reference, retain_graph=True)[0].any()
    assert net.align is not None
    features = torch.relu(net.head(x))
    moves = net.align.find(features, reference)
    still = moves._replace(offset=moves.offset.detach())
    image_again = net._image(x, net.align.move(features, still), still.window)
    torch.testing.assert_close(image_again, made.image, atol=1e-6, rtol=1e-5)
    (grad,) = torch.autograd.grad(image_again.sum(), reference, allow_unused=True)
    assert grad is None


def test_fine_detail_of_a_target_cannot_reach_the_output() -> None:
    generator = torch.Generator().manual_seed(2)
    net, x, target = network(), image(16, 16), image(64, 64, seed=1)
    # Detail of which nothing is left at the input's size: bicubic filters pass over it.
    noise = torch.rand(1, 3, 64, 64, generator=generator) - 0.5
    kept = F.interpolate(reference_of(noise, 16, 16), (64, 64), mode="nearest")
    for _ in range(200):
        noise = noise - kept
        kept = F.interpolate(reference_of(noise, 16, 16), (64, 64), mode="nearest")
    assert noise.abs().mean() > 0.1
    made, other = (net(x, reference_of(t, 16, 16)) for t in (target, target + noise))
    torch.testing.assert_close(made.image, other.image, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("cfg", [replace(TINY, has_skip=True), replace(TINY, scale=2, blocks=4)])
def test_tiles_that_overlap_by_the_reach_are_the_whole(cfg: SdanConfig) -> None:
    net, x = network(cfg), image(40, 90)
    whole = net(x).image
    reach, scale, cut = cfg.reach, cfg.scale, 45
    left = net(x[..., : cut + reach]).image[..., : cut * scale]
    right = net(x[..., cut - reach :]).image[..., reach * scale :]
    torch.testing.assert_close(torch.cat([left, right], -1), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_reach_is_how_far_the_network_sees(scale: int) -> None:
    cfg = replace(TINY, scale=scale, width=4)
    assert replace(cfg, scale=4, blocks=16).reach == 37
    net, reach = network(cfg).double(), cfg.reach
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.01)  # nothing cancels
    x = image(1 + 2 * reach + 4, 9).double().requires_grad_()
    middle = reach + 2
    rows = net(x).image[..., middle * scale : (middle + 1) * scale, :].sum()
    seen = torch.autograd.grad(rows, x)[0].abs().sum((0, 1, 3)).nonzero()
    assert middle - int(seen.min()) <= reach
    assert int(seen.max()) - middle <= reach
    assert int(seen.max()) - middle >= reach - 1


def test_the_skipped_image_moves_with_the_windows() -> None:
    x = image(12, 12)
    window = torch.zeros(1, 2, 12, 12)
    torch.testing.assert_close(
        enlarged_and_moved(x, 4, window), enlarged_and_moved(x, 4, None), atol=1e-4, rtol=1e-4
    )
    window[:, 0], window[:, 1] = 2, -1
    moved = enlarged_and_moved(x, 4, window)
    wanted = enlarged_and_moved(x, 4, None)[..., 8:, :-4]
    torch.testing.assert_close(moved[..., :-8, 4:], wanted, atol=1e-4, rtol=1e-4)


def test_the_skip_keeps_an_image_where_it_is() -> None:
    net = network(replace(TINY, has_skip=True))
    for parameter in net.out.parameters():
        nn.init.zeros_(parameter)
    x = image(9, 10)
    wanted = F.interpolate(x, scale_factor=4, mode="bicubic")
    assert torch.equal(net(x).image, wanted)


def test_the_mask_is_1_where_the_centre_stays_inside() -> None:
    window = torch.tensor([[0.0, -0.01], [4.99, 0.0], [0.0, 5.0], [-1.0, 1.0]]).T[None, :, None]
    # One row of four windows.
    assert inside(window).tolist() == [[[[0.0, 0.0, 0.0, 0.0]]]]
    y = torch.tensor([0.0, -0.1, 1.9, 2.0])
    window = torch.stack([y, torch.zeros(4)])[None, :, None, :].expand(1, 2, 2, 4)
    assert inside(window).tolist() == [[[[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]]]


def test_offsets_stay_within_their_bound() -> None:
    free, bounded = (network(replace(TINY, max_offset=limit)) for limit in (None, 2.0))
    for net in (free, bounded):
        assert net.align is not None
        assert net.align.offsets.out.bias is not None
        nn.init.constant_(net.align.offsets.out.bias, 30.0)
    x, reference = image(8, 8), image(8, 8, seed=1)
    found = [net(x, reference).offset for net in (free, bounded)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].max() > 20
    torch.testing.assert_close(found[1], 2 * torch.tanh(found[0] / 2))


def test_one_pair_is_learned_in_a_few_steps() -> None:
    target = F.interpolate(image(12, 12, seed=3), (64, 64), mode="bicubic")
    x = reference_of(target, 16, 16).roll((1, -1), (2, 3))
    reference = reference_of(target, 16, 16)
    net = network(replace(TINY, width=12, block=4))
    optimiser = torch.optim.Adam(net.parameters(), 4e-3)
    losses = []
    for _ in range(60):
        made = net(x, reference)
        assert made.probe is not None
        loss = (made.image - target).abs().mean() + (made.probe - reference).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4


def test_half_precision_runs_with_exact_offsets() -> None:
    net = network()
    x, reference = image(16, 16), image(16, 16, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        made = net(x, reference)
    assert made.offset is not None
    assert made.offset.dtype == torch.float32
    torch.testing.assert_close(made.image.float(), net(x, reference).image, atol=0.05, rtol=0.05)


def test_inputs_that_do_not_fit_are_told() -> None:
    net = network()
    with pytest.raises(ConfigError, match=r"takes rgb images \(batch, 3, height, width\)"):
        net(image(4, 4, channels=1))
    with pytest.raises(ConfigError, match=r"reference is \(1, 3, 5, 4\).*one of \(1, 3, 4, 4\)"):
        net(image(4, 4), image(5, 4))
    with pytest.raises(ConfigError, match="none, as nothing is aligned"):
        network(replace(TINY, alignment="none"))(image(4, 4), image(4, 4))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("scale", 3, "scale is 3; 1, 2, 4, 8 are allowed"),
        ("input", "grey", "input is 'grey'; 'rgb', 'raw' are allowed"),
        ("alignment", "dcn", "alignment is 'dcn'"),
        ("width", 0, "width is 0 channels"),
        ("max_offset", 0.0, "max_offset is 0.0 px"),
        ("max_offset", float("nan"), "max_offset is nan px"),
        ("positions", 0, "positions is 0"),
    ],
)
def test_settings_that_cannot_hold_are_told(field: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(TINY, **{field: value})
    with pytest.raises(ConfigError, match="has no colours"):
        SdanConfig(input="raw", has_skip=True)


@pytest.mark.gpu
def test_network_on_cuda_matches_the_cpu() -> None:
    net, x, reference = network(), image(16, 24), image(16, 24, seed=1)
    wanted = net(x, reference)
    found = net.cuda()(x.cuda(), reference.cuda())
    torch.testing.assert_close(found.image.cpu(), wanted.image, atol=1e-3, rtol=1e-3)
