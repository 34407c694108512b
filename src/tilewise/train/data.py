"""From files of samples to packs that a network learns from, in workers, with a state to resume.

What is drawn here in the main process is a few numbers; reading, decoding, cutting and writing as
ids are done by workers, in any number and with the same result.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from tilewise.errors import ConfigError, DataError
from tilewise.models.pack import Example, Pack
from tilewise.models.reader import Reader
from tilewise.shards.bad import NAME, BadConfig, BadList
from tilewise.shards.conversation import Bad
from tilewise.shards.listing import Listed, open_data, runs_of
from tilewise.train.examples import ExampleConfig, example_of
from tilewise.train.family import Family, family_of
from tilewise.train.lengths import lengths_of
from tilewise.train.mix import Group, Mix, Pick, Weighting
from tilewise.train.packing import Packer, PackingConfig
from tilewise.train.transport import slim, whole
from tilewise.train.workers import Workers

_LOG = logging.getLogger(__name__)

REST: Final = "*"
"""Stands for all datasets that no other class names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionClass:
    """Datasets that are looked at alike and make batches of their own.

    ``datasets``: their names in the meta file, ``REST`` for those that no other class names.
    ``max_tiles`` and ``batch``: None for those of the run. ``is_scaled``: as in ``ExampleConfig``.
    """

    name: str = "all"
    datasets: tuple[str, ...] = (REST,)
    max_tiles: int | None = None
    batch: int | None = None
    is_scaled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What a run learns from.

    ``meta``: a file of samples, or one that lists several (``shards.listing.open_data``); paths of
    images start at ``root``, "" for the file's own folder. A batch is ``batch`` samples of one of
    ``classes``, or with ``packing`` as many as fit. ``is_grouped``: batches of a step have samples
    of like length. ``context``: most tokens of a sample. ``max_tiles``: of a sample, None for the
    model's; a dataset's own limit is the stronger one. ``is_augmented``: all tiles go through JPEG,
    not only those of datasets that say so. ``is_as_asked``: conversations are written as the model
    is asked, not as the authors' training code writes them, which makes a difference for IXC2.
    ``frames``: fewest and most of a video. ``bad``: how many bad samples are too many.
    """

    meta: str = ""
    root: str = ""
    batch: int = 1
    classes: tuple[ResolutionClass, ...] = (ResolutionClass(),)
    weighting: Weighting = "size"
    is_grouped: bool = False
    packing: PackingConfig | None = None
    context: int = 4096
    max_tiles: int | None = None
    is_augmented: bool = False
    is_as_asked: bool = False
    frames: tuple[int, int] = (8, 32)
    bad: BadConfig = field(default_factory=BadConfig)

    def __post_init__(self) -> None:
        for name in ("batch", "context"):
            if getattr(self, name) < 1:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; give 1 or more.")
        if self.packing is not None and self.is_grouped:
            raise ConfigError(
                "data.packing and data.is_grouped are both set, and packs need no samples of like "
                "length; leave one out."
            )
        named = [name for kind in self.classes for name in kind.datasets]
        twice = {name for name in named if named.count(name) > 1}
        if not self.classes or twice:
            what = f"name {min(twice)!r} twice" if twice else "are none"
            raise ConfigError(f"data.classes {what}; each dataset belongs to one class.")


class Made(NamedTuple):
    """An example with the pick that it was made of."""

    pick: Pick
    example: Example


class Builder:
    """Makes the example of a pick; it travels to workers."""

    def __init__(
        self, listed: Sequence[Listed], configs: Sequence[ExampleConfig], family: Family, seed: int
    ) -> None:
        self._listed, self._configs = tuple(listed), tuple(configs)
        self._family, self._seed = family, seed

    def __call__(self, pick: Pick) -> Example | Bad:
        """The example, drawn by the seed and the pick alone, its pages without their tiles."""
        sample = self._listed[pick.source].data[pick.item]
        if isinstance(sample, Bad):
            return sample
        key = (self._seed, *pick)
        return slim(example_of(sample, self._family, self._configs[pick.source], key))


class Packs:
    """An endless row of packs that can be taken up where it was.

    ``state`` is behind the packs given out; what workers prepared beyond them is made again.

    Args:
        mix: says which samples come next.
        workers: make examples of them.
        packing: None for a pack of each batch of ``mix``.
        cfg: how many bad samples are too many.
        listing: where bad ones are listed, None for nowhere.
    """

    def __init__(
        self,
        mix: Mix,
        workers: Workers[Pick, Example | Bad],
        packing: PackingConfig | None,
        cfg: BadConfig,
        listing: Path | None,
    ) -> None:
        self._mix, self._workers = mix, workers
        self._packer: Packer[Made] | None = Packer(packing) if packing else None
        self._cfg, self._listing = cfg, listing
        self._bad: BadList | None = None
        self._given: deque[_Given] = deque()
        self._behind = mix.state()

    @property
    def steps_per_epoch(self) -> int | None:
        """Packs of a pass over all samples, None where that depends on how they are packed."""
        return None if self._packer else self._mix.batches

    @property
    def skipped(self) -> int:
        """Bad samples so far."""
        return self._list().bad

    def __iter__(self) -> Packs:
        return self

    def __next__(self) -> Pack:
        """The next pack.

        Raises:
            DataError: too many samples are bad, a file cannot be read, or a worker died.
        """
        while True:
            batch = self._batch()
            made = batch if self._packer is None else self._packed(self._packer, batch)
            if made:
                return Pack(examples=tuple(item.example for item in made))

    def state(self) -> dict[str, Any]:
        """Where the row stands behind the packs given out, as plain JSON."""
        packs = self._packer.open if self._packer else ()
        return {
            "mix": self._behind,
            "open": [[list(made.pick) for made in pack] for pack in packs],
            "bad": self._list().state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same data and settings; open packs are made again.

        Raises:
            DataError: a sample of an open pack has become bad.
        """
        self._given.clear()
        self._mix.load_state(state["mix"])
        self._behind = self._mix.state()
        if self._bad is not None:
            self._bad.close()
        self._bad = BadList(self._listing, self._cfg, state["bad"])
        if self._packer is not None:
            picks = [[Pick(*pick) for pick in pack] for pack in state["open"]]
            made = self._workers.map(pick for pack in picks for pick in pack)
            self._packer.restore(
                [[_sized(Made(pick, _still_good(next(made)))) for pick in pack] for pack in picks]
            )

    def close(self) -> None:
        """End the workers."""
        self._workers.close()
        if self._bad is not None:
            self._bad.close()

    def _batch(self) -> Sequence[Made]:
        """Examples of the next batch; the bad ones are counted."""
        ahead = sum(len(given.picks) for given in self._given)
        while not self._given or ahead < self._workers.ahead:
            picks = next(self._mix)
            waiting = [self._workers.give(pick) for pick in picks]
            self._given.append(_Given(picks, waiting, self._mix.state()))
            ahead += len(picks)
        given = self._given.popleft()
        found = [
            (pick, whole(wait())) for pick, wait in zip(given.picks, given.waiting, strict=True)
        ]
        self._behind = given.behind
        good = [Made(pick, made) for pick, made in found if isinstance(made, Example)]
        self._list().add(*(bad for _, bad in found if isinstance(bad, Bad)), good=len(good))
        return good

    def _packed(self, packer: Packer[Made], made: Sequence[Made]) -> Sequence[Made] | None:
        """What goes out when the one example of a batch is packed."""
        for item in made:
            _, tiles, tokens = _sized(item)
            if packer.fits(tiles, tokens):
                return packer.add(item, tiles, tokens)
            most = f"{packer.cfg.tiles} tiles and {packer.cfg.tokens} tokens"
            detail = f"it takes {tiles} tiles and {tokens} tokens, and a pack {most}"
            self._list().move(Bad(item.example.id, "too long", detail))
        return None

    def _list(self) -> BadList:
        if self._bad is None:
            self._bad = BadList(self._listing, self._cfg)
        return self._bad


