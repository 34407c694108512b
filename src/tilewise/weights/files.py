"""A folder of weights: ``config.json``, safetensors (one file or shards) and ``manifest.json``.

The manifest is optional. Where there is one, every file that it names is checked by size and
SHA-256 before a tensor is read, so a damaged download is told apart from a bug.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tilewise.errors import WeightsError

CONFIG: Final = "config.json"
MANIFEST: Final = "manifest.json"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"

_AGAIN: Final = "get the folder again, or give another model"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """What a folder holds: its config as read, its tensors by name, and where it lies."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read_checkpoint(folder: str | Path, family: str) -> Checkpoint:
    """Read and check a folder of weights.

    Args:
        folder: where ``config.json`` lies.
        family: the ``model_type`` that the config must name.

    Raises:
        WeightsError: something is missing, damaged, or of another family.
    """
    folder = Path(folder)
    config = read_config(folder)
    found = config.get("model_type")
    if found != family:
        raise WeightsError(
            f"{folder / CONFIG}: model_type is {found!r}, this loader reads {family!r}; "
            "give a folder of that family."
        )
    check_manifest(folder)
    return Checkpoint(folder=folder, config=config, tensors=read_tensors(folder))


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read ``config.json`` of a folder.

    Raises:
        WeightsError: the folder or the file is missing, or it is no JSON object.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WeightsError(f"{folder}: there is no such model folder; check the path.")
    return _read_object(folder / CONFIG)


def check_manifest(folder: str | Path) -> None:
    """Compare the files of a folder with its manifest, if it has one.

    Raises:
        WeightsError: a file is missing, too short or long, or differs from its SHA-256.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).exists():
        return
    files = _read_object(folder / MANIFEST).get("files")
    if not isinstance(files, dict):
        raise WeightsError(f"{folder / MANIFEST}: holds no table of files; {_AGAIN}.")
    for name, wanted in files.items():
        if not isinstance(wanted, dict) or not {"sha256", "size_bytes"} <= wanted.keys():
            raise WeightsError(
                f"{folder / MANIFEST}: {name} has no sha256 and size_bytes; {_AGAIN}."
            )
        _check_file(folder / name, wanted)


def write_manifest(
    folder: str | Path, names: Sequence[str], notes: Mapping[str, Any] | None = None
) -> Path:
    """Write size and SHA-256 of the named files, and notes beside them, to ``manifest.json``."""
    folder = Path(folder)
    files = {
        name: {"sha256": sha256(folder / name), "size_bytes": (folder / name).stat().st_size}
        for name in names
    }
    path = folder / MANIFEST
    path.write_text(
        json.dumps({**(notes or {}), "files": files}, indent=1) + "\n", encoding="utf-8"
    )
    return path


def sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tensors(folder: str | Path) -> dict[str, Tensor]:
    """Read all tensors of a folder, from one file or from the shards that an index names.

    Raises:
        WeightsError: no weights, a missing shard, a truncated file, a tensor named but not there.
    """
    folder = Path(folder)
    if (folder / WEIGHTS).exists():
        return _read_safetensors(folder / WEIGHTS)
    if not (folder / INDEX).exists():
        raise WeightsError(f"{folder}: holds neither {WEIGHTS} nor {INDEX}; {_AGAIN}.")
    places = _read_object(folder / INDEX).get("weight_map")
    if not isinstance(places, dict):
        raise WeightsError(f"{folder / INDEX}: has no weight_map; {_AGAIN}.")
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(places.values())):
        tensors |= _read_safetensors(folder / shard)
    absent = sorted(places.keys() - tensors.keys())
    if absent:
        raise WeightsError(
            f"{folder / INDEX}: names tensors that no shard holds: {_listed(absent)}."
        )
    return tensors


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], what: str = "weights") -> None:
    """Copy tensors into a module if names and shapes agree in both directions.

    Args:
        module: whose ``state_dict`` names what is wanted.
        tensors: by the names of that ``state_dict``; cast to its dtypes.
        what: how a message calls them, e.g. the file's path.

    Raises:
        WeightsError: lists every missing, extra and misshapen name. Nothing is copied then.
    """
    wanted = module.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    extra = sorted(tensors.keys() - wanted.keys())
    misshapen = [
        f"{name} is {tuple(tensors[name].shape)}, wanted {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
    faults = [
        f"{kind}: {_listed(names)}"
        for kind, names in (("missing", missing), ("extra", extra), ("misshapen", misshapen))
        if names
    ]
    if faults:
        raise WeightsError(f"{what} do not fit {type(module).__name__}; {'; '.join(faults)}.")
    module.load_state_dict(dict(tensors), strict=True)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise WeightsError(f"{path}: the file is missing; {_AGAIN}.") from err
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); {_AGAIN}.") from err
    except ValueError as err:
        raise WeightsError(f"{path}: is damaged, it is no JSON; {_AGAIN}.") from err
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: is damaged, it holds no JSON object; {_AGAIN}.")
    return value


def _check_file(path: Path, wanted: Mapping[str, Any]) -> None:
    try:
        size = path.stat().st_size
        if size != wanted["size_bytes"]:
            raise WeightsError(
                f"{path}: is damaged, it has {size} bytes and the manifest says "
                f"{wanted['size_bytes']}; {_AGAIN}."
            )
        found = sha256(path)
    except FileNotFoundError as err:
        raise WeightsError(f"{path}: the file is missing; {_AGAIN}.") from err
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); {_AGAIN}.") from err
    if found != wanted["sha256"]:
        raise WeightsError(
            f"{path}: is damaged, its SHA-256 is {found[:12]}… and the manifest says "
            f"{str(wanted['sha256'])[:12]}…; {_AGAIN}."
        )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as err:
        raise WeightsError(f"{path}: the file is missing; {_AGAIN}.") from err
    except SafetensorError as err:
        raise WeightsError(f"{path}: is damaged or cut short ({err}); {_AGAIN}.") from err
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror or err}); {_AGAIN}.") from err


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
