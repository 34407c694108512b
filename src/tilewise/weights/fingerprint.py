"""One hash that stands for all files of a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tilewise.weights.files import CONFIG, MANIFEST, sha256

_ENDINGS: Final = (".safetensors", ".bin", ".model")
"""Of weights and tokenizers; ``config.json`` and ``tokenizer.json`` go in as well."""


def fingerprint(folder: Path) -> str:
    """Hash of config, weights and tokenizer in a folder, 64 hexadecimal digits.

    Hashes that the manifest holds are taken from there, if the sizes agree; other files are read.
    What was read once is remembered in this process by path, size and time.

    Args:
        folder: where ``config.json`` lies.
    """
    known = _manifest(folder / MANIFEST)
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in _ENDINGS and path.name not in (CONFIG, "tokenizer.json"):
            continue
        digest.update(f"{path.name} {_hash(path, known.get(path.name))}\n".encode())
    return digest.hexdigest()


_READ: Final[dict[tuple[str, int, int], str]] = {}


def _hash(path: Path, known: Any) -> str:
    status = path.stat()
    if isinstance(known, Mapping) and known.get("size_bytes") == status.st_size:
        return str(known.get("sha256"))
    key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    if key not in _READ:
        _READ[key] = sha256(path)
    return _READ[key]


def _manifest(path: Path) -> Mapping[str, Any]:
    """The table of files of a manifest; empty where there is none, or where it is damaged."""
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return files if isinstance(files, Mapping) else {}
