"""A run that trains an SDAN network: what its settings open, and what is left in its folder."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from tilewise.errors import ConfigError, SourceError, TrainingError
from tilewise.models.load import devices
from tilewise.settings import settings
from tilewise.shards.new_file import write_whole
from tilewise.superres.config import SdanConfig
from tilewise.superres.files import load, save
from tilewise.superres.photos import Photos, photo_paths
from tilewise.superres.sdan import Sdan
from tilewise.superres.sequence import REJECTED
from tilewise.train.config import FREE
from tilewise.train.drawn import Drawn
from tilewise.train.export import RECIPE, commit
from tilewise.train.job import Job, Place
from tilewise.train.loop import LOGS, Task
from tilewise.train.ranks import by_first
from tilewise.train.report import NUMBERS
from tilewise.train.superres.batches import PairBatch, PairBatches, Source
from tilewise.train.superres.config import SuperresConfig
from tilewise.train.superres.held import HeldPairs
from tilewise.train.superres.made import LEAST_PHOTO, MadePairs
from tilewise.train.superres.objective import TOLD, Enlarging, Learner
from tilewise.train.superres.prepared import PreparedPairs, misfits, prepared_targets

HELD_EVERY: Final = 8
"""One photograph or prepared pair of so many is held out where no folder is named for it."""

OFFSETS: Final = "network.align.offsets."
"""What names of the offset predictor's weights begin with; its part is called ``offsets``."""


def open_superres(cfg: SuperresConfig, place: Place) -> Job[PairBatch]:
    """Open a run.

    Args:
        cfg: the whole run.
        place: where it takes place.

    Raises:
        ConfigError: no data is named, or sizes do not fit it.
        SourceError: there are no photographs or pairs, or one cannot be read.
        WeightsError: the folder to begin with cannot be read.
    """
    network = begin(cfg)
    if not cfg.data.meta:
        raise ConfigError("data.meta is empty; give a folder of photographs or of pairs (--data).")
    place.say("looking through the data")
    learned, held = open_pairs(cfg, network.cfg, place)
    device = str(devices(place.ranks.device(cfg.run.device))[0])
    learner = Learner(network, cfg.model.mean).to(device)
    torch.manual_seed(cfg.run.seed + place.ranks.rank)
    batches = PairBatches(learned, cfg.run.seed, cfg.data.batch, cfg.loss)
    ranks = place.ranks
    drawn = Drawn(batches, cfg.run.workers, rank=ranks.rank, world=ranks.world)
    measured = HeldPairs(
        learner.mean,
        held,
        cfg.data.held_pairs,
        device=device,
        has_colour_match=cfg.loss.has_colour_match,
    )
    task = Task(
        module=learner,
        part_of=part_of,
        batches=drawn,
        objective=Enlarging(
            learner.network,
            cfg.loss,
            warmup=cfg.warmup_steps,
            device=device,
            is_alone=ranks.world == 1,
        ),
        settings=settings(cfg),
        free=FREE,
        told=TOLD,
        measure=measured,
        follow=learner.follow,
        pictures=measured.pictures,
    )

    def finish() -> None:
        if ranks.rank == 0:
            place.say("writing the network")
            leave(cfg, learner.mean, place.out)

    return Job(task=task, steps_per_epoch=None, finish=finish, close=drawn.close)


def part_of(name: str) -> str:
    """The part of a weight: ``offsets``, ``network``, or ``mean``, which does not learn."""
    return "offsets" if name.startswith(OFFSETS) else name.partition(".")[0]


def begin(cfg: SuperresConfig) -> Sdan:
    """The network that a run begins with, read from a folder or drawn by the seed."""
    if cfg.model.folder:
        return load(cfg.model.folder).train().requires_grad_(True)
    with torch.random.fork_rng():
        torch.manual_seed(cfg.run.seed)
        return Sdan(cfg.model.sizes)


def open_pairs(cfg: SuperresConfig, sizes: SdanConfig, place: Place) -> tuple[Source, Source]:
    """What is learned from, and what is held out; misfits among prepared pairs are listed."""
    data, is_raw = cfg.data, sizes.input == "raw"

    def prepared(paths: list[Path]) -> Source:
        return PreparedPairs(paths, sizes.scale, data.crop, is_raw=is_raw)

    def made(paths: list[Path]) -> Source:
        photos = Photos(paths, LEAST_PHOTO)
        return MadePairs(photos, data, sizes.scale, is_raw=is_raw)

    opened: Callable[[list[Path]], Source] = made
    found = photo_paths(data.meta)
    if pairs := prepared_targets(found):
        prepared(pairs)  # whose sizes do not fit is told before any are registered
        opened, found = prepared, _fitting(pairs, cfg, place, is_raw=is_raw)
    if data.held:
        apart = photo_paths(data.held)
        return opened(found), opened(prepared_targets(apart) if pairs else apart)
    apart, left = found[::HELD_EVERY], [p for n, p in enumerate(found) if n % HELD_EVERY]
    if not left:
        raise ConfigError(
            f"{data.meta}: holds one file, which cannot be held out and learned from; name what is "
            "measured on by data.held."
        )
    return opened(left), opened(apart)


def _fitting(targets: list[Path], cfg: SuperresConfig, place: Place, *, is_raw: bool) -> list[Path]:
    """The pairs that keep to ``data.registration``; the others are in the run's ``rejected.jsonl``.

    Raises:
        SourceError: none does, or a file cannot be read.
    """
    registration = cfg.data.registration
    if registration is None:
        return targets
    place.say(f"registering {len(targets)} pairs")
    odd = by_first(place.ranks, lambda: misfits(targets, registration, is_raw=is_raw))
    if not odd:
        return targets
    reasons = Counter(one.reason for one in odd)
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    place.say(f"{len(odd)} of {len(targets)} pairs are left out: {told}")
    if place.ranks.rank == 0:
        write_whole(
            place.out / REJECTED,
            "".join(json.dumps(one._asdict()) + "\n" for one in odd).encode(),
        )
    names = {one.pair for one in odd}
    kept = [path for path in targets if path.name not in names]
    if not kept:
        raise SourceError(
            f"{cfg.data.meta}: no pair's halves lie on each other ({told}); check that they show "
            "the same, or set data.registration=null."
        )
    return kept


def leave(cfg: SuperresConfig, network: Sdan, out: Path) -> None:
    """Write the network, its settings, and how it came about.

    Raises:
        TrainingError: it cannot be written.
    """
    last = json.loads((out / LOGS / NUMBERS).read_text(encoding="utf-8").splitlines()[-1])
    notes: dict[str, Any] = {
        "recipe": cfg.name,
        "trained_on": cfg.data.meta,
        "began_with": cfg.model.folder or "random weights",
        "steps": last["step"],
        "processor_minutes": round(last["used_s"] / 60, 1),
        "seed": cfg.run.seed,
        "commit": commit(),
        "machine": f"{platform.machine()}, torch {torch.__version__}",
    }
    values = json.dumps(settings(cfg), indent=1, ensure_ascii=False) + "\n"
    try:
        (out / RECIPE).write_text(values, encoding="utf-8")
        save(out, network, network.cfg, notes)
    except OSError as err:
        raise TrainingError(
            f"{out}: the network cannot be written ({err.strerror or err}); its checkpoints are "
            "there. Make room and write it with --resume."
        ) from err
