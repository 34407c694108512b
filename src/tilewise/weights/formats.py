"""The two formats of a file of tensors, opened so that its tensors are mapped, not yet read.

A mapped tensor is a view of its file: its bytes are fetched when they are used, and it must not
be written to. Pickles are opened in the mode that builds tensors only, so that no code in them
can run.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tilewise.errors import WeightsError

AGAIN: Final = "get the folder again, or give another model"
"""What to do about a damaged folder."""

_SOURCE: Final = "Get the model as safetensors from a source that you trust"
_DAMAGE: Final = (EOFError, RuntimeError, ValueError, LookupError, TypeError, struct.error)
_GLOBAL: Final = re.compile(r"GLOBAL ([A-Za-z_]\w*(?:\.\w+)*)(?![\w.]*\.(?:\s|$))")
_IMPORTS: Final = ("GLOBAL", "INST", "STACK_GLOBAL")  # operations of a pickle
_HARMLESS: Final = ("torch.", "collections.")  # what tables of tensors are made of
_OPERATIONS: Final = 100_000  # of a pickle are looked at to name what it imports
_OLD_PICKLE: Final = "mmap can only be used with files saved with"


DTYPES: Final[Mapping[str, torch.dtype]] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
"""Dtypes by their names in safetensors. Source: the description of the format."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file of tensors: shapes and dtypes by name in the order of the file, and how to get one."""

    kinds: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
    read: Callable[[str], Tensor]


def open_safetensors(path: Path) -> Opened:
    """Open a safetensors file. Only tensors that are asked for are touched.

    Raises:
        WeightsError: it is missing, damaged, cut short, or holds an unknown dtype.
    """
    try:
        file: Any = safe_open(path, framework="pt")
        slices = {name: file.get_slice(name) for name in file.offset_keys()}
    except FileNotFoundError as err:
        raise WeightsError(f"{path}: the file is missing; {AGAIN}.") from err
    except SafetensorError as err:
        raise WeightsError(f"{path}: is damaged or cut short ({err}); {AGAIN}.") from err
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror or err}); {AGAIN}.") from err
    odd = {part.get_dtype() for part in slices.values()} - DTYPES.keys()
    if odd:
        raise WeightsError(
            f"{path}: holds tensors of {', '.join(sorted(odd))}; known are {', '.join(DTYPES)}."
        )
    kinds = {
        name: (tuple(part.get_shape()), DTYPES[part.get_dtype()]) for name, part in slices.items()
    }
    return Opened(kinds, file.get_tensor)


def open_pickle(path: Path) -> Opened:
    """Open a pickle of tensors by name without running what it may hold besides.

    A pickle in the old form, before torch 1.6, cannot be mapped and is read whole.

    Raises:
        WeightsError: it is missing, damaged, cut short, or holds more than a table of tensors.
    """
    try:
        table = _unpickle(path)
    except FileNotFoundError as err:
        raise WeightsError(f"{path}: the file is missing; {AGAIN}.") from err
    except pickle.UnpicklingError as err:
        raise WeightsError(_refusal(path, str(err))) from err
    except _DAMAGE as err:
        raise WeightsError(f"{path}: is damaged or cut short; {AGAIN}.") from err
    except OSError as err:
        raise WeightsError(f"{path}: cannot be read ({err.strerror or err}); {AGAIN}.") from err
    tensors = _table(path, table)
    kinds = {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}
    return Opened(kinds, tensors.__getitem__)


OPENERS: Final[Mapping[str, Callable[[Path], Opened]]] = {
    ".safetensors": open_safetensors,
    ".bin": open_pickle,
}
"""How to open a file of tensors, by the ending of its name."""


def _unpickle(path: Path) -> Any:
    with warnings.catch_warnings():  # of pickle protocols: what cannot be read is an error anyway
        warnings.simplefilter("ignore", UserWarning)
        try:
            return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except RuntimeError as err:
            if _OLD_PICKLE not in str(err):
                raise
        return torch.load(path, map_location="cpu", weights_only=True)


def _refusal(path: Path, reason: str) -> str:
    """Tell a pickle that wants to run something from one that is merely damaged."""
    found = _GLOBAL.search(reason)
    named = found[1] if found else _imported(path)
    if named is None:
        return f"{path}: is no pickle of tensors, or damaged or cut short; {AGAIN}."
    return (
        f"{path}: is a pickle that holds code or objects ({named}), and loading it "
        f"could run anything; only tables of tensors are read. {_SOURCE}."
    )


def _imported(path: Path) -> str | None:
    """What a bare pickle would import first, told by its operations without running them."""
    texts: list[str] = []
    try:
        with path.open("rb") as file:
            for operation, value, _ in islice(pickletools.genops(file), _OPERATIONS):
                name = str(value).replace(" ", ".")
                if isinstance(value, str) and operation.name not in _IMPORTS:
                    texts.append(value)
                if operation.name == "STACK_GLOBAL":
                    name = ".".join(texts[-2:])
                if operation.name in _IMPORTS and not name.startswith(_HARMLESS):
                    return name
    except (ValueError, OSError):  # no pickle to its end
        return None
    return None


def _table(path: Path, table: Any) -> dict[str, Tensor]:
    if not isinstance(table, dict):
        raise WeightsError(
            f"{path}: holds a {type(table).__name__}, wanted is a table of tensors by name; "
            "give a folder of weights alone."
        )
    others = [str(name) for name, value in table.items() if not isinstance(value, Tensor)]
    if others or not all(isinstance(name, str) for name in table):
        raise WeightsError(
            f"{path}: holds more than tensors by name ({', '.join(others[:5])}); "
            "give a folder of weights alone, without the state of a training run."
        )
    return {name: value.detach() for name, value in table.items()}
