"""From logits to ids. Pure."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise.errors import WeightsError


def choose(logits: Tensor) -> Tensor:
    """Pick the most probable id of each row; of equals, the lowest.

    Shape: (batch, vocabulary) -> (batch,), int64.

    Raises:
        WeightsError: a row has no largest value (NaN, or nothing allowed).
    """
    best = logits.max(dim=-1, keepdim=True).values
    if not bool(torch.isfinite(best).all()):
        raise WeightsError(
            "the reader's output holds no finite largest value; "
            "its weights are damaged or of another version: get them again."
        )
    return (logits == best).to(torch.uint8).argmax(dim=-1)


def log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """Natural logarithm of the probability that each row gives to its id.

    Shape: (batch, vocabulary), (batch,) -> (batch,), float32.
    """
    return torch.log_softmax(logits.float(), dim=-1).gather(-1, ids[:, None]).squeeze(-1)
