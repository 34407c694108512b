"""Weights of linear layers as small integers with scales: int8 by rows, int4 by groups of a row.

In files such a weight is two or three plain tensors, named after it (``a.weight_int8`` and
``a.weight_scale``) and the same for every device. Rows keep their places, so that rules which
join or reorder the rows of a weight do so with these tensors too. Loaded, they become one tensor
of torchao, which the layer multiplies by as it would by any other. Weights in int8 are widened
for each product, so they save memory and cost time; int4 has a kernel of its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.errors import ConfigError, MissingExtraError, WeightsError
from tilewise.weights.keymap import KeyRule

Form = Literal["int8", "int4"]

_GROUPS: Final = (128, 64, 32)  # inputs that share a scale in int4: the kernel's choice of sizes
_CAPABILITY: Final = (8, 0)  # the first CUDA devices with the kernel of int4
_INNER_TILES: Final = 8  # how that kernel wants its weights packed, as torchao does it
_PACKED_COLUMNS, _PACKED_ROWS = 1024, 8  # multiples that it pads to
_NUMBER: Final = re.compile(r"(?<![^.])\d+(?=\.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One form of weights.

    ``parts``: endings of the names of its tensors. ``split`` makes these of a weight (out, in),
    ``join`` makes float32 of them again, ``run`` makes of them, and of the dtype to compute in,
    what a linear layer multiplies by. ``fits`` tells whether a number of inputs has this form.
    """

    parts: tuple[str, ...]
    split: Callable[[Tensor], tuple[Tensor, ...]]
    join: Callable[..., Tensor]
    run: Callable[[Sequence[Tensor], torch.dtype], Tensor]
    fits: Callable[[int], bool]


def split_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight (out, in) → int8 (out, in) and float32 scales (out, 1), around zero."""
    weight = weight.float()
    scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-20) / 127
    return (weight / scale).round_().clamp_(-127, 127).to(torch.int8), scale


def join_int8(values: Tensor, scale: Tensor) -> Tensor:
    """Values and scales → weight, float32 (out, in)."""
    return values.float() * scale


def split_int4(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A weight (out, in) → values, scales, middles, as the int4 kernel of torch understands them.

    An input's weight is ``(value - 8) * scale + middle``, with one scale and one middle for each
    run of 128, 64 or 32 inputs, the longest that divides them all.

    Returns:
        uint8 (out, in / 2), two values each, the first in the upper half; bfloat16 (out, groups)
        twice.
    """
    groups = weight.float().unflatten(1, (-1, _group(weight.shape[1])))
    low, high = groups.aminmax(dim=2)
    scale = ((high - low) / 15).clamp_min(1e-6).bfloat16()
    middle = (low + 8 * scale.float()).bfloat16()
    values = (groups - middle.float()[..., None]) / scale.float()[..., None] + 8
    first, second = (
        values.round_().clamp_(0, 15).to(torch.uint8).flatten(1).unflatten(1, (-1, 2)).unbind(2)
    )
    return first << 4 | second, scale, middle


def join_int4(packed: Tensor, scale: Tensor, middle: Tensor) -> Tensor:
    """Values, scales and middles → weight, float32 (out, in)."""
    values = torch.stack([packed >> 4, packed & 15], dim=2).flatten(1).float() - 8
    groups = values.unflatten(1, (scale.shape[1], -1))
    return (groups * scale.float()[..., None] + middle.float()[..., None]).flatten(1)


def form_of(names: Iterable[str]) -> Form | None:
    """The form of the quantised weights among tensors by these names, None if there are none."""
    leaves = {name.rpartition(".")[2] for name in names}
    for form in SCHEMES:
        if f"weight_{form}" in leaves:
            return form
    return None


def pattern(name: str) -> str:
    """A tensor's name with ``{i}`` for the number of its layer, as rules have it."""
    return _NUMBER.sub("{i}", name)


