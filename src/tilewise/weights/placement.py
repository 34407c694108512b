"""Which part of a model lies on which device, planned from sizes alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilewise.errors import WeightsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a model that stays together, such as one layer: its name and its bytes.

    ``size_bytes`` counts weights and what is kept beside them, such as the layer's keys and values.
    """

    name: str
    size_bytes: int


def place(
    parts: Sequence[Part], budgets: Mapping[str, int], *, what: str = "the model"
) -> dict[str, str]:
    """Lay parts on devices in the order in which they run.

    Each device is filled before the next is begun, so what passes from part to part changes
    device as rarely as can be, and a model that fits on the first device lies there alone. Where
    any cut into runs of parts fits, this one does: it leaves the least for later devices.

    Args:
        parts: in running order, all of the model; names differ.
        budgets: bytes that each device has for them, the first to be filled first.
        what: how a message calls the model.

    Returns:
        The device of each part, by name, in the order of ``parts``.

    Raises:
        WeightsError: they do not fit.
    """
    left = dict(budgets)
    devices = list(budgets)
    at = 0
    placed: dict[str, str] = {}
    for part in parts:
        while at < len(devices) and left[devices[at]] < part.size_bytes:
            at += 1
        if at == len(devices):
            raise WeightsError(_too_small(parts, budgets, placed, what))
        left[devices[at]] -= part.size_bytes
        placed[part.name] = devices[at]
    return placed


def _too_small(
    parts: Sequence[Part], budgets: Mapping[str, int], placed: Mapping[str, str], what: str
) -> str:
    total = sum(part.size_bytes for part in parts)
    free = ", ".join(f"{device} {size / 2**30:.1f} GiB" for device, size in budgets.items())
    return (
        f"{what} needs {total / 2**30:.1f} GiB and there is room for {len(placed)} of its "
        f"{len(parts)} parts ({free or 'no device'}); choose a smaller dtype (--dtype bfloat16), "
        "--device auto, or a machine with more memory."
    )
