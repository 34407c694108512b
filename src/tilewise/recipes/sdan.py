"""SDAN: super-resolution from zoom pairs that do not lie on each other, and small networks for use.

The published runs learned from SR-RAW; ours learn from pairs made of any photographs (--data), or
from pairs that were prepared.
"""

from __future__ import annotations

from dataclasses import replace

from tilewise.superres.config import SdanConfig, published
from tilewise.superres.losses import PUBLISHED, SdanLossConfig
from tilewise.train.loop import RunConfig
from tilewise.train.optim import OptimConfig
from tilewise.train.schedule import ScheduleConfig
from tilewise.train.superres.config import NetworkConfig, PairsConfig, SuperresConfig


def sdan_4x() -> SuperresConfig:
    """SDAN as published in its sizes, RGB by 4, with what helps on pairs of users' cameras."""
    return _full("sdan_4x", SdanConfig(scale=4, is_unmoved_at_start=True), crop=144)


def sdan_8x() -> SuperresConfig:
    """The same by 8."""
    return _full("sdan_8x", SdanConfig(scale=8, is_unmoved_at_start=True), crop=72)


def sdan_4x_raw() -> SuperresConfig:
    """SDAN by 4 from RAW mosaics, network and loss as its authors trained them."""
    return replace(_full("sdan_4x_raw", published(4), crop=144), loss=PUBLISHED)


def sdan_8x_raw() -> SuperresConfig:
    """The same by 8."""
    return replace(_full("sdan_8x_raw", published(8), crop=72), loss=PUBLISHED)


def sdan_small_2x() -> SuperresConfig:
    """The network that ships, by 2: small, from pictures and the same shrunk, and from print."""
    return _small("sdan_small_2x", scale=2, crop=48)


def sdan_small_4x() -> SuperresConfig:
    """The network that ships, by 4."""
    return _small("sdan_small_4x", scale=4, crop=32)


def _full(name: str, sizes: SdanConfig, *, crop: int) -> SuperresConfig:
    return SuperresConfig(
        name=name,
        model=NetworkConfig(sizes=sizes),
        data=PairsConfig(crop=crop),
        # Source: SDAN's readme. Its rate restarts by epochs; ours falls once, to the same floor.
        optim=OptimConfig(lr=2e-4, betas=(0.9, 0.99), weight_decay=0.0, clip_norm=None),
        schedule=ScheduleConfig(steps=40_000, warmup_share=0.0, final_share=0.05),
        run=RunConfig(seed=1, save_every=500, measure_every=500),
    )


def _small(name: str, *, scale: int, crop: int) -> SuperresConfig:
    """All is chosen by us; what was measured stands in the weights' PROVENANCE.md."""
    return SuperresConfig(
        name=name,
        model=NetworkConfig(
            sizes=SdanConfig(scale=scale, width=32, blocks=6, alignment="none", has_skip=True),
            mean=0.998,
        ),
        data=PairsConfig(
            camera=0.35, shrunk=0.35, print=0.3, is_aligned=True, crop=crop, batch=6, tries=3
        ),
        loss=SdanLossConfig(border=8, has_colour_match=False),
        optim=OptimConfig(
            # Muon, as good in its first 50 steps, ran away behind 150 (docs/log.md).
            lr=1e-3,
            betas=(0.9, 0.99),
            weight_decay=0.0,
            clip_norm=0.5,
        ),
        schedule=ScheduleConfig(
            minutes=15.0,
            warmup_steps=50,
            has_zero_step=False,
            hold_share=0.3,
            shape="linear",
            final_share=0.02,
        ),
        run=RunConfig(seed=1, device="cpu", save_every=100, measure_every=200),
    )
