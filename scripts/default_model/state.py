"""What a stage of training keeps on disk, so that it can be stopped and resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from default_model.clock import Clock
from default_model.muon import Muon


@dataclass(slots=True)
class Progress:
    """How far a stage is. ``bonus``: what a curriculum has earned on top of the clock's share."""

    step: int = 0
    used_min: float = 0.0
    bonus: float = 0.0


def resume(file: Path, model: nn.Module, optimizer: Muon, minutes: float) -> Progress:
    """Load a state where there is one; after a stage of other length only its weights."""
    if not file.exists():
        return Progress()
    state = torch.load(file, weights_only=True)
    model.load_state_dict(state["model"])
    if state["stage_minutes"] != minutes:
        return Progress()
    optimizer.load_state_dict(state["optimizer"])
    return Progress(state["step"], state["used_min"], state.get("bonus", 0.0))


def save(
    file: Path, model: nn.Module, optimizer: Muon, clock: Clock, step: int, bonus: float = 0.0
) -> None:
    """Write a state so that a kill leaves the old one or the new one, never a half."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step,
         "bonus": bonus, "used_min": clock.used_min, "stage_minutes": clock.budget_min},
        part,
    )  # fmt: skip
    part.replace(file)
