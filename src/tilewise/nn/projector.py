"""From vision width to text width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Projector(nn.Module):
    """Map merged patch tokens from vision width to text width by two layers.

    Shape: (..., vision_width) -> (..., text_width).
    """

    def __init__(self, vision_width: int, hidden: int, text_width: int) -> None:
        super().__init__()
        self.up = nn.Linear(vision_width, hidden)
        self.out = nn.Linear(hidden, text_width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(F.gelu(self.up(tokens)))
