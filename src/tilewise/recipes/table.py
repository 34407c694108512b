"""The recipes by name, and recipes in files of one's own."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

from tilewise.errors import ConfigError, TilewiseError
from tilewise.recipes import default_reader, domains, internvl, ixc2, sdan
from tilewise.train.config import TrainConfig
from tilewise.train.job import AnyConfig
from tilewise.train.task import OPENERS

Recipe = Callable[[], AnyConfig]

RECIPES: Final[Mapping[str, Recipe]] = {
    "ixc2_pretrain": ixc2.ixc2_pretrain,
    "ixc2_sft": ixc2.ixc2_sft,
    "ixc2_finetune": ixc2.ixc2_finetune,
    "ixc2_lora": ixc2.ixc2_lora,
    "ixc2_tiny": ixc2.ixc2_tiny,
    "internvl_26b_pretrain": partial(internvl.internvl_pretrain, "26B"),
    "internvl_26b_sft": partial(internvl.internvl_sft, "26B"),
    "internvl_26b_finetune": partial(internvl.internvl_finetune, "26B"),
    "internvl_26b_lora": partial(internvl.internvl_lora, "26B"),
    "internvl_4b_pretrain": partial(internvl.internvl_pretrain, "4B"),
    "internvl_4b_sft": partial(internvl.internvl_sft, "4B"),
    "internvl_4b_finetune": partial(internvl.internvl_finetune, "4B"),
    "internvl_4b_lora": partial(internvl.internvl_lora, "4B"),
    "internvl_2b_pretrain": partial(internvl.internvl_pretrain, "2B"),
    "internvl_2b_sft": partial(internvl.internvl_sft, "2B"),
    "internvl_2b_finetune": partial(internvl.internvl_finetune, "2B"),
    "internvl_2b_lora": partial(internvl.internvl_lora, "2B"),
    "internvl2_1b_finetune": partial(internvl.internvl2_finetune, "1B"),
    "internvl2_2b_finetune": partial(internvl.internvl2_finetune, "2B"),
    "internvl2_4b_finetune": partial(internvl.internvl2_finetune, "4B"),
    "internvl2_1b_lora": partial(internvl.internvl2_lora, "1B"),
    "internvl2_2b_lora": partial(internvl.internvl2_lora, "2B"),
    "internvl2_4b_lora": partial(internvl.internvl2_lora, "4B"),
    "internvl2_2b_coco": internvl.internvl2_2b_coco,
    "internvit_distill": internvl.internvit_distill,
    "internvl_tiny": internvl.internvl_tiny,
    "default_reader_encoder": default_reader.default_reader_encoder,
    "default_reader_proof": default_reader.default_reader_proof,
    "default_reader_decoder": default_reader.default_reader_decoder,
    "default_reader_joint": default_reader.default_reader_joint,
    "sdan_4x": sdan.sdan_4x,
    "sdan_8x": sdan.sdan_8x,
    "sdan_4x_raw": sdan.sdan_4x_raw,
    "sdan_8x_raw": sdan.sdan_8x_raw,
    "sdan_small_2x": sdan.sdan_small_2x,
    "sdan_small_4x": sdan.sdan_small_4x,
    "adapt_driving_2b_full": partial(domains.domain_run, "driving"),
    "adapt_driving_temporal_2b_full": partial(domains.domain_run, "driving-temporal"),
    "adapt_medical_2b_full": partial(domains.domain_run, "medical"),
    "adapt_remote_sensing_2b_full": partial(domains.domain_run, "remote-sensing"),
}
"""Makers of configs by the names that the command line knows."""


def find_run(name: str) -> AnyConfig:
    """The config of a recipe by its name, or of a Python file with a function ``recipe``.

    Raises:
        ConfigError: no such recipe or file, or the file gives no config.
    """
    if name in RECIPES:
        return RECIPES[name]()
    if not name.endswith(".py"):
        raise ConfigError(
            f"recipe {name!r} is unknown; known are {', '.join(RECIPES)}. Give one of these, or a "
            "file that ends in .py."
        )
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"{name}: there is no such file; check the path.")
    try:
        made = runpy.run_path(str(path)).get("recipe")
        found: Any = made() if callable(made) else made
    except TilewiseError:
        raise
    except Exception as err:  # what a file of the user's own raises may be anything
        raise ConfigError(f"{name}: cannot be run ({_told(err, path)}); correct it.") from err
    if type(found) not in OPENERS:
        kinds = " or ".join(kind.__name__ for kind in OPENERS)
        raise ConfigError(
            f"{name}: has no function recipe() that returns a {kinds}; write one, e.g. by "
            "changing a recipe of tilewise.recipes with dataclasses.replace."
        )
    config: AnyConfig = found
    return config


def _told(err: Exception, path: Path) -> str:
    """An error with the line of a file that led to it, if one did."""
    lines = [frame.lineno for frame in extract_tb(err.__traceback__) if frame.filename == str(path)]
    where = f" in line {lines[-1]}" if lines else ""
    return f"{type(err).__name__}{where}: {err}"


def find_recipe(name: str) -> TrainConfig:
    """The same, of a reader that learns to answer from samples.

    Raises:
        ConfigError: as ``find_run``, or the recipe is of another kind.
    """
    found = find_run(name)
    if not isinstance(found, TrainConfig):
        raise ConfigError(
            f"recipe {name!r} is no run of a reader on samples; give one of those, such as "
            "internvl_2b_lora."
        )
    return found


def summary(name: str) -> str:
    """The first line of what a recipe says of itself."""
    made = RECIPES[name]
    function = made.func if isinstance(made, partial) else made
    return (function.__doc__ or "").partition("\n")[0]