class _Given(NamedTuple):
    """A batch that workers were given, and the mix's state behind it."""

    picks: tuple[Pick, ...]
    waiting: list[Callable[[], Example | Bad]]
    behind: dict[str, Any]


def open_packs(
    cfg: DataConfig,
    model: Reader | Family,
    *,
    seed: int,
    workers: int,
    out: Path | None = None,
    rank: int = 0,
    world: int = 1,
    accumulation: int = 1,
) -> Packs:
    """Open the data of a run.

    Args:
        cfg: what is learned from.
        model: the reader that learns, or its family.
        seed: of the order and of all that is drawn.
        workers: processes that prepare examples, 0 for this one.
        out: folder in which ``bad.jsonl`` lists bad samples, None for no list.
        rank, world: this process among those that train together; each gets other samples.
        accumulation: batches of a step, which are grouped by length together.

    Raises:
        ConfigError: there is no file, or a dataset has no class.
        DataError: a file cannot be read or is empty.
        MissingExtraError: a file needs a package that is not installed.
    """
    if not cfg.meta:
        raise ConfigError("data.meta is empty; give the file of the samples, or one listing them.")
    family = model if isinstance(model, Family) else family_of(model, is_as_asked=cfg.is_as_asked)
    listed = open_data(Path(cfg.meta), Path(cfg.root) if cfg.root else None)
    kinds = classed(listed, cfg.classes)
    configs = [
        _example_config(cfg, kind, one, family) for kind, one in zip(kinds, listed, strict=True)
    ]
    groups = _groups(cfg, kinds, listed, configs, family)
    mix = Mix(
        groups,
        seed=seed,
        weighting=cfg.weighting,
        rank=rank,
        world=world,
        chunks=world * accumulation,
    )
    builder = Builder(listed, configs, family, seed)
    name = NAME if not rank else NAME.replace(".", f"-{rank}.")
    return Packs(mix, Workers(builder, workers), cfg.packing, cfg.bad, out / name if out else None)


