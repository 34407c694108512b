"""Settings of a run that trains an SDAN network."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilewise.errors import ConfigError
from tilewise.superres.config import SdanConfig
from tilewise.superres.losses import SdanLossConfig
from tilewise.superres.pairs import CameraConfig
from tilewise.superres.registration import RegistrationConfig
from tilewise.superres.shrink import ShrinkConfig
from tilewise.train.loop import RunConfig
from tilewise.train.optim import OptimConfig
from tilewise.train.schedule import ScheduleConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """What learns: ``folder`` to begin with, "x2" or "x4" or "" for random weights, and its sizes.

    With a folder the sizes are the folder's. ``mean`` is how much of the running mean of weights
    stays at a step; that mean is what is measured and left behind. 0 leaves the last weights.
    """

    folder: str = ""
    sizes: SdanConfig = field(default_factory=SdanConfig)
    mean: float = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.mean < 1:
            raise ConfigError(f"model.mean is {self.mean}; 0 <= mean < 1 must hold.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsConfig:
    """What is learned from: pairs made of photographs and pages, or pairs that were prepared.

    ``meta`` is a folder of photographs, or one of prepared pairs, named as in other runs (--data).
    ``held`` is a folder of the same kind that is measured on; with "" every eighth of ``meta``
    is held out. Kinds of made-up pairs by their shares: ``camera`` (two cameras, misaligned),
    ``shrunk`` (a photograph and the same shrunk) and ``print`` (a rendered page and the same
    shrunk). ``is_aligned`` takes the target that lies on the input, which made-up pairs know.
    ``crop`` is the side of inputs in pixels, ``batch`` counts pairs, ``held_pairs`` those measured
    on. Of ``tries`` places of a photograph the one with the most detail is taken. Prepared pairs
    that do not keep to ``registration`` are left out, and listed; None learns from all.
    """

    meta: str = ""
    held: str = ""
    camera: float = 1.0
    shrunk: float = 0.0
    print: float = 0.0
    is_aligned: bool = False
    crop: int = 48
    batch: int = 8
    held_pairs: int = 12
    tries: int = 4
    registration: RegistrationConfig | None = field(default_factory=RegistrationConfig)
    cameras: CameraConfig = field(default_factory=CameraConfig)
    photo_shrink: ShrinkConfig = field(default_factory=ShrinkConfig)
    print_shrink: ShrinkConfig = field(
        default_factory=lambda: ShrinkConfig(blur=(0.1, 0.8), noise=6.0, jpeg=(40, 95))
    )

    def __post_init__(self) -> None:
        shares = (self.camera, self.shrunk, self.print)
        if min(shares) < 0 or sum(shares) <= 0:
            raise ConfigError(
                f"data.camera, data.shrunk and data.print are {shares}; 0 or more, and one above "
                "0, are allowed."
            )
        for name, least in (("crop", 8), ("batch", 1), ("held_pairs", 1), ("tries", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; give {least} or more.")
        if self.crop % 2:
            raise ConfigError(f"data.crop is {self.crop}; an even number is allowed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperresConfig:
    """A run: ``name`` for people, what learns, from what, what is lost, and how it is learned.

    ``warmup_steps`` steps at the beginning train the offsets alone, by the probe's term.
    """

    name: str
    model: NetworkConfig = field(default_factory=NetworkConfig)
    data: PairsConfig = field(default_factory=PairsConfig)
    loss: SdanLossConfig = field(default_factory=SdanLossConfig)
    warmup_steps: int = 0
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        sizes = self.model.sizes
        if sizes.scale == 1 and self.data.camera:
            raise ConfigError("data.camera makes pairs of two scales; with a scale of 1 give 0.")
        if sizes.input == "raw" and (self.data.shrunk or self.data.print):
            raise ConfigError(
                "the network takes RAW mosaics, and data.shrunk and data.print make RGB pictures; "
                "set them to 0."
            )
        if self.warmup_steps < 0:
            raise ConfigError(f"warmup_steps is {self.warmup_steps}; give 0 or more.")
        if self.run.sharding != "none":
            raise ConfigError('run.sharding is "full"; SDAN networks are small: give "none".')
