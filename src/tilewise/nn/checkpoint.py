"""Layers whose activations are computed again when gradients need them, not kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run_layer(layer: nn.Module, *inputs: Any, is_checkpointed: bool) -> Tensor:
    """Run a layer and, with ``is_checkpointed``, keep of it no more than its inputs.

    Random numbers of the second run are those of the first. Without gradients both are the same.
    """
    if not is_checkpointed or not torch.is_grad_enabled():
        return layer(*inputs)
    kept: Tensor = checkpoint(layer, *inputs, use_reentrant=False)
    return kept
