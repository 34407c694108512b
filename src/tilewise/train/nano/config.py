"""Settings of a stage of the default reader's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tilewise.errors import ConfigError
from tilewise.train.loop import RunConfig
from tilewise.train.optim import OptimConfig
from tilewise.train.schedule import ScheduleConfig

Stage = Literal["encoder", "proof", "decoder", "joint"]
"""What learns, and from what: the encoder from tiles; the proofreader from pages that the encoder
has read; the decoder from pages without pixels, or ("joint") from pages that both have read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsConfig:
    """What a stage begins with: all parts of a reader.

    ``folder`` is a name that ``tilewise models`` lists, such as that of the reader in the package,
    or a folder; "" draws all parts. With ``is_random`` the part that learns is drawn all the same.
    """

    folder: str = ""
    is_random: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesConfig:
    """What a stage learns from: pages made by the seed while it goes.

    ``real``: folder of real pages with text layers, which are mixed in; "" for none. Not in the
    decoder's stage. A batch is ``tiles`` tiles (encoder), as many pages as have ``tokens`` visual
    tokens (decoder, joint), or two new pages and four of the ``kept`` last ones (proof). ``held``
    tiles or pages are held out.
    """

    real: str = ""
    tiles: int = 10
    tokens: int = 1200
    kept: int = 400
    held: int = 24

    def __post_init__(self) -> None:
        for name in ("tiles", "tokens", "kept", "held"):
            if getattr(self, name) < 1:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; give 1 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """A stage: ``name`` for people, what learns, what it begins with, and from what it learns."""

    name: str
    stage: Stage
    model: PartsConfig = field(default_factory=PartsConfig)
    data: PagesConfig = field(default_factory=PagesConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        if self.run.device not in ("cpu", "auto") or self.run.sharding != "none":
            raise ConfigError(
                f"run.device is {self.run.device!r} and run.sharding {self.run.sharding!r}; the "
                'default reader is small and trains on CPUs: give "cpu" and "none".'
            )
