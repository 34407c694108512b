"""Runs of the smallest thing to train, by as many processes as launched this one.

``together.py FOLDER PHASE...``: see ``PHASES``. Losses lie in the log of the folder of each phase.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tests.train import toy
from tilewise.train.loop import RunConfig, Task, Trainer
from tilewise.train.parallel import Together, joined, leave
from tilewise.train.ranks import Alone, Ranks, is_launched
from tilewise.train.report import StepReport

STEPS: Final = 16
HALF: Final = 8


class SharedNumbers(toy.Numbers):
    """Each rank takes its share of the batches of ``toy.Numbers``; states are as ``Packs`` has."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__(at=ranks.rank)
        self._world = ranks.world

    def __next__(self) -> tuple[str, Tensor]:
        batch = super().__next__()
        self.at += self._world - 1
        return batch

    def state(self) -> dict[str, Any]:
        return {"mix": {"next": self.at, "drawn": {}}, "open": [], "bad": {}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.at = int(state["mix"]["next"])


def run_config(sharding: str = "none") -> RunConfig:
    return RunConfig(
        accumulation=4,
        save_every=HALF,
        device="cpu",
        sharding="full" if sharding == "full" else "none",
        rank_timeout_s=60,
    )


def train(
    ranks: Ranks,
    out: Path,
    run: RunConfig,
    steps: int = STEPS,
    *,
    is_resumed: bool = False,
    is_empty: bool = False,
    at_step: Callable[[int], None] = lambda step: None,
) -> None:
    net: Any = toy.module(0.0)
    if is_empty and ranks.rank:
        net.to("meta")
    net[1].bias = net[0].bias  # as adapters of layers that are published as one share a matrix
    batches = SharedNumbers(ranks)
    if ranks.rank != 0:  # these have no callbacks
        batches = _Watched(ranks, at_step)

    def told(report: StepReport) -> None:
        at_step(report.step)

    task = Task(
        module=net,
        part_of=lambda name: "all",
        batches=batches,
        objective=toy.Objective(net),
        settings={"optim.lr": toy.OPTIM.lr},
        told=("rows",),
    )
    trainer = Trainer(
        task, toy.OPTIM, toy.SCHEDULE, run, steps=STEPS, out=out, ranks=ranks, callbacks=[told]
    )
    if is_resumed:
        trainer.resume()
    if steps == STEPS:
        trainer.train()
        return
    for _ in range(steps):
        trainer.take()
    trainer.save()


class _Watched(SharedNumbers):
    """Tells of each step that begins behind the first."""

    def __init__(self, ranks: Ranks, at_step: Callable[[int], None]) -> None:
        super().__init__(ranks)
        self._tell, self._first, self._own = at_step, ranks.rank, 4 // ranks.world

    def __next__(self) -> tuple[str, Tensor]:
        done, within = divmod((self.at - self._first) // self._world, self._own)
        if done and not within:
            self._tell(done)
        return super().__next__()


def _killed(ranks: Ranks, out: Path) -> None:
    """The last rank dies in step 11, where no one can help it."""

    def die(step: int) -> None:
        if step == 10 and ranks.rank == ranks.world - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    train(ranks, out, run_config(), at_step=die)


def _refused(ranks: Ranks, out: Path) -> None:
    """The last rank finds a loss that is no number, of which all hear."""
    batches = SharedNumbers(ranks)
    batches.poison = 4 * 10 + ranks.world - 1
    net = toy.module(0.0)
    task = Task(
        module=net,
        part_of=lambda name: "all",
        batches=batches,
        objective=toy.Objective(net),
        settings={},
        told=("rows",),
    )
    run = run_config()
    Trainer(task, toy.OPTIM, toy.SCHEDULE, run, steps=STEPS, out=out, ranks=ranks).train()


def _slow(ranks: Ranks, out: Path) -> None:
    """A run that waits to be stopped."""
    import time

    def wait(step: int) -> None:
        if ranks.rank == 0:
            print(f"step {step}", flush=True)
        time.sleep(0.2)

    train(ranks, out, run_config(), at_step=wait)


PHASES: Final[Mapping[str, Callable[[Ranks, Path], None]]] = {
    "none": lambda ranks, out: train(ranks, out, run_config()),
    "full": lambda ranks, out: train(ranks, out, run_config("full")),
    "empty-full": lambda ranks, out: train(ranks, out, run_config("full"), is_empty=True),
    "half-none": lambda ranks, out: train(ranks, out, run_config(), HALF),
    "half-full": lambda ranks, out: train(ranks, out, run_config("full"), HALF),
    "resume-none": lambda ranks, out: train(ranks, out, run_config(), is_resumed=True),
    "resume-full": lambda ranks, out: train(ranks, out, run_config("full"), is_resumed=True),
    "killed": _killed,
    "refused": _refused,
    "slow": _slow,
}


def main(folder: str, *phases: str) -> None:
    """Run phases; ``NAME=PHASE`` runs one in the folder NAME, else the name is the phase's."""
    scope: AbstractContextManager[Any] = nullcontext()
    if is_launched():
        scope = joined(run_config())
    with scope as group:
        for word in phases:
            name, _, phase = word.rpartition("=")
            run = run_config(phase.rpartition("-")[2])
            ranks = Alone() if group is None else Together(run, torch.device("cpu"))
            PHASES[phase](ranks, Path(folder) / (name or phase))


if __name__ == "__main__":
    from tilewise.errors import TilewiseError

    try:
        main(*sys.argv[1:])
    except TilewiseError as err:
        print(f"Error: {err}", file=sys.stderr, flush=True)
        raise SystemExit(1) from err
    if is_launched():
        leave()