def classed(
    listed: Sequence[Listed], classes: Sequence[ResolutionClass]
) -> tuple[ResolutionClass, ...]:
    """The class of each dataset; a name that no dataset has is logged.

    Raises:
        ConfigError: a dataset has no class.
    """
    names = {one.name for one in listed}
    by_name = {name: kind for kind in classes for name in kind.datasets}
    odd = sorted(by_name.keys() - names - {REST})
    if odd:
        _LOG.warning("no dataset is called %s, which data.classes names", " or ".join(odd))
    alone = sorted(names - by_name.keys()) if REST not in by_name else []
    if alone:
        raise ConfigError(f"data.classes has no class for the dataset {alone[0]!r}; add {REST!r}.")
    return tuple(by_name.get(one.name, by_name.get(REST, classes[0])) for one in listed)


def _example_config(
    cfg: DataConfig, kind: ResolutionClass, one: Listed, family: Family
) -> ExampleConfig:
    most = one.max_tiles or kind.max_tiles or cfg.max_tiles or family.tiling.max_tiles
    return ExampleConfig(
        max_tiles=most,
        max_tokens=min(cfg.context, family.context),
        is_scaled=kind.is_scaled,
        is_augmented=cfg.is_augmented or one.is_augmented,
        frames=cfg.frames,
    )


def _groups(
    cfg: DataConfig,
    kinds: Sequence[ResolutionClass],
    listed: Sequence[Listed],
    configs: Sequence[ExampleConfig],
    family: Family,
) -> list[Group]:
    """Datasets of each class; with packing all are one group, whose samples come one by one."""
    if cfg.packing is not None:
        every = tuple(range(len(listed)))
        runs = _runs(listed, every)
        return [Group(sources=every, sizes=tuple(map(len, listed)), runs=runs)]
    groups = []
    for kind in cfg.classes:
        sources = tuple(n for n, other in enumerate(kinds) if other == kind)
        if not sources:
            continue
        lengths = None
        if cfg.is_grouped:
            _LOG.info("reading the lengths of %s", kind.name)
            lengths = lengths_of([(listed[n].data, configs[n]) for n in sources], family)
        sizes = tuple(len(listed[n]) for n in sources)
        batch, runs = kind.batch or cfg.batch, _runs(listed, sources)
        groups.append(Group(sources=sources, sizes=sizes, batch=batch, lengths=lengths, runs=runs))
    return groups


def _runs(listed: Sequence[Listed], sources: tuple[int, ...]) -> tuple[tuple[int, ...] | None, ...]:
    """Sizes of groups of samples that are read together, () if each sample is read alone."""
    runs = tuple(runs_of(listed[n].data) for n in sources)
    return runs if any(one is not None for one in runs) else ()


def _sized(made: Made) -> tuple[Made, int, int]:
    return made, made.example.tiles, len(made.example)


def _still_good(found: Example | Bad) -> Example:
    found = whole(found)
    if isinstance(found, Bad):
        raise DataError(
            f"{found.where} was good when the run was left and is bad now ({found.detail}); bring "
            "it back to go on."
        )
    return found
