"""Runs of InternVL 1.5 and Mini-InternVL with the numbers that were published.

Common to all: AdamW (0.9, 0.999, 1e-8), cosine schedule, one pass over the data, bfloat16, at most
12 tiles of 448 px and the whole page, activations computed again in the backward pass.

Sources: InternVL 1.5 (arXiv 2404.16821), Mini-InternVL (arXiv 2410.16261), and the training scripts
that the authors published with them, which are followed where the papers say less or otherwise:
the Mini-InternVL paper trains the projector alone in stage 1, the script of the 2B model the vision
encoder too.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Final, Literal, NamedTuple

from tilewise.adapt.freeze import Part
from tilewise.adapt.lora import LoraConfig
from tilewise.train.config import ModelConfig, TrainConfig
from tilewise.train.data import DataConfig
from tilewise.train.distill import TeacherConfig
from tilewise.train.loop import RunConfig
from tilewise.train.optim import OptimConfig
from tilewise.train.schedule import ScheduleConfig

Size = Literal["2B", "4B", "26B"]
NewSize = Literal["1B", "2B", "4B"]

FOLDERS: Final[dict[Size, str]] = {
    "2B": "OpenGVLab/Mini-InternVL-Chat-2B-V1-5",
    "4B": "OpenGVLab/Mini-InternVL-Chat-4B-V1-5",
    "26B": "OpenGVLab/InternVL-Chat-V1-5",
}
"""Where runs on version 1.5 begin, by size. Stages 1 and 2 began from an encoder and a language
model that were put together; give such a folder (``model.folder``) to run them again."""

NEW_FOLDERS: Final[dict[NewSize, str]] = {
    "1B": "OpenGVLab/InternVL2-1B",
    "2B": "OpenGVLab/InternVL2-2B",
    "4B": "OpenGVLab/InternVL2-4B",
}
"""Where runs on InternVL2 begin, by size."""

ALL: Final[tuple[Part, ...]] = ("vit", "projector", "decoder")


TINY_OPTIM: Final = OptimConfig(lr=1e-3, weight_decay=0.01, factors=(("vit", 0.1),))
"""Of the tiny models. The vision encoder has a tenth of the rate: white paper is the same large
number in all of a patch's 588 inputs, so that AdamW's equal steps add up, and at the whole rate
what it says of a page seemed to change faster than the language model could follow."""


class _Numbers(NamedTuple):
    """What runs of one kind have each for itself. ``warmup_steps``: None for 3 % of the run."""

    trained: tuple[Part, ...]
    lr: float
    decay: float
    drop_path: float
    context: int = 4096
    warmup_steps: int | None = None


_PRETRAIN: Final[dict[Size, _Numbers]] = {
    "2B": _Numbers(("vit", "projector"), 2e-5, 0.01, 0.1, warmup_steps=100),
    "4B": _Numbers(("projector",), 2e-4, 0.05, 0.0, warmup_steps=100),
    "26B": _Numbers(("vit", "projector"), 1e-5, 0.05, 0.2, warmup_steps=100),
}
_SFT: Final[dict[Size, _Numbers]] = {
    "2B": _Numbers(ALL, 4e-5, 0.01, 0.1, context=8192),
    "4B": _Numbers(ALL, 4e-5, 0.05, 0.1, context=8192),
    "26B": _Numbers(ALL, 2e-5, 0.05, 0.4),
}
_OWN: Final[dict[Size, _Numbers]] = {
    "2B": _Numbers(("projector", "decoder"), 4e-5, 0.01, 0.1),
    "4B": _Numbers(("projector", "decoder"), 4e-5, 0.05, 0.1),
    "26B": _Numbers(("projector", "decoder"), 2e-5, 0.05, 0.4),
}
_NEW: Final = _Numbers(("projector", "decoder"), 4e-5, 0.01, 0.1)


def internvl_pretrain(size: Size = "2B") -> TrainConfig:
    """InternVL 1.5 (26B) or Mini-InternVL (2B, 4B), stage 1: the projector learns.

    So does the vision encoder, but that of 4B.
    """
    return _run(f"internvl_{size.lower()}_pretrain", FOLDERS[size], _PRETRAIN[size], batch=2048)


def internvl_sft(size: Size = "2B") -> TrainConfig:
    """InternVL 1.5 (26B) or Mini-InternVL (2B, 4B), stage 2: all parts learn."""
    name = f"internvl_{size.lower()}_sft"
    return _run(name, FOLDERS[size], _SFT[size], batch=1024, is_grouped=True)


def internvl_finetune(size: Size = "2B") -> TrainConfig:
    """InternVL 1.5 or Mini-InternVL on data of one's own: projector and language model learn."""
    name = f"internvl_{size.lower()}_finetune"
    return _run(name, FOLDERS[size], _OWN[size], batch=128, is_grouped=True)


