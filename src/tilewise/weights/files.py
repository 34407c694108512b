"""A folder of weights: ``config.json``, files of tensors (one or shards) and ``manifest.json``.

Tensors are read from safetensors, or where there are none from pickles; an index names the shards
if there are several. The manifest is optional. Where there is one, every file that it names is
checked by size and SHA-256 before a tensor is read, so a damaged download is told apart from a bug.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from tilewise.errors import WeightsError
from tilewise.weights.formats import AGAIN, OPENERS, Opened
from tilewise.weights.names import listed

CONFIG: Final = "config.json"
MANIFEST: Final = "manifest.json"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
PICKLE: Final = "pytorch_model.bin"
PICKLE_INDEX: Final = "pytorch_model.bin.index.json"

LAYOUTS: Final = ((WEIGHTS, INDEX), (PICKLE, PICKLE_INDEX))
"""Names of a single file of weights and of the index of shards, in the order of preference."""

_MAPPINGS: Final = 64
_LEAST_MAP_BYTES: Final = 1 << 20
"""A file is mapped anew after so much was read, or after a share of all the weights.

Pages of a mapped file count as memory of the process until the mapping goes, so that without
this a file read to its end would be there twice, once mapped and once as tensors.
"""


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
        raise WeightsError(f"{folder / MANIFEST}: holds no table of files; {AGAIN}.")
    for name, wanted in files.items():
        if not isinstance(wanted, dict) or not {"sha256", "size_bytes"} <= wanted.keys():
            raise WeightsError(
                f"{folder / MANIFEST}: {name} has no sha256 and size_bytes; {AGAIN}."
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """What is known of a tensor before it is read; ``file`` is a name inside the folder."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    file: str

    @property
    def size_bytes(self) -> int:
        """Bytes of its values."""
        return prod(self.shape) * self.dtype.itemsize


class TensorFiles:
    """The tensors of a folder: names, shapes and dtypes at once, values one by one.

    Safetensors are preferred to pickles, a single file to shards. ``infos`` has the tensors by
    name in the order in which they lie in the files, which is the fastest order to read them in.

    Args:
        folder: where the files of weights lie.

    Raises:
        WeightsError: no weights, missing shards (all are named), a damaged file, a tensor named
            by the index that no shard holds, or one that two shards hold.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        names, index = weight_files(self.folder)
        self.infos: dict[str, TensorInfo] = {}
        self._file = ""
        self._opened: Opened | None = None
        self._read_bytes = self._map_bytes = 0
        for name in names:
            self._add(name)
        self._map_bytes = max(_LEAST_MAP_BYTES, self.size_bytes // _MAPPINGS)
        absent = sorted(_indexed(index).keys() - self.infos.keys()) if index else []
        if absent:
            raise WeightsError(
                f"{index}: names tensors that no shard holds: {listed(absent)}; {AGAIN}."
            )

    @property
    def size_bytes(self) -> int:
        """Bytes of all values together."""
        return sum(info.size_bytes for info in self.infos.values())

    def read(self, name: str) -> Tensor:
        """A tensor by its name, on the CPU, mapped from its file: copy it before writing to it."""
        info = self.infos[name]
        if self._opened is None or self._file != info.file or self._read_bytes >= self._map_bytes:
            self._opened = self._open(info.file)
        self._read_bytes += info.size_bytes
        return self._opened.read(name)

    def close(self) -> None:
        """Let go of the mapped file; a later ``read`` opens it again."""
        self._file, self._opened, self._read_bytes = "", None, 0

    def _open(self, file: str) -> Opened:
        self.close()  # first the old mapping goes, then the new one comes
        self._file = file
        return OPENERS[Path(file).suffix](self.folder / file)

    def _add(self, file: str) -> None:
        kinds = self._open(file).kinds
        twice = sorted(self.infos.keys() & kinds.keys())
        if twice:
            raise WeightsError(
                f"{self.folder / file}: holds tensors that {self.infos[twice[0]].file} holds too: "
                f"{listed(twice)}; keep the shards of one model only."
            )
        for name, (shape, dtype) in kinds.items():
            self.infos[name] = TensorInfo(shape=shape, dtype=dtype, file=file)


def read_tensors(folder: str | Path) -> dict[str, Tensor]:
    """Map all tensors of a folder; what they are copied to is another matter.

    Raises:
        WeightsError: as TensorFiles.
    """
    files = TensorFiles(folder)
    return {name: files.read(name) for name in files.infos}


def weight_files(folder: Path) -> tuple[list[str], Path | None]:
    """Names of the files that hold a folder's weights, and the index that lists them, if any.

    Raises:
        WeightsError: no weights, or missing shards; all are named.
    """
    for single, index in LAYOUTS:
        if (folder / single).exists():
            return [single], None
        if (folder / index).exists():
            shards = shard_names(folder / index)
            missing = [shard for shard in shards if not (folder / shard).exists()]
            if missing:
                raise WeightsError(
                    f"{folder / index}: {len(missing)} of {len(shards)} shards are missing: "
                    f"{listed(missing)}; get these files too."
                )
            return shards, folder / index
    looked = ", ".join(name for layout in LAYOUTS for name in layout)
    raise WeightsError(f"{folder}: holds no weights, none of {looked}; {AGAIN}.")


def shard_names(index: Path) -> list[str]:
    """Names of the shards that an index lists, each a file beside it; raises WeightsError."""
    shards = sorted({str(shard) for shard in _indexed(index).values()})
    ending = next(Path(single).suffix for single, name in LAYOUTS if name == index.name)
    strange = [s for s in shards if Path(s).name != s or "\\" in s or not s.endswith(ending)]
    if strange:
        raise WeightsError(
            f"{index}: names shards that are no {ending} files beside it: {listed(strange)}; "
            f"{AGAIN}."
        )
    return shards


def _indexed(index: Path) -> dict[str, Any]:
    """Names of tensors and their shards."""
    places = _read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise WeightsError(f"{index}: has no weight_map; {AGAIN}.")
    return places


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
        f"{kind}: {listed(names)}"
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
        raise WeightsError(f"{path}: the file is missing; {AGAIN}.") from err
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); {AGAIN}.") from err
    except ValueError as err:
        raise WeightsError(f"{path}: is damaged, it is no JSON; {AGAIN}.") from err
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: is damaged, it holds no JSON object; {AGAIN}.")
    return value


def _check_file(path: Path, wanted: Mapping[str, Any]) -> None:
    try:
        size = path.stat().st_size
        if size != wanted["size_bytes"]:
            raise WeightsError(
                f"{path}: is damaged, it has {size} bytes and the manifest says "
                f"{wanted['size_bytes']}; {AGAIN}."
            )
        found = sha256(path)
    except FileNotFoundError as err:
        raise WeightsError(f"{path}: the file is missing; {AGAIN}.") from err
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror}); {AGAIN}.") from err
    if found != wanted["sha256"]:
        raise WeightsError(
            f"{path}: is damaged, its SHA-256 is {found[:12]}… and the manifest says "
            f"{str(wanted['sha256'])[:12]}…; {AGAIN}."
        )