def part_names(name: str, form: Form) -> list[str]:
    """Names of the tensors that stand for a weight of this name."""
    return [f"{name}_{part}" for part in SCHEMES[form].parts]


def quantised_rules(
    rules: Sequence[KeyRule], weights: Collection[str], form: Form
) -> tuple[KeyRule, ...]:
    """A family's table for a folder with quantised weights, and for ``hollow`` models.

    Args:
        rules: the table, whose rules for these weights do nothing but join and move rows.
        weights: the weights that may be quantised, as the rules' ``ours``.
        form: of the weights.
    """
    parts = [
        replace(rule, theirs=theirs, ours=ours[0] if isinstance(rule.ours, str) else ours)
        for rule in rules
        if rule.made and set(rule.made) <= set(weights)
        for theirs, ours in zip(
            zip(*(part_names(name, form) for name in rule.theirs), strict=True),
            zip(*(part_names(name, form) for name in rule.made), strict=True),
            strict=True,
        )
    ]
    return (*parts, *rules)


def hollow(model: nn.Module, weights: Collection[str], form: Form) -> None:
    """Take quantised weights out of a model and put empty tensors of their parts in.

    Args:
        model: on the meta device; then ``load_weights`` fills the parts, and ``fill`` makes
            weights of them.
        weights: the weights that may be quantised, as patterns.
        form: of the weights.
    """
    for name, layer in list(_layers(model, weights, form)):
        parts = SCHEMES[form].split(layer.weight.detach())
        layer.register_parameter("weight", None)
        for leaf, part in zip(part_names(name, form), parts, strict=True):
            layer.register_buffer(leaf.rpartition(".")[2], part)


def fill(model: nn.Module, form: Form, dtype: torch.dtype) -> None:
    """Make weights of the parts that ``hollow`` put in, one layer after another.

    Args:
        model: with values in all its parts, each on the device that will run it.
        form: of the weights.
        dtype: that the layers compute in.

    Raises:
        ConfigError, MissingExtraError: as ``check_runs``.
    """
    leaves = part_names("weight", form)
    for layer in model.modules():
        if leaves[0] not in layer._buffers:
            continue
        parts = [layer.get_buffer(leaf) for leaf in leaves]
        check_runs(form, dtype, {parts[0].device})
        for leaf in leaves:
            delattr(layer, leaf)
        weight = nn.Parameter(SCHEMES[form].run(parts, dtype), requires_grad=False)
        layer.register_parameter("weight", weight)


def quantise(model: nn.Module, weights: Collection[str], form: Form) -> None:
    """Quantise a loaded model in place, as if it had been written, converted and read again.

    Args:
        model: with its weights.
        weights: those to quantise, as patterns of their names.
        form: to give them.

    Raises:
        ConfigError, MissingExtraError: as ``check_runs``.
    """
    for _, layer in list(_layers(model, weights, form)):
        old = layer.weight.detach()
        check_runs(form, old.dtype, [old.device])
        new = SCHEMES[form].run(SCHEMES[form].split(old), old.dtype)
        layer.weight = nn.Parameter(new, requires_grad=False)


def check_runs(form: Form, dtype: torch.dtype, devices: Iterable[torch.device]) -> None:
    """See that a form of weights can be computed with here, before any is read.

    Raises:
        ConfigError: torch has no kernel for this dtype or device.
        MissingExtraError: torchao is not installed.
    """
    if form == "int4":
        wrong = [str(device) for device in devices if not _has_int4(device)]
        if wrong:
            raise ConfigError(
                "weights in int4 run on CUDA devices of capability 8.0 or later, and these were "
                f"to run on {', '.join(sorted(set(wrong)))}. Use a GPU (--device cuda), or convert "
                "the model with --quantise int8, which runs everywhere."
            )
        if dtype != torch.bfloat16:
            raise ConfigError(
                f"weights in int4 are computed with in bfloat16, not in {str(dtype)[6:]}; use "
                "--dtype bfloat16."
            )
    _torchao()


