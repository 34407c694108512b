"""SDAN networks in folders: ``config.json``, ``model.safetensors``, ``manifest.json``.

Those that ship with the package have names, ``x2`` and ``x4``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file

from tilewise.errors import ConfigError, WeightsError
from tilewise.superres.config import SdanConfig
from tilewise.superres.sdan import Sdan
from tilewise.weights.files import (
    CONFIG,
    WEIGHTS,
    load_strict,
    read_checkpoint,
    write_manifest,
)
from tilewise.weights.names import listed

KIND: Final = "sdan"
"""What ``model_type`` of the config says."""

SHIPPED: Final = ("x2", "x4")
"""Names of the networks inside the package."""

_NETWORK: Final = "network"


def save(
    folder: str | Path,
    network: Sdan,
    cfg: SdanConfig,
    notes: Mapping[str, Any],
    *,
    is_half: bool = False,
) -> Path:
    """Write a network; earlier weights stay whole to the end.

    Args:
        folder: made if it is not there.
        network: what to write.
        cfg: its sizes.
        notes: what it was trained on and the like, plain JSON, put into the config.
        is_half: store float16, half the size, instead of float32.

    Returns:
        The folder.

    Raises:
        WeightsError: a weight is no number, or too large for float16.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    dtype = torch.float16 if is_half else torch.float32
    tensors = {
        name: value.detach().to("cpu", dtype, copy=True).contiguous()
        for name, value in network.state_dict().items()
    }
    _check_numbers(tensors, f"the network for {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{WEIGHTS}.part"
    try:
        save_file(tensors, part)
        part.replace(folder / WEIGHTS)
    finally:
        part.unlink(missing_ok=True)
    config = {
        **notes,
        "model_type": KIND,
        "scale": cfg.scale,
        "reach_px": cfg.reach,
        "parameters": sum(value.numel() for value in tensors.values()),
        _NETWORK: asdict(cfg),
    }
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    # safetensors makes files that their owner alone may read
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode & 0o777)
    write_manifest(folder, (CONFIG, WEIGHTS))
    return folder


def load(folder_or_name: str | Path) -> Sdan:
    """Read a network, float32 on the CPU, ready for use (``eval``).

    Args:
        folder_or_name: a folder that ``save`` wrote, or a name of ``SHIPPED``.

    Raises:
        WeightsError: files missing, damaged, of another kind or with other names or shapes, or
            weights that are no numbers.
    """
    folder = folder_of(folder_or_name)
    if folder.is_dir() and not (folder / WEIGHTS).is_file():
        raise WeightsError(f"{folder / WEIGHTS}: the file is missing; get the folder again.")
    checkpoint = read_checkpoint(folder, KIND)
    network = Sdan(_config(checkpoint.config, folder))
    load_strict(network, checkpoint.tensors, f"{folder / WEIGHTS}: weights")
    _check_numbers(network.state_dict(), str(folder / WEIGHTS))
    return network.eval().requires_grad_(False)


def folder_of(folder_or_name: str | Path) -> Path:
    """The folder of a network: inside the package for a name of ``SHIPPED``."""
    if str(folder_or_name) in SHIPPED:
        return Path(str(resources.files("tilewise"))) / "assets" / "superres" / str(folder_or_name)
    return Path(folder_or_name).expanduser()


def _config(config: Mapping[str, Any], folder: Path) -> SdanConfig:
    """The sizes that a config tells.

    Raises:
        WeightsError: there are none, or they cannot hold.
    """
    where, sizes = folder / CONFIG, config.get(_NETWORK)
    if not isinstance(sizes, dict):
        raise WeightsError(f"{where}: has no table {_NETWORK!r} of sizes; get the folder again.")
    defaults = asdict(SdanConfig())
    odd = sorted(sizes.keys() - {one.name for one in fields(SdanConfig)})
    if odd:
        raise WeightsError(
            f"{where}: {_NETWORK} has {listed(odd)}, which this version does not know; install a "
            "newer one, or give another folder."
        )
    for name, value in sizes.items():
        wanted = _types(defaults[name], name)
        if type(value) not in wanted:
            said = " or ".join(kind.__name__ for kind in wanted)
            raise WeightsError(f"{where}: {_NETWORK}.{name} is {value!r}; {said} is allowed.")
    try:
        return SdanConfig(**sizes)
    except ConfigError as err:
        raise WeightsError(f"{where}: {err}") from err


def _types(default: object, name: str) -> tuple[type, ...]:
    """Types of a setting's value in JSON, by its default."""
    if name in ("positions", "max_offset"):
        return (type(None), int) if name == "positions" else (type(None), int, float)
    return (type(default),)


def _check_numbers(tensors: Mapping[str, torch.Tensor], what: str) -> None:
    odd = sorted(name for name, value in tensors.items() if not bool(value.isfinite().all()))
    if odd:
        raise WeightsError(
            f"{what}: weights are no finite numbers in {listed(odd)}; take an earlier checkpoint, "
            "or get the folder again."
        )
