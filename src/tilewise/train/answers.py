"""What a reader's network learns from packs of answers: one kind of run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tilewise.adapt.freeze import part_of
from tilewise.errors import ConfigError
from tilewise.models.internvl.network import InternVL
from tilewise.models.pack import Pack
from tilewise.settings import settings
from tilewise.train.config import FREE, TrainConfig
from tilewise.train.data import open_packs
from tilewise.train.distill import distillation
from tilewise.train.export import export
from tilewise.train.job import Job, Place
from tilewise.train.loop import LOGS, Objective, Size, Task
from tilewise.train.objectives import Loss, Reduction, loss_weights, packed_loss
from tilewise.train.ranks import Ranks, has_parts
from tilewise.train.report import read_losses
from tilewise.train.start import Reader, Start, open_model


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


def open_answers(cfg: TrainConfig, place: Place) -> Job[Pack]:
    """Open a run of a reader that is to answer, or of a vision encoder with a teacher.

    Args:
        cfg: the whole run.
        place: where it takes place.

    Raises:
        ConfigError, WeightsError, SourceError, DataError: settings, model or data cannot be used.
    """
    ranks = place.ranks
    place.say("opening the model")
    is_split = ranks.world > 1 and cfg.run.sharding == "full"
    start = open_model(
        cfg.model,
        seed=cfg.run.seed,
        # Parts go to the GPU, which may have no room for the whole; rank 0 hands them out.
        device="cpu" if is_split else ranks.device(cfg.run.device),
        is_empty=is_split and ranks.rank > 0 and cfg.teacher is None,
    )
    place.say("opening the data")
    packs = open_packs(
        cfg.data,
        start.reader,
        seed=cfg.run.seed,
        workers=cfg.run.workers,
        out=place.out,
        rank=ranks.rank,
        world=ranks.world,
        accumulation=place.own,
    )
    try:
        torch.manual_seed(cfg.run.seed + ranks.rank)
        module, objective, parts = _learned(start, cfg)
    except BaseException:
        packs.close()
        raise
    task = Task(
        module=module,
        part_of=parts,
        batches=packs,
        objective=objective,
        settings=settings(cfg),
        free=FREE,
        is_all_saved=cfg.model.is_random,
    )

    def finish() -> None:
        made = _whole(start, cfg, ranks)
        if made is not None:
            place.say("writing the model")
            export(made, place.out, cfg, losses=read_losses(place.out / LOGS))

    each = packs.steps_per_epoch
    return Job(
        task=task,
        steps_per_epoch=None if each is None else each * ranks.world,
        finish=finish,
        close=packs.close,
    )


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
