"""The loss is the published one with its switches off, and each switch does what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.superres.making import TINY, image, network
from tilewise.errors import ConfigError, TrainingError
from tilewise.superres.cobi import LAYERS, feature_cobi, patch_cobi
from tilewise.superres.losses import (
    PUBLISHED,
    Pairs,
    SdanLossConfig,
    colour_matched,
    drawn_drops,
    pair_terms,
    pairs_loss,
    roughness,
)
from tilewise.superres.sdan import Enlarged, enlarged_and_moved, reference_of

KEEP = torch.tensor([False, False])


def _pairs(rows: int = 28, cols: int = 24) -> Pairs:
    target = F.interpolate(image(rows, cols, batch=2), scale_factor=4, mode="bicubic")
    x = reference_of(target, rows, cols).roll(1, -1)
    return Pairs(x, target, x)


def test_the_published_loss_is_two_masked_means_within_the_border() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, 3, 96, 80), (1, 3, 96, 80), (1, 3, 24, 20), (1, 3, 24, 20), (1, 2, 24, 20))
    out, target, probe, reference, offset = (torch.rand(s, generator=generator) for s in shapes)
    mask = (torch.rand(1, 1, 24, 20, generator=generator) > 0.3).float()
    made = Enlarged(out, probe, mask, offset)
    loss = pair_terms(made, target, reference, reference, PUBLISHED)
    wide = mask.repeat_interleave(4, -1).repeat_interleave(4, -2)
    first = ((out - target).abs() * wide)[..., 32:-32, 32:-32].mean()
    second = ((probe - reference).abs() * mask)[..., 8:-8, 8:-8].mean()
    torch.testing.assert_close(loss.terms, {"image": first, "probe": second})
    torch.testing.assert_close(loss.total, first + second)
    lengths = offset.square().sum(1).sqrt()
    torch.testing.assert_close(loss.mean_offset, lengths.mean())
    torch.testing.assert_close(loss.max_offset, lengths.max())


def test_without_alignment_the_loss_is_the_mean_difference() -> None:
    net, pairs = network(replace(TINY, alignment="none")), _pairs()
    loss = pairs_loss(net, pairs, PUBLISHED, KEEP)
    wanted = (net(pairs.x).image - pairs.target).abs()[..., 32:-32, 32:-32].mean()
    torch.testing.assert_close(loss.terms, {"image": wanted})


def test_all_terms_reach_the_parts_that_they_teach() -> None:
    net, pairs = network(), _pairs()
    loss = pairs_loss(net, pairs, SdanLossConfig(unmoved=1.0), KEEP)
    assert list(loss.terms) == ["image", "probe", "smoothness", "unmoved", "pin"]
    loss.total.backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_warm_up_teaches_the_offsets_alone() -> None:
    net, pairs = network(), _pairs()
    pairs_loss(net, pairs, replace(PUBLISHED, image=0.0), KEEP).total.backward()
    taught = {
        name.split(".")[0]
        for name, p in net.named_parameters()
        if p.grad is not None and p.grad.any()
    }
    assert taught == {"head", "align"}


def test_a_sample_without_a_reference_is_shown_its_own_input() -> None:
    net, pairs = network(), _pairs()
    drops = torch.tensor([True, False])
    loss = pairs_loss(net, pairs, PUBLISHED, drops)
    reference = reference_of(pairs.target, 28, 24)
    reference[0] = pairs.own[0]
    made = net(pairs.x, reference)
    whole = pair_terms(made, pairs.target, reference, pairs.own, PUBLISHED)
    torch.testing.assert_close(loss.terms["probe"], whole.terms["probe"])
    # Its target lies elsewhere: by itself it teaches nothing, aligned or asked for it does.
    assert loss.terms["image"] < whole.terms["image"]
    asked = pairs_loss(net, pairs, replace(PUBLISHED, unaligned=1.0), drops)
    torch.testing.assert_close(asked.terms, whole.terms)
    aligned = pairs.target.roll(4, -1)
    target = torch.stack([aligned[0], pairs.target[1]])
    known = pairs_loss(net, pairs._replace(aligned=aligned), PUBLISHED, drops)
    torch.testing.assert_close(
        known.terms, pair_terms(made, target, reference, pairs.own, PUBLISHED).terms
    )


def test_the_pin_teaches_the_last_convolution_alone_and_only_by_dropped_references() -> None:
    net, pairs = network(), _pairs()
    alone = replace(PUBLISHED, image=0.0, probe=0.0, pin=2.0, border=0)
    lost = pairs_loss(net, pairs, alone, torch.tensor([True, False]))
    made = net(pairs.x, pairs.own).offset
    assert made is not None
    wanted = 2 * made[0].mean((1, 2)).square().mean()
    torch.testing.assert_close(lost.terms["pin"], wanted)
    assert net.align is not None
    last = list(net.align.offsets.out.parameters())
    slopes = torch.autograd.grad(wanted, last)
    lost.total.backward()
    for weight, slope in zip(last, slopes, strict=True):
        torch.testing.assert_close(weight.grad, slope)
    taught = [name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()]
    assert taught == ["align.offsets.out.weight", "align.offsets.out.bias"]
    assert pairs_loss(net, pairs, alone, KEEP).terms["pin"] == 0


@pytest.mark.parametrize("alignment", ["squared", "per_point", "modulated"])
def test_the_pin_brings_offsets_to_zero_in_the_mean_and_leaves_them_alive(alignment: Any) -> None:
    net, pairs = network(replace(TINY, alignment=alignment, block=2, blocks=0)), _pairs()
    assert net.align is not None
    torch.nn.init.constant_(net.align.offsets.out.bias, 0.3)  # type: ignore[arg-type]
    cfg = replace(PUBLISHED, image=0.0, probe=0.0, pin=1.0)
    drops = torch.tensor([True, True])
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    spreads = []
    for _ in range(110):
        optimiser.zero_grad()
        pairs_loss(net, pairs, cfg, drops).total.backward()
        optimiser.step()
        offset = net(pairs.x, pairs.own).offset
        assert offset is not None
        inner = offset.detach()[..., 8:-8, 8:-8]
        spreads.append(float(inner.std((2, 3)).mean()))
    assert float(inner.mean((0, 2, 3)).abs().max()) < 0.05
    assert spreads[-1] > 0.5 * spreads[0]


def test_unmoved_asks_the_probe_for_the_input_where_nothing_moves() -> None:
    net, pairs = network(), _pairs()
    lost = pairs_loss(net, pairs, replace(PUBLISHED, unmoved=2.0), KEEP)
    wanted = 2 * (net.unmoved(pairs.x) - pairs.own).abs()[..., 8:-8, 8:-8].mean()
    torch.testing.assert_close(lost.terms["unmoved"], wanted)
    with pytest.raises(ConfigError, match="aligns nothing and has no probe"):
        network(replace(TINY, alignment="none")).unmoved(pairs.x)


def test_references_are_dropped_as_often_as_asked_and_alike_from_a_seed() -> None:
    draw = [drawn_drops(4000, SdanLossConfig(), torch.Generator().manual_seed(1)) for _ in "ab"]
    assert torch.equal(*draw)
    assert 0.23 < float(draw[0].float().mean()) < 0.27
    assert not drawn_drops(50, PUBLISHED, torch.Generator().manual_seed(1)).any()


def test_offsets_may_jump_where_the_image_does() -> None:
    offset = torch.zeros(1, 2, 8, 8)
    offset[..., 4:] = 1
    edge, elsewhere = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 0.5
    elsewhere[..., 2:] = 0.5
    assert roughness(offset, edge) < 0.01 * roughness(offset, elsewhere)
    assert roughness(torch.ones(1, 2, 8, 8), elsewhere) == 0
    assert roughness(offset[..., :1, :1], edge[..., :1, :1]) == 0


def test_colours_are_matched_though_the_pair_is_not_aligned() -> None:
    own = F.interpolate(image(8, 8, batch=2), (64, 64), mode="bicubic")
    gains, shift = torch.tensor([0.8, 0.9, 1.2]), torch.tensor([0.1, 0, -0.05])
    other = own * gains[:, None, None] + shift[:, None, None]
    target = enlarged_and_moved(other, 4, None).roll((6, -5), (2, 3))
    before, after = (
        (reference_of(t, 64, 64).roll((-1, 1), (2, 3)) - own).abs().mean()
        for t in (target, colour_matched(target, own))
    )
    assert after < before / 3


def test_one_colour_and_one_pixel_are_matched_without_a_jump() -> None:
    for rows, cols in ((1, 1), (16, 16)):
        target, own = (
            torch.full((1, 3, 4 * rows, 4 * cols), 0.5),
            torch.full((1, 3, rows, cols), 0.6),
        )
        matched = colour_matched(target, own)
        torch.testing.assert_close(matched, torch.full_like(target, 0.6), atol=1e-3, rtol=0)


def test_a_term_that_is_no_number_is_named() -> None:
    pairs = _pairs()
    loss = pairs_loss(network(), pairs, SdanLossConfig(), KEEP)
    loss.check()
    terms = {**loss.terms, "probe": torch.tensor(float("nan"))}
    with pytest.raises(TrainingError, match="loss term probe is no number, with offsets up to"):
        replace(loss, terms=terms).check()


def test_crops_within_the_border_are_told() -> None:
    with pytest.raises(ConfigError, match="16x16 px and the loss cuts 8 px from each side"):
        pairs_loss(network(), _pairs(16, 16), PUBLISHED, KEEP)


@pytest.mark.parametrize("field", ["border", "smoothness", "image", "unmoved", "pin", "dropout"])
def test_settings_of_the_loss_that_cannot_hold_are_told(field: str) -> None:
    wrong: dict[str, Any] = {field: -1}
    with pytest.raises(ConfigError, match=field):
        SdanLossConfig(**wrong)


def _features(x: Tensor) -> dict[str, Tensor]:
    return {name: F.avg_pool2d(torch.cat([x, x.square()], 1), 2) for name in LAYERS}


def test_cobi_forgives_a_shift_that_a_mean_difference_does_not() -> None:
    x = image(20, 20)
    moved, other = x.roll(2, -1), image(20, 20, seed=5)
    for loss in (patch_cobi, lambda a, b: feature_cobi(a, b, _features)):
        same, shifted, strange = (float(loss(x, y)) for y in (x, moved, other))
        assert same < shifted < strange
        assert shifted - same < 0.6 * (strange - same)
    given = x.clone().requires_grad_()
    patch_cobi(given, moved).backward()
    assert given.grad is not None
    assert given.grad.isfinite().all()
