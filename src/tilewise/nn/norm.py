"""Root-mean-square norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """Scale vectors to a root mean square of one, then by a learned weight.

    The mean is taken in float32 and the result cast back before the weight is applied, which is
    the order of the published InternLM2 code; other orders round differently in half precision.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], None, self.eps) * self.weight
