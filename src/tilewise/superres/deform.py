"""Deformable convolution by plain tensor operations: squared windows, and points that move alone.

A window that moves as a whole reads all its points at the same fraction of a pixel. Bilinear
reading and the kernel's sum are both linear, so they change places: convolve first, at whole
pixels, then read the result once where the window moved to. That is the same number, not an
approximation, for a convolution and one reading in place of a reading for each point.

Where points move alone, the kernel's product is taken first for each point, and one weighted sum
of rows reads it at all points of a window. Positions outside the image read as zero.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.errors import ConfigError

ONNX_OPSET = 19
"""The first opset of ONNX with DeformConv."""


def squared_deform_conv2d(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve windows that are moved as a whole, each by a vector of its own.

    Exported to ONNX it is the operator DeformConv, opset 19 or later.

    Shape: x (b, c, h, w), weight (out, c / groups, k, k), offset (b, 2, oh, ow) -> (b, out, oh, ow)

    Args:
        x: the image.
        weight: a square kernel.
        offset: shift down, then shift to the right, of each window, in pixels of ``x``.
        bias: (out,).
        stride, padding, dilation, groups: as in ``torch.nn.functional.conv2d``.

    Raises:
        ConfigError: the shapes do not fit.

    Source: SDAN (squared deformable convolution); at whole positions the derivative by the offset
    is that to the right, as in compiled operators.
    """
    kernel = weight.shape[-1]
    rows, cols = _size(x, kernel, stride, padding, dilation)
    _check(x, weight, groups, offset, (2, rows, cols), "offset")
    if torch.onnx.is_in_onnx_export():
        moved = offset.repeat(1, kernel * kernel, 1, 1)
        attrs = _onnx_attrs(kernel, stride, padding, dilation, groups, 1)
        return _onnx_deform_conv(x, weight, moved, bias, None, attrs)
    reach = dilation * (kernel - 1)  # how far a window that touches the image may begin before it
    # Padded here: on CPUs, padding of 2 in the convolution makes its gradients three times slower.
    wide = F.pad(x.contiguous(memory_format=torch.channels_last), (reach,) * 4)
    full = F.conv2d(wide, weight, dilation=dilation, groups=groups)
    y, xx = _window_starts(offset, stride, padding)
    down, right = _exact(offset).unbind(1)
    index, share = _corners(y + down + reach, xx + right + reach, *full.shape[-2:])
    return _read(full.permute(0, 2, 3, 1).flatten(1, 2), index, share, bias)


