"""The smallest thing to train: a network with dropout that learns a line of numbers.

Run as a program, it trains in a folder and may be killed: ``toy.py OUT STEPS [--resume]``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tilewise.train.loop import RunConfig, Size, Task, Trainer
from tilewise.train.optim import OptimConfig
from tilewise.train.report import Callback
from tilewise.train.schedule import ScheduleConfig

OPTIM = OptimConfig(lr=0.01, weight_decay=0.1)
SCHEDULE = ScheduleConfig(warmup_share=0.1)


@dataclass
class Numbers:
    """Batches of one to three rows; ``poison`` is a batch with a number that is none."""

    at: int = 0
    poison: int = -1
    given: list[int] = field(default_factory=list)

    def __next__(self) -> tuple[str, Tensor]:
        at = self.at
        self.at += 1
        self.given.append(at)
        rows = torch.arange(at, at + 1 + at % 3, dtype=torch.float32)[:, None] / 10
        return f"sample-{at}", rows.sin() * (torch.nan if at == self.poison else 1.0)

    def state(self) -> dict[str, Any]:
        return {"at": self.at}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.at = int(state["at"])


@dataclass
class Lost:
    total: Tensor
    weight: float
    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)


class Objective:
    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, batch: tuple[str, Tensor]) -> Lost:
        rows = batch[1]
        lost = (self.module(rows) - rows**2).square().sum()
        return Lost(lost, float(len(rows)), {"rows": (float(len(rows)), 1.0)})

    def size(self, batch: tuple[str, Tensor]) -> Size:
        return Size(len(batch[1]), 1, (batch[0],))


def module(drop: float = 0.2, width: int = 8) -> nn.Module:
    """A network with dropout, always with the same weights; a wide one has a layer more."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = [nn.Linear(1, width), nn.LayerNorm(width), nn.Tanh(), nn.Dropout(drop)]
        norm = [nn.Unflatten(1, (4, width // 4)), nn.BatchNorm1d(4), nn.Flatten()]
        more = [nn.Linear(width, width), *norm] if width > 8 else []
        return nn.Sequential(*first, *more, nn.Linear(width, 1))


def trainer(
    out: Path,
    steps: int | None = 60,
    *,
    drop: float = 0.2,
    width: int = 8,
    batches: Numbers | None = None,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    optim: OptimConfig = OPTIM,
    schedule: ScheduleConfig = SCHEDULE,
    note: Callable[[str], None] = lambda text: None,
    **run: Any,
) -> Trainer[tuple[str, Tensor]]:
    """A run in a folder."""
    net = module(drop, width)
    torch.manual_seed(7)
    task = Task(
        module=net,
        part_of=lambda name: "all",
        batches=batches or Numbers(),
        objective=Objective(net),
        settings=settings or {"optim.lr": OPTIM.lr},
        told=("rows",),
        measure=lambda: {"at two": float(net(torch.full((1, 1), 2.0)))},
    )
    config = RunConfig(**({"save_every": 7, "accumulation": 2} | run))
    return Trainer(
        task, optim, schedule, config, steps=steps, out=out, callbacks=callbacks, note=note
    )


def main(out: str, steps: str, resume: str = "") -> None:
    """Train, telling of each step on stdout."""
    run = trainer(Path(out), int(steps), callbacks=[lambda r: print(r.step, flush=True)])
    if resume:
        run.resume()
    run.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
