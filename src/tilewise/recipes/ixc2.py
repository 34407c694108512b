"""Runs of InternLM-XComposer2-4KHD with the numbers that were published.

Source: InternLM-XComposer2-4KHD (arXiv 2404.06512), sections 3.3 and 3.4, tables 1 and 2. It says
nothing of optimiser, weight decay and length of samples; these are those of the authors' public
fine-tuning script (``finetune`` of github.com/InternLM/InternLM-XComposer): AdamW with beta2 0.95,
weight decay 0.1.
"""

from __future__ import annotations

from typing import Final

from tilewise.adapt.freeze import Part
from tilewise.adapt.lora import LoraConfig
from tilewise.recipes.internvl import TINY_OPTIM, tiny_folder
from tilewise.train.config import ModelConfig, TrainConfig
from tilewise.train.data import DataConfig, ResolutionClass
from tilewise.train.loop import RunConfig
from tilewise.train.optim import OptimConfig
from tilewise.train.schedule import ScheduleConfig

FOLDER: Final = "internlm/internlm-xcomposer2-4khd-7b"

VISION: Final[tuple[Part, ...]] = ("vit", "projector", "separators", "partial_lora")
"""All but the language model."""

ALL: Final[tuple[Part, ...]] = (*VISION, "decoder")

LOW_TILES: Final = 25
"""HD-25, the tile limit of pre-training and of most tasks in tuning."""

HIGH_TILES: Final = 55
"""HD-55, that of questions about dense text."""

SCRIPT_TILES: Final = 16
"""What the notes beside the public script give for this model (``--hd_num 16``)."""

SCRIPT_CONTEXT: Final = 4096
"""Positions of a sample in the public script."""

SCRIPT_BATCH: Final = 8 * 8
"""Of the public script: one sample on each of 8 GPUs, 8 times a step."""

LOW_CONTEXT: Final = 8192
"""Holds a page at HD-25, of up to 4057 positions, with any text. The paper says nothing; the
script's 4096 would leave out pages with more than a line of text, as nothing is cut off here."""

HIGH_CONTEXT: Final = 16_384
"""Holds a page at HD-55, of up to 8737 positions; the released model's own limit."""

PRETRAINING_DATA: Final[dict[str, tuple[str, ...]]] = {
    "general semantic alignment": (
        "ShareGPT4V-PT",
        "COCO",
        "NoCaps",
        "TextCaps",
        "LAION-400M",
        "SBU",
        "CC3M",
    ),
    "world knowledge alignment": ("Concept Data",),
    "vision capability": (
        "WanJuan",
        "Flickr",
        "MMC-Inst",
        "RCTW-17",
        "CTW",
        "LSVT",
        "ReCTs",
        "ArT",
    ),
}
"""Data sets of pre-training by group, as the paper's table 1 has them."""

TUNING_DATA: Final[dict[str, tuple[str, ...]]] = {
    "caption": ("ShareGPT4V", "COCO", "NoCaps"),
    "general QA": ("VQAv2", "GQA", "OK-VQA", "Visual Dialog", "RD", "VSR"),
    "science QA": ("AI2D", "SQA", "TQA", "IconQA"),
    "chart QA": ("DVQA", "ChartQA", "ChartQA-AUG"),
    "math QA": ("MathQA", "Geometry3K", "TabMWP", "CLEVR-Math", "Super-CLEVR"),
    "world knowledge QA": ("A-OKVQA", "KVQA", "ViQuAE"),
    "OCR QA": ("TextVQA", "OCR-VQA", "ST-VQA"),
    "HD-OCR QA": ("InfoVQA", "DocVQA"),
    "conversation": (
        "LLaVA-150k",
        "LVIS-Instruct4V",
        "ShareGPT-en",
        "ShareGPT-zh",
        "InternLM-Chat",
    ),
}
"""Data sets of tuning by task, as the paper's table 2 has them."""

HIGH_TASKS: Final = frozenset({"HD-OCR QA"})
"""Tasks whose pages are cut at HD-55; pages of all others are scaled at random up to HD-25."""