def internvl_lora(size: Size = "2B") -> TrainConfig:
    """InternVL 1.5 or Mini-InternVL on data of one's own: adapters of rank 16 learn."""
    return _lora(f"internvl_{size.lower()}_lora", FOLDERS[size], _OWN[size])


def internvl2_finetune(size: NewSize = "2B") -> TrainConfig:
    """InternVL2 of 1B, 2B or 4B on data of one's own: projector and language model learn."""
    name = f"internvl2_{size.lower()}_finetune"
    return _run(name, NEW_FOLDERS[size], _NEW, batch=128, is_grouped=True, max_tiles=6)


def internvl2_lora(size: NewSize = "2B") -> TrainConfig:
    """InternVL2 of 1B, 2B or 4B on data of one's own: adapters of rank 16 learn."""
    return _lora(f"internvl2_{size.lower()}_lora", NEW_FOLDERS[size], _NEW, max_tiles=6)


def internvl2_2b_coco() -> TrainConfig:
    """InternVL2-2B, the captions of COCO as a demonstration: adapters of rank 128 learn."""
    name = "internvl2_2b_coco"
    return _lora(name, NEW_FOLDERS["2B"], _NEW, batch=512, rank=128, max_tiles=6)


def internvit_distill() -> TrainConfig:
    """The 300M vision encoder learns from the 6B one, beginning as CLIP: one tile a page.

    Published are the loss, the student's beginning, and that tiles are of 448 px and pages are not
    cut. Not published are the layers compared, the maps between widths, and the schedule: those
    here are ours.
    """
    return TrainConfig(
        name="internvit_distill",
        model=ModelConfig(folder=FOLDERS["2B"], trained=("vit",), drop_path=0.1),
        data=DataConfig(batch=32, max_tiles=1),
        teacher=TeacherConfig(
            folder="OpenGVLab/InternViT-6B-448px-V1-5",
            start="openai/clip-vit-large-patch14-336",
        ),
        optim=OptimConfig(lr=1e-4, weight_decay=0.05),
        schedule=ScheduleConfig(epochs=1.0, warmup_share=0.03),
        run=RunConfig(precision="bfloat16", accumulation=32, is_checkpointed=True),
    )


def internvl_tiny() -> TrainConfig:
    """A tiny InternVL from random weights, for trying things out on a CPU."""
    return TrainConfig(
        name="internvl_tiny",
        model=ModelConfig(folder=tiny_folder("tiny-internvl"), is_random=True, trained=ALL),
        data=DataConfig(batch=4, context=2048, max_tiles=6),
        optim=TINY_OPTIM,
        schedule=ScheduleConfig(steps=300, warmup_share=0.05),
        run=RunConfig(save_every=100),
    )


def tiny_folder(name: str) -> str:
    """Folder of a tiny model's config inside the package."""
    return str(resources.files("tilewise") / "assets" / name)


def _lora(
    name: str,
    folder: str,
    numbers: _Numbers,
    *,
    batch: int = 16,
    rank: int = 16,
    max_tiles: int = 12,
) -> TrainConfig:
    """Adapters in the language model alone learn."""
    cfg = _run(
        name,
        folder,
        numbers._replace(trained=(), drop_path=0.0),
        batch=batch,
        is_grouped=True,
        max_tiles=max_tiles,
    )
    lora = LoraConfig(rank=rank, alpha=2.0 * rank, dropout=0.05)
    return replace(cfg, model=replace(cfg.model, lora=lora))


def _run(
    name: str,
    folder: str,
    numbers: _Numbers,
    *,
    batch: int,
    is_grouped: bool = False,
    max_tiles: int = 12,
) -> TrainConfig:
    """A run whose batches are one sample each and whose steps are ``batch`` of them."""
    return TrainConfig(
        name=name,
        model=ModelConfig(folder=folder, trained=numbers.trained, drop_path=numbers.drop_path),
        data=DataConfig(
            batch=1, context=numbers.context, max_tiles=max_tiles, is_grouped=is_grouped
        ),
        reduction="mean",
        optim=OptimConfig(
            lr=numbers.lr,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=numbers.decay,
            clip_norm=1.0,
        ),
        schedule=ScheduleConfig(epochs=1.0, warmup_share=0.03, warmup_steps=numbers.warmup_steps),
        run=RunConfig(
            precision="bfloat16", accumulation=batch, is_checkpointed=True, save_every=200
        ),
    )