def stored_bytes(tensor: Tensor) -> int:
    """Bytes that a tensor takes, of a quantised one those of its parts."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return tensor.nbytes
    names, _ = tensor.__tensor_flatten__()
    return sum(stored_bytes(getattr(tensor, name)) for name in names)


def widened_bytes(tensors: Iterable[Tensor], dtype: torch.dtype) -> int:
    """Bytes that a product takes to widen the largest int8 weight among tensors, 0 without any.

    Args:
        tensors: weights as they run, or their parts.
        dtype: that is computed in.
    """
    sizes = (part.numel() for tensor in tensors for part in _parts(tensor))
    return max((size * dtype.itemsize for size in sizes), default=0)


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    """The int8 tensors of which a tensor is made."""
    if hasattr(tensor, "__tensor_flatten__"):
        for name in tensor.__tensor_flatten__()[0]:
            yield from _parts(getattr(tensor, name))
    elif tensor.dtype == torch.int8:
        yield tensor


def checked_split(name: str, weight: Tensor, form: Form) -> tuple[Tensor, ...]:
    """The parts of a weight; raises WeightsError if it holds what is no number."""
    parts = SCHEMES[form].split(weight)
    if not all(bool(part.isfinite().all()) for part in parts[1:]):
        raise WeightsError(
            f"{name}: holds infinities or values that are no numbers, which cannot be quantised; "
            "get the folder again, or convert it without --quantise."
        )
    return parts


def _layers(
    model: nn.Module, weights: Collection[str], form: Form
) -> Iterator[tuple[str, nn.Linear]]:
    """Names of weights to be quantised, and the layers that have them."""
    for path, layer in model.named_modules():
        name = f"{path}.weight"
        is_named = isinstance(layer, nn.Linear) and pattern(name) in weights
        if is_named and SCHEMES[form].fits(layer.in_features):
            yield name, layer


def _run_int8(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    values, scale = parts
    made: Tensor = _torchao().Int8Tensor(values, scale, [1, values.shape[1]], dtype)
    return made


def _run_int4(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Pack values for the kernel of CUDA devices, which differs from that of the files."""
    packed, scale, middle = parts
    out, columns = packed.shape[0], 2 * packed.shape[1]
    group = columns // scale.shape[1]
    right, below = -columns % _PACKED_COLUMNS, -out % _PACKED_ROWS
    values = torch.ops.aten._convert_weight_to_int4pack(
        F.pad(packed, (0, right // 2, 0, below)), _INNER_TILES
    )
    pairs = torch.stack([F.pad(x, (0, right // group, 0, below)) for x in (scale, middle)], dim=2)
    pairs = pairs.transpose(0, 1).contiguous()  # groups out 2
    made: Tensor = _torchao().Int4TilePackedTo4dTensor(
        values, pairs, [1, group], torch.Size((out, columns))
    )
    return made


def _group(columns: int) -> int:
    return next(group for group in _GROUPS if columns % group == 0)


def _has_int4(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= _CAPABILITY


def _torchao() -> Any:
    """The part of torchao that has its tensors."""
    try:
        with _quiet():
            from torchao import quantization  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as err:
        raise MissingExtraError(
            "this model's weights are quantised, which needs torchao; install it with: "
            'pip install "tilewise[quant]".'
        ) from err
    return quantization


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of torchao's import about kernels that are not used here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


SCHEMES: Final[dict[Form, Scheme]] = {
    "int8": Scheme(
        parts=("int8", "scale"),
        split=split_int8,
        join=join_int8,
        run=_run_int8,
        fits=lambda columns: True,
    ),
    "int4": Scheme(
        parts=("int4", "scale", "middle"),
        split=split_int4,
        join=join_int4,
        run=_run_int4,
        fits=lambda columns: columns % _GROUPS[-1] == 0,
    ),
}
"""How each form is made and used, by its name."""