def deform_conv2d(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve windows of which each point moves alone: DCN, and DCNv2 with a mask.

    The channels of ``x`` may fall into g groups with offsets of their own; offset and mask tell g.

    Shape: x (b, c, h, w), weight (out, c / groups, k, k), offset (b, g * k * k * 2, oh, ow),
    mask (b, g * k * k, oh, ow) -> (b, out, oh, ow)

    Args:
        x: the image.
        weight: a square kernel.
        offset: for each group and point of the kernel, row by row: shift down, shift to the right.
        bias: (out,).
        mask: what each point's value is multiplied with.
        stride, padding, dilation, groups: as in ``torch.nn.functional.conv2d``.

    Raises:
        ConfigError: the shapes do not fit.

    Source: Deformable ConvNets (arXiv 1703.06211), v2 (arXiv 1811.11168).
    """
    points = weight.shape[-1] ** 2
    size = _size(x, weight.shape[-1], stride, padding, dilation)
    parts = max(1, offset.shape[1] // (2 * points))
    _check(x, weight, groups, offset, (2 * points * parts, *size), "offset", parts)
    if mask is not None:
        _check(x, weight, groups, mask, (points * parts, *size), "mask", parts)
    if torch.onnx.is_in_onnx_export():
        attrs = _onnx_attrs(weight.shape[-1], stride, padding, dilation, groups, parts)
        return _onnx_deform_conv(x, weight, offset, bias, mask, attrs)
    products = torch.einsum(  # of each pixel with each point of the kernel: (b, parts, h * w, ko)
        "bgcn,gcm->bgnm",
        rearrange(x, "b (g c) h w -> b g c (h w)", g=parts),
        rearrange(_ungrouped(weight, groups), "o (g c) k l -> g c (k l o)", g=parts),
    )
    y, xx = _point_starts(offset, weight.shape[-1], stride, padding, dilation)
    moves = rearrange(_exact(offset), "b (g p two) h w -> two b g p h w", p=points, two=2)
    index, share = _corners(y + moves[0], xx + moves[1], *x.shape[-2:])
    if mask is not None:
        share = share * rearrange(_exact(mask), "b (g p) h w -> b g p h w 1", p=points)
    # A row of the table is one pixel's product with one point, in one group.
    part = torch.arange(parts, device=x.device)[:, None, None, None, None] * products.shape[2]
    point = torch.arange(points, device=x.device)[:, None, None, None]
    index = (index + part) * points + point
    table = rearrange(products, "b g n (p o) -> b (g n p) o", p=points)
    index, share = (rearrange(t, "b g p h w c -> b h w (g p c)") for t in (index, share))
    return _read(table, index, share, bias)


class DeformConv2d(nn.Module):
    """A 3x3 convolution whose windows, or their points, are moved by given offsets.

    The number of channels of the offset tells which: 2 move the window, 18 each point. Without an
    offset it is an ordinary convolution. Shape: (b, width, h, w), kept.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        plain = nn.Conv2d(width, width, 3)  # lends its start
        self.weight, self.bias = plain.weight, plain.bias

    def forward(
        self, x: Tensor, offset: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if offset is None:
            return F.conv2d(x, self.weight, self.bias, padding=1)
        if offset.shape[1] == 2 and mask is None:
            return squared_deform_conv2d(x, self.weight, offset, self.bias, padding=1)
        return deform_conv2d(x, self.weight, offset, self.bias, mask, padding=1)


def _size(x: Tensor, kernel: int, stride: int, padding: int, dilation: int) -> tuple[int, int]:
    """Rows and columns of the windows."""
    reach = dilation * (kernel - 1)
    rows, cols = ((side + 2 * padding - reach - 1) // stride + 1 for side in x.shape[-2:])
    return rows, cols


def _check(
    x: Tensor,
    weight: Tensor,
    groups: int,
    field: Tensor,
    wanted: tuple[int, int, int],
    name: str,
    parts: int = 1,
) -> None:
    """Refuse shapes that do not fit each other."""
    if weight.shape[-2] != weight.shape[-1]:
        raise ConfigError(f"the kernel is {tuple(weight.shape[-2:])}; square kernels are allowed.")
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups or x.shape[1] % parts:
        raise ConfigError(
            f"{x.shape[1]} channels meet a kernel {tuple(weight.shape)} of {groups} groups and "
            f"offsets of {parts}; give the kernel channels / groups, and groups that divide both."
        )
    if tuple(field.shape) != (x.shape[0], *wanted):
        raise ConfigError(
            f"the {name} is {tuple(field.shape)}; an image {tuple(x.shape)} under this kernel "
            f"needs {(x.shape[0], *wanted)}."
        )


def _exact(field: Tensor) -> Tensor:
    """Positions in half precision would be whole pixels off on large images."""
    return field.float() if field.dtype in {torch.float16, torch.bfloat16} else field


def _window_starts(offset: Tensor, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    """First row and first column of each unmoved window, (oh, 1) and (ow,)."""
    rows, cols = (
        torch.arange(n, device=offset.device, dtype=_exact(offset).dtype) * stride - padding
        for n in offset.shape[-2:]
    )
    return rows[:, None], cols


def _point_starts(
    offset: Tensor, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[Tensor, Tensor]:
    """Row and column of each unmoved point, (points, oh, 1) and (points, 1, ow)."""
    rows, cols = _window_starts(offset, stride, padding)
    steps = torch.arange(kernel, device=offset.device, dtype=rows.dtype) * dilation
    down, right = steps.repeat_interleave(kernel), steps.repeat(kernel)
    return rows + down[:, None, None], cols + right[:, None, None]


def _corners(y: Tensor, x: Tensor, rows: int, cols: int) -> tuple[Tensor, Tensor]:
    """The four pixels round each position: index row by row and bilinear share, (..., 4).

    A pixel outside has share 0, by a product: so the derivative of the shares stays that of the
    pixels inside, and a position that is no number gives no number.
    """
    (top, high), (left, wide) = _neighbours(y, rows), _neighbours(x, cols)
    index = top[..., :, None] * cols + left[..., None, :]
    share = high[..., :, None] * wide[..., None, :]
    return index.flatten(-2), share.flatten(-2)


def _neighbours(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The whole positions before and after, kept in range, and the share of each, (..., 2)."""
    position = position.clamp(-2, size + 1)  # all beyond reads zero, and fits an integer
    before = position.detach().floor()
    past = position - before
    index = before.long()[..., None] + torch.arange(2, device=position.device)
    share = torch.stack((1 - past, past), -1) * ((index >= 0) & (index < size))
    return index.clamp(0, size - 1), share


def _read(table: Tensor, index: Tensor, share: Tensor, bias: Tensor | None) -> Tensor:
    """Sums of an image's rows: (b, n, out), index and share (b, oh, ow, t) -> (b, out, oh, ow)."""
    batch, rows, cols, _ = index.shape
    first = torch.arange(batch, device=index.device)[:, None, None, None] * table.shape[1]
    index = (index + first).flatten(0, 2)
    found = weighted_rows(table.flatten(0, 1).to(share.dtype), index, share.flatten(0, 2))
    if bias is not None:
        found = found + bias
    found = rearrange(found, "(b h w) o -> b o h w", b=batch, h=rows, w=cols)
    return found.to(table.dtype)


def weighted_rows(table: Tensor, index: Tensor, share: Tensor) -> Tensor:
    """Weighted sums of a table's rows, by one gather; differentiable by table and shares.

    Shape: table (rows, d), index and share (n, t) -> (n, d)
    """
    # The table's own gradient in torch is ten times slower than the one attached here.
    found = F.embedding_bag(index, table.detach(), per_sample_weights=share, mode="sum")
    if not table.requires_grad:
        return found
    attach: Any = _WithTable.apply
    return attach(found, table, index, share.detach())


class _WithTable(torch.autograd.Function):
    """Sums of rows as they are; what flows back goes on to them and to the rows that were read."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, table: Tensor, index: Tensor, share: Tensor) -> Tensor:
        ctx.rows = len(table)
        ctx.save_for_backward(index, share)
        return found.view_as(found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        index, share = ctx.saved_tensors
        return grad, _scattered(grad, index, share, ctx.rows), None, None


def _scattered(grad: Tensor, index: Tensor, share: Tensor, rows: int) -> Tensor:
    """The transpose of the gather is a gather too: each row sums over the windows that read it.

    In the order of the sort, so the same on every run, where adding in place is not on CUDA.
    """
    narrow = torch.int32 if rows < 2**31 else torch.int64  # sorts in half the time
    reader, order = index.flatten().to(narrow).sort(stable=True)
    starts = torch.searchsorted(reader, torch.arange(rows, device=reader.device, dtype=narrow))
    windows = order // index.shape[1]
    shares = share.flatten()[order]
    return F.embedding_bag(windows, grad, starts, per_sample_weights=shares, mode="sum")


def _ungrouped(weight: Tensor, groups: int) -> Tensor:
    """The same kernel over all channels, zero where a group does not look: (out, c, k, k)."""
    if groups == 1:
        return weight
    share = weight.shape[0] // groups
    blocks = [
        F.pad(w, (0, 0, 0, 0, i * w.shape[1], (groups - 1 - i) * w.shape[1]))
        for i, w in enumerate(weight.split(share))
    ]
    return torch.cat(blocks)


def _onnx_attrs(
    kernel: int, stride: int, padding: int, dilation: int, groups: int, parts: int
) -> dict[str, Any]:
    return {
        "kernel_shape": [kernel] * 2,
        "strides": [stride] * 2,
        "pads": [padding] * 4,
        "dilations": [dilation] * 2,
        "group": groups,
        "offset_group": parts,
    }


def _onnx_deform_conv(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    attrs: dict[str, Any],
) -> Tensor:
    """The node of ONNX that stands for the operator in an exported graph."""
    shape = (x.shape[0], weight.shape[0], *offset.shape[-2:])
    return torch.onnx.ops.symbolic(
        "DeformConv",
        (x, weight, offset, bias, mask),
        attrs,
        dtype=x.dtype,
        shape=shape,
        version=ONNX_OPSET,
    )
