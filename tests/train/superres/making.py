"""Small photographs and tiny runs of SDAN networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from tilewise.recipes.sdan import sdan_4x, sdan_4x_raw, sdan_small_2x
from tilewise.settings import with_options
from tilewise.train.superres.config import SuperresConfig

RECIPES = {"sdan": sdan_4x, "raw": sdan_4x_raw, "small": sdan_small_2x}


def photos(folder: Path, count: int = 3) -> Path:
    """Photographs of 500 x 640 px: smooth noise in two sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        layers = [
            F.interpolate(
                torch.from_numpy(rng.standard_normal((1, 3, *size))).float(),
                (500, 640),
                mode="bilinear",
            )
            for size in ((16, 20), (125, 160))
        ]
        light = (0.5 + 0.2 * (layers[0] + layers[1])[0]).clamp(0, 1)
        pixels = (light * 255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{seed}.png", compress_level=1)
    return folder


def tiny(kind: str, data: Path, *options: str, steps: int = 4) -> SuperresConfig:
    """A recipe with a tiny network, for a few steps."""
    said = (
        f"data.meta={data}",
        "schedule.minutes=null",
        f"schedule.steps={steps}",
        "model.sizes.width=8",
        "model.sizes.blocks=1",
        "data.crop=32",
        "data.batch=2",
        "data.held_pairs=2",
        "run.save_every=2",
        "run.measure_every=0",
        "run.device=cpu",
    )
    return with_options(RECIPES[kind](), (*said, *options))
