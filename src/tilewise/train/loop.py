"""The one training loop: batches and a loss come in, steps, reports and checkpoints come out.

It knows nothing of pages or models. A step takes ``accumulation`` batches, adds up what each loses,
divides the gradients once by all that they weigh together, clips and steps. So batches that are
accumulated are one big batch, whatever their sizes: a mean of means would count a short batch's
tokens more than a long one's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from tilewise.errors import ConfigError, TrainingError
from tilewise.records import Pixels
from tilewise.train import checkpoint
from tilewise.train.length import Length, ProcessorTime
from tilewise.train.optim import (
    OptimConfig,
    learning,
    optimiser,
    parameter_groups,
    scaled_gradients,
    set_lr,
)
from tilewise.train.ranks import BATCHES, Alone, Lost, Ranks
from tilewise.train.repeatable import repeatable
from tilewise.train.report import Callback, Log, Speed, StepReport, peak_memory_mib, said
from tilewise.train.schedule import ScheduleConfig, lr_share
from tilewise.train.stopping import stop_signals
from tilewise.weights.names import listed

CHECKPOINTS: Final = "checkpoints"
LOGS: Final = "log"

Precision = Literal["float32", "bfloat16"]
"""``bfloat16``: weights and the optimiser stay in float32, products run in bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How a run goes on its machines.

    ``seed`` starts all random numbers. A step is ``accumulation`` batches, which the processes of
    the run share. ``save_every`` counts steps between checkpoints, of which the last ``keep`` stay,
    ``measure_every`` those between looks at held-out data where the task has some, 0 for none.
    ``workers`` of each process prepare batches. ``is_checkpointed``: activations are computed
    again in the backward pass, not kept. ``sharding``: "none" keeps the network whole in each
    process, "full" splits it over them. A process waits for others ``rank_timeout_s`` at most.
    """

    seed: int = 0
    device: str = "auto"
    precision: Precision = "float32"
    accumulation: int = 1
    is_checkpointed: bool = False
    workers: int = 0
    save_every: int = 500
    measure_every: int = 0
    keep: int = 2
    sharding: Literal["none", "full"] = "none"
    rank_timeout_s: int = 1800

    def __post_init__(self) -> None:
        for name in ("accumulation", "save_every", "keep", "rank_timeout_s"):
            if getattr(self, name) < 1:
                raise ConfigError(f"run.{name} is {getattr(self, name)}; give 1 or more.")
        for name in ("workers", "measure_every"):
            if getattr(self, name) < 0:
                raise ConfigError(f"run.{name} is {getattr(self, name)}; give 0 or more.")


class Size(NamedTuple):
    """What a batch has: positions, tiles, and the ids of its samples."""

    tokens: int
    tiles: int
    ids: tuple[str, ...]


Batch = TypeVar("Batch")
BatchIn = TypeVar("BatchIn", contravariant=True)
BatchOut = TypeVar("BatchOut", covariant=True)


class Batches(Protocol[BatchOut]):
    """An endless row of batches that can be taken up where it was."""

    def __next__(self) -> BatchOut:
        """The next batch."""

    def state(self) -> dict[str, Any]:
        """Where the row stands behind the batches given out so far, as plain JSON."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of ``state``."""


