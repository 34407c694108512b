"""Linear layers with a low-rank addition on the rows of images only.

Where images lie is known before anything runs, so it is said by ranges of positions. Rows outside
them cost nothing, and nothing is multiplied by a mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Segment(NamedTuple):
    """Positions ``start`` to ``stop`` (exclusive) of one row of a batch: an image sequence."""

    row: int
    start: int
    stop: int


Where = Sequence[Segment] | Tensor
"""Image rows of a batch: as segments, or in training as their numbers (count,) in its one row."""


def window(segments: Iterable[Segment], start: int, stop: int) -> tuple[Segment, ...]:
    """What of the segments lies in positions ``start`` to ``stop``, counted from ``start``."""
    inside = (
        Segment(s.row, max(s.start, start) - start, min(s.stop, stop) - start) for s in segments
    )
    return tuple(s for s in inside if s.start < s.stop)


class PartialLinear(nn.Linear):
    """A linear layer and, for image rows, ``scale * lora_b(lora_a(x))`` on top.

    ``rank`` 0 makes it a plain linear layer without the two extra matrices. ``dropout`` is the
    share of the addition's input that is left out in training.

    Shape: (batch, n, in) -> (batch, n, out).

    Source: Partial LoRA of InternLM-XComposer2 (arXiv 2401.16420).
    """

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        bias: bool = False,
        rank: int = 0,
        scale: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_size, out_size, bias=bias)
        self.rank, self.scale, self.dropout = rank, scale, dropout
        if rank:
            self.lora_a = nn.Linear(in_size, rank, bias=False)
            self.lora_b = nn.Linear(rank, out_size, bias=False)

    def forward(self, input: Tensor, segments: Where = ()) -> Tensor:  # noqa: A002
        y = super().forward(input)
        if isinstance(segments, Tensor):
            return self._add(y, input, segments) if self.rank else y
        if self.rank:
            up = self.lora_b.weight.t()
            for row, start, stop in segments:
                low = self.lora_a(input[row, start:stop])
                y[row, start:stop].addmm_(low, up.to(low.dtype), alpha=self.scale)
        return y

    def _add(self, y: Tensor, x: Tensor, rows: Tensor) -> Tensor:
        """All image rows at once: the gradient of each segment by itself would copy that of all."""
        x = F.dropout(x.index_select(1, rows), self.dropout, self.training)
        low = self.lora_b(self.lora_a(x))
        return y.index_add(1, rows, low.to(y.dtype), alpha=self.scale)