CLASSES: Final = (
    ResolutionClass(
        name="HD-55",
        datasets=tuple(name for task in sorted(HIGH_TASKS) for name in TUNING_DATA[task]),
        max_tiles=HIGH_TILES,
        batch=2,
    ),
    ResolutionClass(name="HD-25", max_tiles=LOW_TILES, batch=4, is_scaled=True),
)
"""Classes of tuning. That their batches differ is published, by how much is not: with 2 and 4 a
batch of either class has about as many positions. Data sets of other names are given by
``data.classes``."""


def ixc2_pretrain() -> TrainConfig:
    """IXC2-4KHD, pre-training: all but the language model learns, pages at HD-25."""
    return TrainConfig(
        name="ixc2_pretrain",
        model=ModelConfig(folder=FOLDER, trained=VISION),
        data=DataConfig(batch=4, context=LOW_CONTEXT, max_tiles=LOW_TILES),
        optim=_optim(lr=2e-4, vit_decay=0.9),
        schedule=ScheduleConfig(epochs=2.0, warmup_share=0.01),
        run=_run(4096 // 4),
    )


def ixc2_sft() -> TrainConfig:
    """IXC2-4KHD, tuning: all parts learn, dense text at HD-55, others scaled up to HD-25."""
    return TrainConfig(
        name="ixc2_sft",
        model=ModelConfig(folder=FOLDER, trained=ALL),
        data=DataConfig(batch=4, context=HIGH_CONTEXT, max_tiles=LOW_TILES, classes=CLASSES),
        optim=_optim(lr=5e-5, vit_decay=0.9, factors=(("decoder", 0.2),)),
        schedule=ScheduleConfig(steps=3500, warmup_share=0.01),
        run=_run(2048 // 4),
    )


def ixc2_finetune() -> TrainConfig:
    """IXC2-4KHD on data of one's own, as the authors' public script: all parts learn."""
    return TrainConfig(
        name="ixc2_finetune",
        model=ModelConfig(folder=FOLDER, trained=ALL),
        data=DataConfig(batch=1, context=SCRIPT_CONTEXT, max_tiles=SCRIPT_TILES),
        optim=_optim(lr=1e-5),
        schedule=ScheduleConfig(epochs=1.0, warmup_share=0.01),
        run=_run(SCRIPT_BATCH),
    )


def ixc2_lora() -> TrainConfig:
    """IXC2-4KHD on data of one's own: adapters of rank 64 in the language model learn."""
    return TrainConfig(
        name="ixc2_lora",
        model=ModelConfig(
            folder=FOLDER, trained=(), lora=LoraConfig(rank=64, alpha=64.0, dropout=0.05)
        ),
        data=DataConfig(batch=1, context=SCRIPT_CONTEXT, max_tiles=SCRIPT_TILES),
        optim=_optim(lr=5e-5),
        schedule=ScheduleConfig(epochs=1.0, warmup_share=0.01),
        run=_run(SCRIPT_BATCH),
    )


def ixc2_tiny() -> TrainConfig:
    """A tiny IXC2-4KHD from random weights, for trying things out on a CPU."""
    return TrainConfig(
        name="ixc2_tiny",
        model=ModelConfig(folder=tiny_folder("tiny-ixc2"), is_random=True, trained=ALL),
        data=DataConfig(batch=4, context=2048, max_tiles=6, is_as_asked=True),
        optim=TINY_OPTIM,
        schedule=ScheduleConfig(steps=300, warmup_share=0.05),
        run=RunConfig(save_every=100),
    )


def _optim(
    *, lr: float, vit_decay: float = 1.0, factors: tuple[tuple[str, float], ...] = ()
) -> OptimConfig:
    return OptimConfig(
        lr=lr,
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=0.1,
        clip_norm=1.0,
        factors=factors,
        vit_decay=vit_decay,
    )


def _run(batches: int) -> RunConfig:
    """So many batches to a step."""
    return RunConfig(
        precision="bfloat16", accumulation=batches, is_checkpointed=True, save_every=200
    )
