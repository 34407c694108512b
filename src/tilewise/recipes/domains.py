"""Runs that adapt InternVL2 to a domain, with the numbers that were published.

Common to all: packs of up to 16,384 tokens and 48 tiles, one for each of 8 GPUs at a time, samples
of up to 8192 tokens and 12 tiles, learning rate 1e-5, weight decay 0.01, warm-up over 3 %, cosine,
drop path 0.1, and a loss in which a sample of n learned tokens weighs 1/√n a token.

Source: Mini-InternVL (arXiv 2410.16261) and the training scripts that the authors published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tilewise.adapt.freeze import Part
from tilewise.adapt.lora import LoraConfig
from tilewise.domains.mixture import Mixing
from tilewise.errors import ConfigError
from tilewise.recipes.internvl import NEW_FOLDERS, NewSize
from tilewise.train.config import ModelConfig, TrainConfig
from tilewise.train.data import DataConfig
from tilewise.train.loop import RunConfig
from tilewise.train.optim import OptimConfig
from tilewise.train.packing import PackingConfig
from tilewise.train.schedule import ScheduleConfig

DomainRun = Literal["driving", "driving-temporal", "medical", "remote-sensing"]

Method = Literal["full", "lora", "frozen-vit"]
"""What learns: all parts; adapters in the language model; all but the vision encoder.

In the paper's comparison on aerial pictures all parts are best in the domain, adapters are weak at
saying where things are, and the frozen encoder lies between the two in memory and in quality.
"""

GPUS: Final = 8
"""Of the published runs; one process takes that many packs more to a step."""

RANK: Final = 16
"""Of adapters; the paper does not say its own, this is that of the authors' public recipes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What differs between domains: packs of a GPU to a step, steps, general data."""

    accumulation: int
    steps: int
    mixing: Mixing


PUBLISHED: Final[Mapping[DomainRun, Published]] = {
    "driving": Published(accumulation=1, steps=15_100, mixing=Mixing(ratio=0.25)),
    "driving-temporal": Published(accumulation=8, steps=240, mixing=Mixing(share=0.03)),
    "medical": Published(accumulation=8, steps=2200, mixing=Mixing(ratio=1.0)),
    "remote-sensing": Published(accumulation=8, steps=2500, mixing=Mixing(share=0.2)),
}

_TRAINED: Final[Mapping[Method, tuple[Part, ...]]] = {
    "full": ("vit", "projector", "decoder"),
    "lora": (),
    "frozen-vit": ("projector", "decoder"),
}


def domain_run(domain: DomainRun, size: NewSize = "2B", method: Method = "full") -> TrainConfig:
    """InternVL2 adapted to a domain: driving, driving-temporal, medical or remote-sensing.

    Args:
        domain: whose numbers.
        size: of the model.
        method: what learns.

    Raises:
        ConfigError: an unknown domain, size or method.
    """
    for name, value, known in (
        ("domain", domain, PUBLISHED),
        ("size", size, NEW_FOLDERS),
        ("method", method, _TRAINED),
    ):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}; {', '.join(known)} are known.")
    published = PUBLISHED[domain]
    is_frozen = method != "full"
    return TrainConfig(
        name=f"adapt_{domain.replace('-', '_')}_{size.lower()}_{method.replace('-', '_')}",
        model=ModelConfig(
            folder=NEW_FOLDERS[size],
            trained=_TRAINED[method],
            lora=LoraConfig(rank=RANK) if method == "lora" else None,
            drop_path=0.0 if is_frozen else 0.1,  # a frozen encoder gains nothing from dropping
        ),
        data=DataConfig(packing=PackingConfig(tiles=48, tokens=16_384), context=8192, max_tiles=12),
        reduction="square",
        optim=OptimConfig(lr=1e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, clip_norm=1.0),
        schedule=ScheduleConfig(steps=published.steps, warmup_share=0.03),
        run=RunConfig(
            precision="bfloat16",
            accumulation=GPUS * published.accumulation,
            is_checkpointed=True,
            save_every=200,
        ),
    )
