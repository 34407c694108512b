"""From vision width to text width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Projector(nn.Module):
    """Map merged patch tokens from vision width to text width by two layers.

    With ``norm_eps`` a layer norm of that eps comes first, else ``norm`` is the identity.

    Shape: (..., vision_width) -> (..., text_width).
    """

    def __init__(
        self, vision_width: int, hidden: int, text_width: int, norm_eps: float | None = None
    ) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm_eps is None else nn.LayerNorm(vision_width, norm_eps)
        self.up = nn.Linear(vision_width, hidden)
        self.out = nn.Linear(hidden, text_width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(F.gelu(self.up(self.norm(tokens))))
