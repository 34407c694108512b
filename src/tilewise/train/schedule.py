"""The learning rate of a step as a share of its peak: a pure function of the step."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, cos, pi
from typing import Literal

from tilewise.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """How many steps there are, and how the learning rate goes.

    ``steps`` is the length of the run; where that is None, ``minutes`` of processor time, those of
    all processes together; where that is None too, ``epochs`` passes over the data. The rate
    rises in a straight line over ``warmup_steps``, or over ``warmup_share`` of all steps where
    that is None, from 0 on, or without ``has_zero_step`` from one part of that on. It stays at
    its peak until ``hold_share`` of the run is over, and then goes down by ``shape`` to
    ``final_share`` of its peak.
    """

    steps: int | None = None
    minutes: float | None = None
    epochs: float = 1.0
    warmup_share: float = 0.03
    warmup_steps: int | None = None
    has_zero_step: bool = True
    hold_share: float = 0.0
    shape: Literal["cosine", "linear", "constant"] = "cosine"
    final_share: float = 0.0

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"schedule.steps is {self.steps}; give 1 or more, or none.")
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(
                f"schedule.minutes is {self.minutes}; give a number above 0, or none."
            )
        if not self.epochs > 0:
            raise ConfigError(f"schedule.epochs is {self.epochs}; give a number above 0.")
        for name in ("warmup_share", "hold_share", "final_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"schedule.{name} is {getattr(self, name)}; it is a share from 0 to 1."
                )
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ConfigError(f"schedule.warmup_steps is {self.warmup_steps}; give 0 or more.")


def warmup_steps(cfg: ScheduleConfig, total: float) -> int:
    """Steps of the rise of a run of ``total`` steps; a share is rounded up."""
    if cfg.warmup_steps is not None:
        return min(cfg.warmup_steps, ceil(total))
    return ceil(cfg.warmup_share * total)


def lr_share(step: int, total: float, cfg: ScheduleConfig) -> float:
    """The share of the peak learning rate that a step has.

    Args:
        step: counted from 0, the first update.
        total: steps of the whole run; an estimate where its length is a time.
        cfg: the shape.

    Returns:
        0 to 1. The first step of a rise has 0, unless the config says otherwise, and the peak
        comes right behind the rise, as in the schedules that the published runs used.
    """
    rise = warmup_steps(cfg, total)
    if step < rise:
        return (step if cfg.has_zero_step else step + 1) / rise
    start = max(rise, cfg.hold_share * total)
    if cfg.shape == "constant" or step <= start:
        return 1.0
    done = min((step - start) / max(1, total - start), 1.0)
    left = 1 - done if cfg.shape == "linear" else (1 + cos(pi * done)) / 2
    return cfg.final_share + (1 - cfg.final_share) * left
