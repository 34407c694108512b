"""A stage of the default reader's training as a run: what its settings open, and what is left."""

from __future__ import annotations

import copy
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from tilewise.errors import TrainingError
from tilewise.models.folders import find
from tilewise.models.nano.config import NanoConfig
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.parts import Parts, draw_parts, read_parts, write_parts
from tilewise.models.nano.proof import Proofreader
from tilewise.models.nano.sight import fused
from tilewise.settings import settings
from tilewise.synth.real import RealPages
from tilewise.train.config import FREE
from tilewise.train.drawn import Drawn, Make
from tilewise.train.export import RECIPE, commit
from tilewise.train.job import Job, Place
from tilewise.train.loop import LOGS, Batches, Objective, Task
from tilewise.train.nano import encoder as encoder_stage
from tilewise.train.nano.cases import oracle_cases
from tilewise.train.nano.config import Stage, StageConfig
from tilewise.train.nano.decoder import (
    MOST_TILES,
    ORACLE_SEED,
    RENDERED_SEED,
    TOLD,
    Answering,
    CaseBatches,
    Growing,
    HeldCases,
    mixed,
    oracle,
)
from tilewise.train.nano.history import (
    Stretch,
    curve,
    read_history,
    sources,
    write_history,
)
from tilewise.train.nano.proof import HeldPages, ProofPages, Proofreading, Replayed
from tilewise.train.nano.rendered import rendered_cases
from tilewise.train.nano.tiles import CHUNK, TileBatches
from tilewise.train.report import NUMBERS, StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a stage hands to the loop; ``drawn`` is to be closed in the end."""

    module: nn.Module
    batches: Batches[Any]
    objective: Objective[Any]
    measure: Callable[[], Mapping[str, float]]
    drawn: Drawn[Any]
    told: tuple[str, ...] = ()
    follow: Callable[[StepReport], None] | None = None


def open_stage(cfg: StageConfig, place: Place) -> Job[Any]:
    """Open a stage.

    Args:
        cfg: the whole run.
        place: where it takes place.

    Raises:
        WeightsError: the folder to begin with cannot be read.
        SourceError: there are no real pages where they were said to be.
    """
    place.say("opening the model")
    folder = find(cfg.model.folder) if cfg.model.folder else None
    parts = begin(cfg, folder)
    real = RealPages(cfg.data.real, "train") if cfg.data.real else None
    torch.manual_seed(cfg.run.seed + place.ranks.rank)
    learned = _STAGES[cfg.stage](cfg, parts, real, place)
    task = Task(
        module=learned.module,
        part_of=lambda name: PART_OF[cfg.stage],
        batches=learned.batches,
        objective=learned.objective,
        settings=settings(cfg),
        free=FREE,
        told=learned.told,
        measure=learned.measure,
        follow=learned.follow,
    )

    def finish() -> None:
        if place.ranks.rank == 0:
            place.say("writing the model")
            leave(cfg, parts, folder, place.out)

    return Job(task=task, steps_per_epoch=None, finish=finish, close=learned.drawn.close)


PART_OF: Final[Mapping[Stage, str]] = {
    "encoder": "encoder",
    "proof": "proof",
    "decoder": "decoder",
    "joint": "decoder",
}
"""The part that learns, by stage."""


def begin(cfg: StageConfig, folder: Path | None) -> Parts:
    """The parts that a stage begins with, read from a folder or drawn."""
    if folder is None:
        return draw_parts(NanoConfig(), cfg.run.seed)
    parts = read_parts(folder)
    if not cfg.model.is_random:
        return parts
    name = PART_OF[cfg.stage]
    return parts._replace(**{name: getattr(draw_parts(parts.cfg, cfg.run.seed), name)})


def leave(cfg: StageConfig, parts: Parts, folder: Path | None, out: Path) -> None:
    """Write the reader, its settings, and where it comes from.

    Args:
        cfg: of the stage.
        parts: all of the reader, one of which has learned.
        folder: what it began with, None for random weights.
        out: the run's folder.

    Raises:
        TrainingError: it cannot be written.
    """
    last = json.loads((out / LOGS / NUMBERS).read_text(encoding="utf-8").splitlines()[-1])
    own = Stretch(
        stage=cfg.stage,
        made_by=f"tilewise train {cfg.name}",
        is_fresh=folder is None or cfg.model.is_random,
        minutes=round(last["used_s"] / 60, 1),
        seed=cfg.run.seed,
        commit=commit(),
        machine=f"{platform.machine()}, torch {torch.__version__}",
        sources=sources(Path(cfg.data.real)) if cfg.data.real else (),
        curve=curve(out / LOGS),
    )
    before = read_history(folder) if folder is not None else ()
    values = json.dumps(settings(cfg), indent=1, ensure_ascii=False) + "\n"
    try:
        (out / RECIPE).write_text(values, encoding="utf-8")
        write_history(out, [*before, own])
        write_parts(parts, out, {"seed": cfg.run.seed})
    except OSError as err:
        raise TrainingError(
            f"{out}: the model cannot be written ({err.strerror or err}); its checkpoints are "
            "there. Make room and write it with --resume."
        ) from err


def _encoder(cfg: StageConfig, parts: Parts, real: RealPages | None, place: Place) -> Learned:
    encoder = parts.encoder
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    drawn = _drawn(cfg, TileBatches(cfg.run.seed, real, cfg.data.tiles), place, size=CHUNK)
    return Learned(
        module=encoder,
        batches=drawn,
        objective=encoder_stage.Reading(encoder),
        measure=partial(encoder_stage.held_out, encoder, cfg.data.held),
        drawn=drawn,
    )


def _proof(cfg: StageConfig, parts: Parts, real: RealPages | None, place: Place) -> Learned:
    eyes, _ = _readers(parts)
    drawn = _drawn(cfg, ProofPages(cfg.run.seed, eyes, real), place)
    return Learned(
        module=parts.proof,
        batches=Replayed(drawn, cfg.run.seed, cfg.data.kept),
        objective=Proofreading(parts.proof),
        measure=HeldPages(parts.proof, eyes, cfg.data.held),
        drawn=drawn,
    )


def _decoder(cfg: StageConfig, parts: Parts, real: RealPages | None, place: Place) -> Learned:
    drawn = _drawn(cfg, CaseBatches(cfg.run.seed, oracle, cfg.data.tokens), place, level=1)
    growing = Growing(drawn)
    held = oracle_cases(ORACLE_SEED, "test", most_tiles=MOST_TILES, count=10)
    return Learned(
        module=parts.decoder,
        batches=growing,
        objective=Answering(parts.decoder),
        measure=HeldCases(parts.decoder, held, cfg.data.held),
        drawn=drawn,
        told=TOLD,
        follow=growing.follow,
    )


def _joint(cfg: StageConfig, parts: Parts, real: RealPages | None, place: Place) -> Learned:
    eyes, proof = _readers(parts)
    make = CaseBatches(cfg.run.seed, partial(mixed, eyes, proof, real), cfg.data.tokens)
    drawn = _drawn(cfg, make, place, level=MOST_TILES)
    held = rendered_cases(eyes, proof, RENDERED_SEED, "test", most_tiles=MOST_TILES, count=10)
    return Learned(
        module=parts.decoder,
        batches=drawn,
        objective=Answering(parts.decoder),
        measure=HeldCases(parts.decoder, held, cfg.data.held),
        drawn=drawn,
        told=TOLD,
    )


_STAGES: Final[Mapping[Stage, Callable[[StageConfig, Parts, RealPages | None, Place], Learned]]] = {
    "encoder": _encoder,
    "proof": _proof,
    "decoder": _decoder,
    "joint": _joint,
}


def _readers(parts: Parts) -> tuple[Encoder, Proofreader]:
    """Copies of what reads pages, which do not learn."""
    eyes = fused(copy.deepcopy(parts.encoder)).requires_grad_(False)
    proof = copy.deepcopy(parts.proof).eval().requires_grad_(False)
    return eyes, proof


def _drawn(
    cfg: StageConfig, make: Make[Any], place: Place, *, size: int = 1, level: int = 0
) -> Drawn[Any]:
    ranks = place.ranks
    return Drawn(make, cfg.run.workers, size=size, level=level, rank=ranks.rank, world=ranks.world)
