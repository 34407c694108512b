"""Cross-entropy of an output layer without its logits: they are made in chunks and not kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def cross_entropy_sum(
    x: Tensor, weight: Tensor, targets: Tensor, weights: Tensor, *, chunk: int
) -> Tensor:
    """The sum of weighted cross-entropies of ``x @ weight.T``, a scalar in float32.

    Where gradients are wanted they are computed along with the loss, chunk by chunk: then logits
    are made once, and there are never those of more than ``chunk`` positions. Products run in
    the dtype of autocast if it is on, else in that of ``x``; softmax and sums run in float32.

    Args:
        x: (n, width).
        weight: of the output layer, (vocabulary, width).
        targets: the right ids, (n,).
        weights: what each position weighs, float32 (n,).
        chunk: positions at a time.
    """
    kind = x.device.type
    is_mixed = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if is_mixed else x.dtype
    run: Any = _CrossEntropy.apply
    total: Tensor = run(x, weight, targets, weights, chunk, dtype)
    return total


class _CrossEntropy(torch.autograd.Function):
    """Gives the sum; keeps the gradients of its inputs, which the backward pass only scales."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        targets: Tensor,
        weights: Tensor,
        chunk: int,
        dtype: torch.dtype,
    ) -> Tensor:
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        total = torch.zeros((), dtype=torch.float32, device=x.device)
        grad_x = torch.empty_like(x) if needs_x else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        with torch.autocast(x.device.type, enabled=False):
            table = weight.to(dtype)
            for start in range(0, len(x), chunk):
                some = slice(start, start + chunk)
                inputs, share = x[some].to(dtype), weights[some, None]
                logits = F.linear(inputs, table).float()
                own = targets[some, None]
                told = logits.gather(1, own)
                sums = logits.logsumexp(1, keepdim=True)
                total += ((sums - told) * share).sum()
                if grad_x is None and grad_weight is None:
                    continue
                # The slopes of logits, (softmax - what is right) * weight, take their place.
                slopes = logits.sub_(sums).exp_().mul_(share).scatter_add_(1, own, -share)
                slopes = slopes.to(dtype)
                if grad_x is not None:
                    grad_x[some] = slopes @ table
                if grad_weight is not None:
                    _add_product(grad_weight, slopes, inputs)
        ctx.save_for_backward(grad_x, grad_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # In place, since a copy of the large one would come on top of all kept activations; torch
        # then refuses to run this a second time.
        scaled = [None if part is None else part.mul_(grad) for part in ctx.saved_tensors]
        return (*scaled, None, None, None, None)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left.T @ right to a sum, in place."""
    if left.dtype == total.dtype:
        total.addmm_(left.t(), right)
    else:
        total += left.t() @ right
