"""Stages of the default reader made small: tiny networks, little batches, a page or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.models.nano.making import sheet_of
from tilewise.recipes.table import find_run
from tilewise.settings import with_options
from tilewise.synth.real import RealPage, write_real_pages
from tilewise.train.nano.config import StageConfig
from tilewise.train.nano.tiles import grey

LINES = (
    "Harbour Report",
    "Keeper: Olaf Brandt",
    "Depth: 14.5 m",
    "The tide gauge at the north pier was read every hour",
    "by two keepers who wrote the height of the water in a",
    "long green book that nobody has opened since then.",
)

SMALL = (
    "data.tiles=2",
    "data.tokens=200",
    "data.held=1",
    "run.save_every=1",
    "run.measure_every=0",
)


def stage(name: str, *options: str, begin: Path, steps: int = 3) -> StageConfig:
    """A short run of a stage."""
    said = (f"schedule.steps={steps}", f"model.folder={begin}", *SMALL)
    cfg: Any = with_options(find_run(f"default_reader_{name}"), [*said, *options])
    assert isinstance(cfg, StageConfig)
    return cfg


def real_pages(folder: Path, count: int = 3) -> Path:
    """A folder of real pages, all of the training split."""
    pages = []
    for number in range(count):
        runs = [(20.0, 40.0 + 28.0 * n, line) for n, line in enumerate(LINES)]
        sheet = sheet_of(*runs, width=500, height=300)
        pages.append(
            RealPage(
                pixels=grey(sheet.render()),
                chars=sheet.glyphs(),
                figures=np.zeros((0, 4), np.float32),
                name=f"harbour-{number}.pdf",
                split="train",
                package="made-here",
                version="1",
                licence="none needed",
                number=1,
                kind="pdf",
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_real_pages(folder / "train-0000.npz", pages)
    return folder
