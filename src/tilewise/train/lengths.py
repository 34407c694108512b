"""How long samples will be, told before they are made: for grouping samples of like length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.shards.conversation import Sample
from tilewise.shards.listing import Dataset
from tilewise.tiling.grid import fit_page, training_tiles
from tilewise.tiling.layout import tokens
from tilewise.train.examples import ExampleConfig
from tilewise.train.family import Family

BYTES: Final = 3.5
"""Bytes of UTF-8 to a token, about, of English as of Chinese: an estimate costs no tokenizer."""


def lengths_of(
    datasets: Sequence[tuple[Dataset, ExampleConfig]], family: Family
) -> NDArray[np.int32]:
    """Estimates for all samples, dataset after dataset: int32 (samples,); bad ones are 0 long."""
    found = [
        length_of(sample, family, cfg) if isinstance(sample, Sample) else 0
        for data, cfg in datasets
        for sample in (data[index] for index in range(len(data)))
    ]
    return np.array(found, np.int32)


def length_of(sample: Sample, family: Family, cfg: ExampleConfig) -> int:
    """Tokens of a sample, about.

    What the file says comes first, then its text and images. Images whose sizes it does not say
    count as many tokens as they may take at most, frames one tile each.
    """
    if sample.length is not None:
        return sample.length
    text = sum(len(turn.text.encode("utf-8", "replace")) for turn in sample.turns) / BYTES
    if sample.is_video:
        frame = fit_page(1, 1, replace(family.tiling, min_tiles=1, max_tiles=1))
        return int(text) + sum(cfg.frames) // 2 * tokens(frame.grid, family.tiling)
    limit = training_tiles(cfg.max_tiles, len(sample.images))
    tiling = replace(family.tiling, max_tiles=max(limit, family.tiling.min_tiles))
    sizes = sample.sizes or ((limit * tiling.tile, tiling.tile),) * len(sample.images)
    return int(text) + sum(tokens(fit_page(*size, tiling).grid, tiling) for size in sizes)
