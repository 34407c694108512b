"""What a reader's network learns from packs: the loop's objective, and a whole run of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path

import torch
from torch import nn

from tilewise.adapt.freeze import part_of
from tilewise.errors import ConfigError, TrainingError
from tilewise.models.internvl.network import InternVL
from tilewise.models.pack import Pack
from tilewise.shards.bad import NAME as BAD
from tilewise.train import checkpoint
from tilewise.train.config import FREE, TrainConfig, settings
from tilewise.train.data import open_packs
from tilewise.train.distill import distillation
from tilewise.train.export import export
from tilewise.train.loop import CHECKPOINTS, LOGS, Objective, Size, Task, Trainer, shared
from tilewise.train.objectives import Loss, Reduction, loss_weights, packed_loss
from tilewise.train.ranks import Alone, Ranks, by_first, has_parts
from tilewise.train.report import Callback, read_losses
from tilewise.train.start import Reader, Start, open_model

Said = Callable[[str], None]
"""Told of what a run is about to do, in a few words."""


class Answers:
    """The loss of what packs hold to be learned: next-token cross-entropy, weighted.

    Args:
        reader: hidden states come from its network.
        reduction: how much a sample's positions weigh.
        is_checkpointed: activations are computed again in the backward pass.
    """

    def __init__(
        self, reader: Reader, reduction: Reduction, *, is_checkpointed: bool = False
    ) -> None:
        self._reader, self._reduction = reader, reduction
        self._is_checkpointed = is_checkpointed

    def __call__(self, batch: Pack) -> Loss:
        """What a pack loses."""
        labels = [example.labels for example in batch.examples]
        weights = loss_weights(labels, self._reduction)
        network = self._reader.network
        hidden = network.hidden(batch, is_checkpointed=self._is_checkpointed)
        return packed_loss(network.decoder, hidden, labels, weights)

    def size(self, batch: Pack) -> Size:
        """What a pack has."""
        return Size(len(batch), batch.tiles, batch.ids)


def run_training(
    cfg: TrainConfig,
    out: Path,
    *,
    is_resumed: bool = False,
    callbacks: Sequence[Callback] = (),
    ranks: Ranks | None = None,
    say: Said = lambda text: None,
) -> Path:
    """Train a reader and leave it in a folder, ready to be asked.

    Args:
        cfg: the whole run.
        out: its folder: ``checkpoints`` and ``log`` while it goes, in the end the model beside
            them, in the published form.
        is_resumed: go on from the newest checkpoint in ``out``.
        callbacks: told of every step.
        ranks: the processes that train together.
        say: told what is going on besides steps.

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
    say("opening the model")
    device = ranks.device(cfg.run.device)
    if ranks.world > 1 and cfg.run.sharding == "full":
        device = "cpu"  # parts go to the GPU, which may have no room for the whole
    start = open_model(cfg.model, seed=cfg.run.seed, device=device)
    say("opening the data")
    packs = open_packs(
        cfg.data,
        start.reader,
        seed=cfg.run.seed,
        workers=cfg.run.workers,
        out=out,
        rank=ranks.rank,
        world=ranks.world,
        accumulation=own,
    )
    try:
        each = packs.steps_per_epoch
        steps = total_steps(cfg, None if each is None else each * ranks.world)
        torch.manual_seed(cfg.run.seed + ranks.rank)
        module, objective, parts = _learned(start, cfg)
        task = Task(
            module=module,
            part_of=parts,
            batches=packs,
            objective=objective,
            settings=settings(cfg) | {"schedule.steps": steps},
            free=FREE,
            is_all_saved=cfg.model.is_random,
        )
        trainer = Trainer(
            task,
            cfg.optim,
            cfg.schedule,
            cfg.run,
            steps=steps,
            out=out,
            ranks=ranks,
            callbacks=callbacks,
        )
        if is_resumed:
            trainer.resume()
            say(f"resuming behind step {trainer.step} of {steps}")
        trainer.train()
    finally:
        packs.close()
    made = _whole(start, cfg, ranks)
    if made is not None:
        say("writing the model")
        export(made, out, cfg, losses=read_losses(out / LOGS))
    return out


def _whole(start: Start, cfg: TrainConfig, ranks: Ranks) -> Start | None:
    """The model in one piece, in rank 0."""
    if not has_parts(start.network):
        return start if ranks.rank == 0 else None
    tensors = ranks.whole(start.network)
    if tensors is None:
        return None
    made = open_model(cfg.model, seed=cfg.run.seed)
    made.network.load_state_dict(tensors)
    return made


def _learned(
    start: Start, cfg: TrainConfig
) -> tuple[nn.Module, Objective[Pack], Callable[[str], str]]:
    """What learns, what it loses, and the part of a parameter by its name."""
    is_checkpointed = cfg.run.is_checkpointed
    if cfg.teacher is None:
        answers = Answers(start.reader, cfg.reduction, is_checkpointed=is_checkpointed)
        return start.network, answers, part_of
    if not isinstance(start.network, InternVL):
        raise ConfigError(
            f"{start.folder}: is no InternVL, whose vision encoder alone learns from a teacher; "
            "give one, or leave out teacher."
        )
    distiller = distillation(cfg.teacher, start.network, is_checkpointed=is_checkpointed)
    return distiller, distiller, distiller.part_of


def total_steps(cfg: TrainConfig, steps_per_epoch: int | None) -> int:
    """Steps of a run.

    Args:
        cfg: says steps, or passes over the data.
        steps_per_epoch: batches in one pass, None where that is not known, as with packs.

    Raises:
        ConfigError: it says passes, and their length is not known.
    """
    if cfg.schedule.steps is not None:
        return cfg.schedule.steps
    if steps_per_epoch is None:
        raise ConfigError(
            "schedule.steps is none, and how many packs the data makes is not known before they "
            "are made; give the steps of the run (--steps)."
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
