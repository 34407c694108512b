"""A whole training run as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tilewise.adapt.freeze import PARTS, Part
from tilewise.adapt.lora import DECODER_TARGETS, VIT_TARGETS, LoraConfig
from tilewise.errors import ConfigError
from tilewise.settings import MADE
from tilewise.train.data import DataConfig
from tilewise.train.distill import TeacherConfig
from tilewise.train.loop import RunConfig
from tilewise.train.objectives import Reduction
from tilewise.train.optim import OptimConfig
from tilewise.train.schedule import ScheduleConfig

FREE: Final = frozenset(
    {f"run.{name}" for name in ("device", "workers", "save_every", "measure_every", "keep")}
    | {"run.is_checkpointed", "run.sharding", "run.rank_timeout_s", "name"}
)
"""Settings that may change when a run is resumed: they do not change what it computes."""

VIT_LORA: Final = LoraConfig(targets=VIT_TARGETS)
"""What ``model.vit_lora`` is where one of its settings is named and the others are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What is trained, and which parts of it learn.

    ``folder`` is a name that ``tilewise models`` lists, a folder, or a hub id. With ``is_random``
    its weights are not read but drawn, and it need hold none. ``trained`` are the parts that learn;
    where there are adapters (``lora`` in the decoder, ``vit_lora`` in the vision encoder) these
    learn besides. Layers of the vision encoder from ``vit_layers`` on learn in any case, counted
    from the end where negative, 0 for none, and so does the decoder's output where
    ``has_open_output``. ``drop_path`` is the share of tiles for which the encoder's last layer is
    left out, and ``partial_lora_dropout`` that of inputs that Partial LoRA does not see while it
    learns; None for what the model's config says.
    """

    folder: str = ""
    is_random: bool = False
    trained: tuple[Part, ...] = ("vit", "projector", "decoder")
    vit_layers: int = 0
    has_open_output: bool = False
    lora: LoraConfig | None = None
    vit_lora: LoraConfig | None = field(default=None, metadata={MADE: VIT_LORA})
    drop_path: float | None = None
    partial_lora_dropout: float | None = None

    def __post_init__(self) -> None:
        odd = [part for part in self.trained if part not in PARTS]
        if odd:
            raise ConfigError(f"model.trained names {odd[0]!r}; parts are {', '.join(PARTS)}.")
        for name, known in (("lora", DECODER_TARGETS), ("vit_lora", VIT_TARGETS)):
            lora: LoraConfig | None = getattr(self, name)
            place = f"{known[0].partition('.')[0]}."
            aside = [one for one in lora.targets if not one.startswith(place)] if lora else []
            if aside:
                raise ConfigError(
                    f"model.{name}.targets names {aside[0]}; layers whose names begin with {place} "
                    f"are allowed, such as {known[0]}."
                )
        for name in ("drop_path", "partial_lora_dropout"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise ConfigError(f"model.{name} is {share}; 0 <= share < 1 must hold.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A run: ``name`` for people, the model, the data, what is lost, and how it is learned.

    With a ``teacher`` the model's vision encoder learns from another one, not from answers.
    """

    name: str
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    reduction: Reduction = "mean"
    teacher: TeacherConfig | None = None
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)
