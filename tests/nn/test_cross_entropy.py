"""Cross-entropy in chunks against the plain one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tilewise.nn.cross_entropy import cross_entropy_sum


def _inputs(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(11, 8, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(20, 8, generator=generator).to(dtype).requires_grad_()
    targets = torch.randint(20, (11,), generator=generator)
    return x, weight, targets, torch.rand(11, generator=generator)


@pytest.mark.parametrize("chunk", [1, 4, 11, 100])
def test_sum_and_gradients_are_those_of_all_logits(chunk: int) -> None:
    x, weight, targets, weights = _inputs()
    plain = (F.cross_entropy(F.linear(x, weight), targets, reduction="none") * weights).sum()
    wanted = torch.autograd.grad(3 * plain, (x, weight))
    total = cross_entropy_sum(x, weight, targets, weights, chunk=chunk)
    found = torch.autograd.grad(3 * total, (x, weight))
    torch.testing.assert_close(total, plain)
    torch.testing.assert_close(found, wanted)


def test_a_frozen_output_layer_still_teaches_what_is_below() -> None:
    x, weight, targets, weights = _inputs()
    total = cross_entropy_sum(x, weight.detach(), targets, weights, chunk=4)
    plain = (F.cross_entropy(F.linear(x, weight), targets, reduction="none") * weights).sum()
    wanted = torch.autograd.grad(plain, x)
    torch.testing.assert_close(torch.autograd.grad(total, x), wanted)


def test_nothing_to_learn_gives_zero_and_zero_gradients() -> None:
    x, weight, targets, weights = _inputs()
    total = cross_entropy_sum(x[:0], weight, targets[:0], weights[:0], chunk=4)
    total.backward()
    assert total.item() == 0
    assert weight.grad is not None
    assert not weight.grad.any()


def test_a_second_backward_pass_is_refused_rather_than_wrong() -> None:
    x, weight, targets, weights = _inputs()
    total = cross_entropy_sum(x, weight, targets, weights, chunk=4)
    torch.autograd.grad(2 * total, x, retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(total, x)


@pytest.mark.parametrize("is_mixed", [False, True])
def test_half_precision_is_near(is_mixed: bool) -> None:
    x, weight, targets, weights = _inputs()
    plain = cross_entropy_sum(x, weight, targets, weights, chunk=4)
    wanted = torch.autograd.grad(plain, (x, weight))
    if not is_mixed:
        x, weight = (part.detach().bfloat16().requires_grad_() for part in (x, weight))
    with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
        total = cross_entropy_sum(x, weight, targets, weights, chunk=4)
    found = torch.autograd.grad(total, (x, weight))
    assert total.dtype == torch.float32
    assert [part.dtype for part in found] == [x.dtype, weight.dtype]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.float(), other, atol=0.05, rtol=0.05)
