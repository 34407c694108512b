"""Where models lie on this machine. Needs no torch.

A name is that of a folder in one of two places: the package itself, which holds the default
reader, and the user's folder of models (``TILEWISE_MODELS``, else ``~/.cache/tilewise/models``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from tilewise.errors import WeightsError

DEFAULT: Final = "tilewise-nano"
"""Name of the reader that ships inside the package."""

HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
"""Form of a model's id on the hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A model on this machine: its name, its folder, and the size of its files in bytes."""

    name: str
    folder: Path
    size_bytes: int


def find(
    name_or_folder: str | Path, progress: Callable[[str, int, int], None] | None = None
) -> Path:
    """Folder of a model, given its name, a path, or its id on the Hugging Face hub.

    Args:
        name_or_folder: looked for in this order: a known name, a folder, ``org/name`` (or
            ``org/name@revision``) on the hub, where the extra ``hub`` is installed.
        progress: told of the MiB that have arrived, if the model is downloaded.

    Raises:
        WeightsError: none of them, with the known names; or a download that fails.
        MissingExtraError: a hub id without the extra.
    """
    wanted = str(name_or_folder)
    for known in on_disk():
        if known.name == wanted:
            return known.folder
    path = Path(name_or_folder).expanduser()
    if wanted and path.is_dir():
        return path
    if HUB_ID.fullmatch(wanted) and ".." not in wanted:
        from tilewise.weights.fetch import fetch  # noqa: PLC0415 - needs torch, listing does not

        return fetch(wanted, progress)
    names = ", ".join(known.name for known in on_disk()) or "none"
    raise WeightsError(
        f"model {wanted!r} is unknown; known on this machine: {names}. "
        "Give one of these, a folder with a config.json, or a hub id such as org/name."
    )


def on_disk() -> Iterator[Known]:
    """The models that ``load`` knows by name: the default first, then the user's folder."""
    if (default_folder() / "config.json").is_file():
        yield _known(DEFAULT, default_folder())
    for config in sorted(models_folder().glob("*/config.json")):
        if config.parent.name != DEFAULT:
            yield _known(config.parent.name, config.parent)


def default_folder() -> Path:
    """Folder of the default reader inside the package."""
    return Path(str(resources.files("tilewise"))) / "assets" / "default"


def models_folder() -> Path:
    """The user's folder of models; it need not exist."""
    named = os.environ.get("TILEWISE_MODELS")
    return Path(named) if named else Path.home() / ".cache" / "tilewise" / "models"


def cache_folder() -> Path:
    """Where tilewise keeps what it can make again; it need not exist."""
    named = os.environ.get("TILEWISE_CACHE")
    if named:
        return Path(named)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "tilewise"


def hashes_file() -> Path:
    """Where hashes of large files of weights are remembered; it need not exist."""
    return cache_folder() / "hashes.json"


def _known(name: str, folder: Path) -> Known:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Known(name=name, folder=folder, size_bytes=size)
