"""Partial LoRA adds on the rows of segments, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tilewise.nn.partial_lora import PartialLinear, Segment, window


def _layer(bias: bool = False) -> PartialLinear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PartialLinear(6, 5, bias=bias, rank=2, scale=1.5)


@pytest.mark.parametrize("bias", [False, True])
def test_segments_equal_the_published_form_with_a_mask(bias: bool) -> None:
    layer, x = _layer(bias), torch.randn(3, 9, 6, generator=torch.Generator().manual_seed(1))
    segments = [Segment(0, 2, 5), Segment(0, 7, 9), Segment(2, 0, 9)]
    mask = torch.zeros(3, 9, 1)
    for row, start, stop in segments:
        mask[row, start:stop] = 1
    plain = torch.nn.functional.linear(x, layer.weight, layer.bias)
    wanted = plain + mask * layer.scale * layer.lora_b(layer.lora_a(x))
    torch.testing.assert_close(layer(x, segments), wanted)
    assert torch.equal(layer(x), plain)


def test_gradients_equal_those_of_the_form_with_a_mask() -> None:
    layer, x = _layer(), torch.randn(1, 4, 6, requires_grad=True)
    mask = torch.tensor([0.0, 1, 1, 0])[None, :, None]
    inputs = [x, *layer.parameters()]
    masked = layer(x) + mask * layer.scale * layer.lora_b(layer.lora_a(x))
    wanted = torch.autograd.grad(masked.square().sum(), inputs)
    found = torch.autograd.grad(layer(x, [Segment(0, 1, 3)]).square().sum(), inputs)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_without_a_rank_there_are_no_further_weights() -> None:
    layer = PartialLinear(6, 5)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(0, 20)), max_size=5),
    st.integers(1, 7),
)
def test_windows_side_by_side_cover_every_segment_once(
    spans: list[tuple[int, int, int]], chunk: int
) -> None:
    segments = [Segment(row, min(a, b), max(a, b)) for row, a, b in spans]
    wanted = sorted((s.row, i) for s in segments for i in range(s.start, s.stop))
    found = []
    for start in range(0, 21, chunk):
        for row, first, last in window(segments, start, start + chunk):
            assert 0 <= first < last <= chunk
            found += [(row, start + i) for i in range(first, last)]
    assert sorted(found) == wanted


def test_mixed_precision_changes_the_dtype_and_no_gradient_is_lost() -> None:
    layer, x = _layer(bias=True), torch.randn(1, 4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x, [Segment(0, 1, 3)])
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), layer(x, [Segment(0, 1, 3)]), atol=0.05, rtol=0.05)
    y.float().square().sum().backward()
    for name, weight in layer.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any(), name
