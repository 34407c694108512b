"""Loading a reader by name or from a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final, Literal, Protocol

import torch

from tilewise.errors import ConfigError, WeightsError
from tilewise.models.folders import DEFAULT, find, hashes_file
from tilewise.models.reader import Progress, Reader
from tilewise.models.vision_cache import CacheConfig, VisionCache, code_hash
from tilewise.weights.files import CONFIG, read_config
from tilewise.weights.fingerprint import fingerprint

AUTO: Final = "auto"
"""The device's name that stands for what is here: GPUs first, then the CPU."""

Dtype = Literal["float32", "bfloat16", "float16"]
"""What weights can be kept in, by name."""

DTYPES: Final[dict[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Loader(Protocol):
    """Makes a reader of one family from a folder.

    ``dtype`` is what to keep weights in, None for the family's own choice. ``devices`` are those
    it may use: on the first of them it takes prompts; more than one where layers may be split.
    ``progress`` is told ("weights", MiB read, MiB in all).
    """

    def __call__(
        self,
        folder: Path,
        *,
        dtype: torch.dtype | None,
        devices: tuple[torch.device, ...],
        progress: Progress | None,
    ) -> Reader:
        """Load the folder; raises WeightsError, or ConfigError for what it cannot run on."""


def load(
    name_or_folder: str | Path = DEFAULT,
    *,
    dtype: Dtype | None = None,
    device: str = AUTO,
    progress: Progress | None = None,
    cache: CacheConfig | None = None,
) -> Reader:
    """Load a reader to keep and to ask as often as wanted.

    Args:
        name_or_folder: a name that ``tilewise models`` lists, a folder with ``config.json``, or
            an id on the hub.
        dtype: what to keep weights and do arithmetic in; default, what the family chooses.
        device: ``"auto"``: GPUs first, then the CPU, with layers split over them where one is
            too small; or ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        progress: told ("MiB fetched" | "weights", done, total), both in MiB.
        cache: where to keep what the vision side gives for pages, so that a later run on the same
            pages need not run it; default, nowhere.

    Raises:
        WeightsError: unknown name, unknown family, or missing or damaged weights.
        ConfigError: a dtype or device that is unknown, not here, or not fit for this reader.
    """
    kept, places = _dtype(dtype), devices(device)
    folder = find(name_or_folder, progress)
    family = read_config(folder).get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise WeightsError(
            f"{folder / CONFIG}: model_type is {family!r}; known are {', '.join(FAMILIES)}. "
            "Give a folder of one of these families."
        )
    reader = FAMILIES[family](folder, dtype=kept, devices=places, progress=progress)
    if cache is not None:
        reader.store = VisionCache(cache, partial(_identity, folder, kept, reader))
    return reader


def _identity(folder: Path, dtype: torch.dtype | None, reader: Reader) -> str:
    """What the vision side's results depend on besides the page."""
    kinds = ",".join(sorted({device.type for device in reader.footprint().devices}))
    return f"{reader.name} {fingerprint(folder, hashes_file())} {dtype} {kinds} {code_hash()}"


def devices(name: str) -> tuple[torch.device, ...]:
    """The devices that a name stands for, the one that takes prompts first.

    Raises:
        ConfigError: the name is unknown, or torch finds no such device here.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = tuple(torch.device("cuda", index) for index in range(count))
    cpu = torch.device("cpu")
    known = {"cpu": (cpu,), "auto": (*gpus, cpu), **{str(gpu): (gpu,) for gpu in gpus}}
    if gpus:
        known["cuda"] = gpus[:1]
    if name not in known:
        raise ConfigError(
            f"device is {name!r}; here it can be {', '.join(sorted(known))}. "
            "Choose one of these (--device)."
        )
    return known[name]


def _dtype(name: str | None) -> torch.dtype | None:
    if name is not None and name not in DTYPES:
        raise ConfigError(f"dtype is {name!r}; it can be {', '.join(DTYPES)} (--dtype).")
    return None if name is None else DTYPES[name]


def _nano(
    folder: Path,
    *,
    dtype: torch.dtype | None,
    devices: tuple[torch.device, ...],
    progress: Progress | None,
) -> Reader:
    from tilewise.models.nano.model import load_nano  # noqa: PLC0415 - a family is imported when used

    cpu = torch.device("cpu")
    if dtype not in (None, torch.float32) or cpu not in devices:
        asked = f"{str(dtype or torch.float32).removeprefix('torch.')} on {devices[0]}"
        raise ConfigError(
            f"tilewise-nano runs in float32 on the CPU and was asked for {asked}; "
            "leave out --dtype and --device, it is small."
        )
    return load_nano(folder)


def _ixc2(
    folder: Path,
    *,
    dtype: torch.dtype | None,
    devices: tuple[torch.device, ...],
    progress: Progress | None,
) -> Reader:
    from tilewise.models.ixc2.model import load_ixc2  # noqa: PLC0415 - a family is imported when used

    return load_ixc2(folder, dtype=dtype, devices=devices, progress=progress)


def _internvl(
    folder: Path,
    *,
    dtype: torch.dtype | None,
    devices: tuple[torch.device, ...],
    progress: Progress | None,
) -> Reader:
    from tilewise.models.internvl.model import load_internvl  # noqa: PLC0415 - a family is imported when used

    return load_internvl(folder, dtype=dtype, devices=devices, progress=progress)


FAMILIES: Final[dict[str, Loader]] = {
    "tilewise-nano": _nano,
    "internlmxcomposer2": _ixc2,
    "internvl_chat": _internvl,
    "internvl": _internvl,
}
"""Loaders by the ``model_type`` of ``config.json``."""
