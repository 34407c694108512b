"""The default reader, from random weights to what ships in the package: four stages, one by one.

Each begins with the folder that the one before it left (``--model``). Lengths are minutes of
processor time, so that two busy cores do as much as two idle ones. The numbers are our own.
"""

from __future__ import annotations

from typing import Final

from tilewise.train.loop import RunConfig
from tilewise.train.muon import MuonConfig
from tilewise.train.nano.config import PagesConfig, StageConfig
from tilewise.train.optim import OptimConfig
from tilewise.train.schedule import ScheduleConfig

TABLES: Final = ("embed", "table", "next_gap", "next_class", "words", "cls", "output", "head")
"""Parts of names of matrices that are tables or read out."""


def default_reader_encoder() -> StageConfig:
    """The default reader, stage 1: the encoder learns what stands in each slot of a tile."""
    return StageConfig(
        name="default_reader_encoder",
        stage="encoder",
        # Twice as good as AdamW after 4 minutes (docs/log.md).
        optim=_optim(lr=3e-3, hidden_lr=0.02, momentum=0.9),
        schedule=_schedule(150.0, warmup_steps=50, hold=0.2, final=0.02),
        run=_run(80),
    )


def default_reader_proof() -> StageConfig:
    """The default reader, stage 2: the proofreader learns what the encoder gets wrong."""
    return StageConfig(
        name="default_reader_proof",
        stage="proof",
        data=PagesConfig(held=30),
        optim=_optim(lr=2e-3, hidden_lr=0.01),
        schedule=_schedule(30.0, warmup_steps=30, hold=0.3, final=0.05),
        run=_run(80),
    )


def default_reader_decoder() -> StageConfig:
    """The default reader, stage 3: the decoder learns to point and copy on pages without pixels."""
    return StageConfig(
        name="default_reader_decoder",
        stage="decoder",
        optim=_optim(lr=2e-3, hidden_lr=0.01),
        schedule=_schedule(40.0, warmup_steps=30, hold=0.3, final=0.03),
        run=_run(100),
    )


def default_reader_joint() -> StageConfig:
    """The default reader, stage 4: the decoder learns on pages that the encoder has read."""
    return StageConfig(
        name="default_reader_joint",
        stage="joint",
        optim=_optim(lr=1e-3, hidden_lr=0.005),
        schedule=_schedule(40.0, warmup_steps=20, hold=0.2, final=0.03),
        run=_run(50),
    )


def _optim(*, lr: float, hidden_lr: float, momentum: float = 0.95) -> OptimConfig:
    return OptimConfig(
        lr=lr,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        clip_norm=1.0,
        muon=MuonConfig(lr=hidden_lr, momentum=momentum, others=TABLES),
    )


def _schedule(minutes: float, *, warmup_steps: int, hold: float, final: float) -> ScheduleConfig:
    return ScheduleConfig(
        minutes=minutes,
        warmup_steps=warmup_steps,
        has_zero_step=False,
        hold_share=hold,
        shape="linear",
        final_share=final,
    )


def _run(every: int) -> RunConfig:
    """A checkpoint, and a look at held-out pages, every so many steps."""
    return RunConfig(seed=1, device="cpu", save_every=every, measure_every=every)