class Objective(Protocol[BatchIn]):
    """What is learned from a batch."""

    def __call__(self, batch: BatchIn) -> Lost:
        """What the batch loses."""

    def size(self, batch: BatchIn) -> Size:
        """What the batch has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[Batch]):
    """All that a run is about: a network, batches, and what is learned from them.

    ``part_of`` gives the part of a parameter by its name. ``settings`` are compared on resuming,
    but for those that ``free`` names. Checkpoints hold the weights that learn, and the others
    too where ``is_all_saved``.

    ``told`` names numbers that the objective tells beside the loss: what a batch loses then has a
    mapping ``numbers`` of names to (sum, count). ``measure`` gives shares and the like of held-out
    data, and ``pictures`` pictures of it by name; the network is in its mode for use meanwhile.
    ``follow`` is told of every step in every
    process, with the same numbers: what comes next may depend on them.
    """

    module: nn.Module
    part_of: Callable[[str], str]
    batches: Batches[Batch]
    objective: Objective[Batch]
    settings: Mapping[str, Any]
    free: frozenset[str] = frozenset()
    is_all_saved: bool = True
    told: tuple[str, ...] = ()
    measure: Callable[[], Mapping[str, float]] | None = None
    follow: Callable[[StepReport], None] | None = None
    pictures: Callable[[], Mapping[str, Pixels]] | None = None


class Trainer(Generic[Batch]):
    """A run: its optimiser, where it stands, and what takes it further.

    Args:
        task: what is learned.
        optim, schedule, run: settings.
        steps: of the whole run; None where its length is ``schedule.minutes``.
        out: folder of the run.
        ranks: the processes that train together.
        callbacks: told of every step.
        note: told what held-out data says, in a line.
    """

    def __init__(
        self,
        task: Task[Batch],
        optim: OptimConfig,
        schedule: ScheduleConfig,
        run: RunConfig,
        *,
        steps: int | None,
        out: Path,
        ranks: Ranks | None = None,
        callbacks: Sequence[Callback] = (),
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.task, self.step = task, 0
        self._length, self._time = Length(steps, schedule.minutes), ProcessorTime()
        self._optim, self._schedule, self._run = optim, schedule, run
        self._out, self._callbacks, self._note = out, callbacks, note
        self._ranks: Ranks = Alone() if ranks is None else ranks
        self._own = shared(run.accumulation, self._ranks.world)
        self._lose = self._ranks.spread(task.module, task.objective)
        self._optimiser = optimiser(parameter_groups(task.module, task.part_of, optim), optim)
        self._weights = [weight for _, weight in learning(task.module)]
        self._device = self._weights[0].device
        self._speed = Speed()

    def resume(self) -> None:
        """Go on from the newest checkpoint.

        Raises:
            TrainingError: there is none, it cannot be read, or it is of another run.
        """
        folder = self._out / CHECKPOINTS
        newest = checkpoint.latest(folder)
        if newest is None:
            raise TrainingError(
                f"{folder}: there is no checkpoint to resume from; leave out --resume to begin."
            )
        kept = checkpoint.load_others(newest)
        checkpoint.check_same(
            kept.notes.get("settings", {}), self.task.settings, self.task.free, newest
        )
        batches = self._ranks.restore(newest, self.task.module, self._optimiser)
        self.task.batches.load_state(batches)
        self.step = kept.step
        self._length.used_s = float(kept.notes.get("used_s", 0.0))
        self._time.go_on(self._length.used_s / self._ranks.world)

    def save(self) -> Path:
        """Write a checkpoint; raises TrainingError where that fails."""
        module, is_all = self.task.module, self.task.is_all_saved
        model: dict[str, Tensor] = {
            name: weight
            for name, weight in module.named_parameters()  # a weight with two names comes once
            if is_all or weight.requires_grad
        }
        named = module.state_dict().keys() if is_all else ()
        model |= {name: value for name, value in module.named_buffers() if name in named}
        snapshot = checkpoint.Snapshot(
            step=self.step,
            model=model,
            optimiser=checkpoint.optimiser_tensors(self._optimiser),
            rng=checkpoint.random_states(),
            notes={
                "settings": self.task.settings,
                "used_s": self._length.used_s,
                BATCHES: self.task.batches.state(),
            },
        )
        return self._ranks.save(self._out / CHECKPOINTS, snapshot, self._run.keep)

    def train(self) -> None:
        """Take all steps that are left, with reports and checkpoints.

        Ctrl-C, or the signal TERM, ends the run behind the step that is going on, with a
        checkpoint; a second one ends it at once.

        Raises:
            TrainingError: a loss or gradient is no number, or a checkpoint cannot be written.
            KeyboardInterrupt: it was asked to end, and has written its checkpoint.
        """
        is_first = self._ranks.rank == 0
        log = Log(self._out / LOGS, self._callbacks, self.step) if is_first else None
        self.task.module.train()
        try:
            with stop_signals() as stopped:
                while not self._is_over:
                    report = self.take()
                    if log is not None:
                        log(report)
                    is_asked = self._ranks.sum([stopped.is_set()])[0] > 0  # all end behind one step
                    if log is not None and self._is_due(self._run.measure_every):
                        self._measure(log)
                    if is_asked or self._is_due(self._run.save_every):
                        self.save()
                    if is_asked and not self._is_over:
                        raise KeyboardInterrupt
        finally:
            if log is not None:
                log.close()

    def take(self) -> StepReport:
        """Take one step.

        Raises:
            TrainingError: a loss or gradient is no number; the batch is named and no weight has
                changed.
        """
        began = time.perf_counter()
        batches = [next(self.task.batches) for _ in range(self._own)]
        sizes = [self.task.objective.size(batch) for batch in batches]
        lost = weight = 0.0
        told = {name: [0.0, 0.0] for name in self.task.told}
        odd: list[str] = []
        for number, (batch, size) in enumerate(zip(batches, sizes, strict=True), 1):
            with self._ranks.summing(is_last=number == self._own), repeatable(self._device):
                with self._autocast():
                    found = self._lose(batch)
                found.total.backward()
            value = float(found.total.detach())
            odd += size.ids if not math.isfinite(value) else ()
            lost, weight = lost + value, weight + float(found.weight)
            for name, (total, count) in getattr(found, "numbers", {}).items():
                told[name] = [told[name][0] + total, told[name][1] + count]
        tokens, tiles = sum(size.tokens for size in sizes), sum(size.tiles for size in sizes)
        # Every rank learns here of another's loss that is no number, so that none waits for it.
        flat = [number for pair in told.values() for number in pair]
        used_s = self._time() + float(getattr(self.task.batches, "worker_s", 0.0))
        lost, weight, *sums = self._ranks.sum([lost, weight, used_s, tokens, tiles, *flat])
        if not math.isfinite(lost):
            raise self._fault(f"the loss is {lost}", odd)
        norm = self._update(weight, [i for size in sizes for i in size.ids])
        loss, step_s = lost / weight if weight else 0.0, time.perf_counter() - began
        report = self._report(loss, norm, sums, step_s)
        if self.task.follow is not None:
            self.task.follow(report)
        return report

    @property
    def _is_over(self) -> bool:
        return self._length.is_over(self.step)

    def _is_due(self, every: int) -> bool:
        """Whether something that is done now and then, and in the end, is to be done."""
        return every > 0 and (self.step % every == 0 or self._is_over)

    def _measure(self, log: Log) -> None:
        """See what held-out data says; nothing of the run changes by it."""
        if self.task.measure is None:
            return
        self.task.module.eval()
        with torch.inference_mode(), torch.random.fork_rng():
            numbers = self.task.measure()
            pictures = self.task.pictures() if self.task.pictures is not None else {}
        self.task.module.train()
        log.measured(self.step, numbers, pictures)
        self._note(f"step {self.step}, held out: {said(numbers)}")

    def _update(self, weight: float, ids: Sequence[str]) -> float:
        """Change the weights by the gradients there are; gives their norm.

        Gradients of several ranks are means over them, so they are divided by a mean as well.
        """
        gradients = scaled_gradients(self._weights, weight / self._ranks.world or 1.0)
        norm = self._ranks.norm(gradients)
        if not math.isfinite(norm):
            raise self._fault(f"the norm of the gradients is {norm}", ids)
        if self._optim.clip_norm is not None and norm > self._optim.clip_norm:
            torch._foreach_mul_(gradients, self._optim.clip_norm / norm)
        set_lr(self._optimiser, self._lr())
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return norm

    def _lr(self) -> float:
        total = self._length.steps(self.step)
        return self._optim.lr * lr_share(self.step, total, self._schedule)

    def _report(self, loss: float, norm: float, sums: Sequence[float], step_s: float) -> StepReport:
        """Count the step in; ``sums`` are processor time, tokens, tiles, and what is told."""
        lr = self._lr()
        self.step += 1
        self._length.used_s, tokens, tiles = sums[0], round(sums[1]), round(sums[2])
        pairs = zip(self.task.told, sums[3::2], sums[4::2], strict=True)
        steps = round(self._length.steps(self.step))
        tokens_per_s, tiles_per_s, mean_s = self._speed.add(step_s, tokens, tiles)
        return StepReport(
            step=self.step,
            steps=steps,
            loss=loss,
            lr=lr,
            norm=norm,
            tokens=tokens,
            tiles=tiles,
            step_s=step_s,
            tokens_per_s=tokens_per_s,
            tiles_per_s=tiles_per_s,
            left_s=mean_s * (steps - self.step),
            memory_mib=peak_memory_mib(self._device),
            skipped=int(getattr(self.task.batches, "skipped", 0)),
            used_s=self._length.used_s,
            numbers={name: total / count for name, total, count in pairs if count},
        )

    def _autocast(self) -> torch.autocast:
        is_half = self._run.precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=is_half)

    def _fault(self, what: str, own: Sequence[str]) -> TrainingError:
        ids = [name for rank in self._ranks.gather(list(own)) for name in rank]
        newest = checkpoint.latest(self._out / CHECKPOINTS)
        kept = (
            f"{newest} is the last good checkpoint" if newest else "no checkpoint was written yet"
        )
        return TrainingError(
            f"{what} in step {self.step + 1}, whose samples are {listed(ids)}; {kept}. "
            "Look at these samples, or lower optim.lr, and go on with --resume."
        )


def shared(accumulation: int, world: int) -> int:
    """Batches of a step that each process takes.

    Raises:
        ConfigError: they are not as many for each.
    """
    if accumulation % world:
        raise ConfigError(
            f"run.accumulation is {accumulation}, and {world} processes share the batches of a "
            f"step; give a multiple of {world}."
        )
    return accumulation // world
