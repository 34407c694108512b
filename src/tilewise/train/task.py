"""A whole run of any kind: what its settings open is trained by the loop, and then written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, Final

from tilewise.errors import ConfigError, TrainingError
from tilewise.shards.bad import NAME as BAD
from tilewise.train import checkpoint
from tilewise.train.answers import open_answers
from tilewise.train.config import TrainConfig
from tilewise.train.job import AnyConfig, Job, Place, Said
from tilewise.train.loop import CHECKPOINTS, LOGS, Trainer, shared
from tilewise.train.nano.config import StageConfig
from tilewise.train.nano.stage import open_stage
from tilewise.train.ranks import Alone, Ranks, by_first
from tilewise.train.report import Callback
from tilewise.train.superres.config import SuperresConfig
from tilewise.train.superres.job import open_superres

OPENERS: Final[Mapping[type, Callable[[Any, Place], Job[Any]]]] = {
    TrainConfig: open_answers,
    StageConfig: open_stage,
    SuperresConfig: open_superres,
}
"""What opens a run, by the type of its settings."""


def run_training(
    cfg: AnyConfig,
    out: Path,
    *,
    is_resumed: bool = False,
    callbacks: Sequence[Callback] = (),
    ranks: Ranks | None = None,
    say: Said = lambda text: None,
    note: Said = lambda text: None,
) -> Path:
    """Train a model and leave it in a folder, ready to be used.

    Args:
        cfg: the whole run, of a type that ``OPENERS`` names.
        out: its folder: ``checkpoints`` and ``log`` while it goes, in the end the model beside
            them, in the published form.
        is_resumed: go on from the newest checkpoint in ``out``.
        callbacks: told of every step.
        ranks: the processes that train together.
        say: told what is going on besides steps.
        note: told what held-out data says, in a line.

    Returns:
        ``out``.

    Raises:
        ConfigError, WeightsError, SourceError: settings, model or data cannot be used.
        TrainingError: the run cannot start or go on.
        KeyboardInterrupt: it was stopped, and has written a checkpoint.
    """
    ranks = ranks or Alone()
    by_first(ranks, lambda: check_out(out, is_resumed=is_resumed))
    own = shared(cfg.run.accumulation, ranks.world)
    job = OPENERS[type(cfg)](cfg, Place(out=out, ranks=ranks, own=own, say=say))
    try:
        steps = total_steps(cfg, job.steps_per_epoch)
        trainer = Trainer(
            replace(job.task, settings={**job.task.settings, "schedule.steps": steps}),
            cfg.optim,
            cfg.schedule,
            cfg.run,
            steps=steps,
            out=out,
            ranks=ranks,
            callbacks=callbacks,
            note=note,
        )
        if is_resumed:
            trainer.resume()
            say(f"resuming behind step {trainer.step}{'' if steps is None else f' of {steps}'}")
        trainer.train()
    finally:
        job.close()
    job.finish()
    return out


def total_steps(cfg: AnyConfig, steps_per_epoch: int | None) -> int | None:
    """Steps of a run, None where its length is a time.

    Args:
        cfg: says steps, minutes, or passes over the data.
        steps_per_epoch: batches in one pass, None where that is not known, as with packs.

    Raises:
        ConfigError: it says passes, and their length is not known.
    """
    if cfg.schedule.steps is not None:
        return cfg.schedule.steps
    if cfg.schedule.minutes is not None:
        return None
    if steps_per_epoch is None:
        raise ConfigError(
            "schedule.steps is none, and how long a pass over the data is cannot be known before "
            "it is made; give the steps of the run (--steps) or its processor minutes (--minutes)."
        )
    return max(1, ceil(cfg.schedule.epochs * steps_per_epoch / cfg.run.accumulation))


def check_out(out: Path, *, is_resumed: bool) -> None:
    """See that a run may write in a folder.

    Raises:
        ConfigError: it is a file, or holds something else than the run.
        TrainingError: there is nothing to resume from.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; give a folder for the run (--out).")
    newest = checkpoint.latest(out / CHECKPOINTS)
    if is_resumed and newest is None:
        raise TrainingError(
            f"{out / CHECKPOINTS}: there is no checkpoint to resume from; leave out --resume to "
            "begin."
        )
    if not is_resumed and newest is not None:
        raise ConfigError(
            f"{out}: holds a run already, up to {newest.name}; go on with --resume, or give "
            "another folder (--out)."
        )
    if not is_resumed and out.is_dir() and any(out.iterdir()):
        stem, _, ending = BAD.partition(".")  # each process has a list of its own
        lists = {path.name for path in out.glob(f"{stem}*.{ending}")}
        others = sorted({path.name for path in out.iterdir()} - {LOGS, CHECKPOINTS} - lists)
        if others:
            raise ConfigError(
                f"{out}: is not empty (it has {others[0]}); give a new folder for the run (--out)."
            )
