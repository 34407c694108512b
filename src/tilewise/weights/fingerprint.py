"""One hash that stands for all files of a model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tilewise.weights.files import CONFIG, MANIFEST, sha256

_log = logging.getLogger(__name__)

_ENDINGS: Final = (".safetensors", ".bin", ".model")
"""Of weights and tokenizers."""

_NAMES: Final = (
    CONFIG,
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)
"""The config, and what else tokenizers are read from."""

LARGE_BYTES: Final = 64 << 20
"""Files from here on take a while to hash; what came out is written down."""


def fingerprint(folder: Path, memo: Path | None = None) -> str:
    """Hash of config, weights and tokenizer in a folder, 64 hexadecimal digits.

    Hashes that the manifest holds are taken from there, if the sizes agree; other files are read.

    Args:
        folder: where ``config.json`` lies.
        memo: a file in which hashes of large files are remembered by path, size and time; it
            need not exist, and failing to write it is no error.
    """
    known = _object(folder / MANIFEST).get("files")
    listed = known if isinstance(known, Mapping) else {}
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in _ENDINGS and path.name not in _NAMES:
            continue
        entry, size = listed.get(path.name), path.stat().st_size
        if isinstance(entry, Mapping) and entry.get("size_bytes") == size:
            found = str(entry.get("sha256"))
        else:
            found = sha256(path) if memo is None or size < LARGE_BYTES else _remembered(path, memo)
        digest.update(f"{path.name} {found}\n".encode())
    return digest.hexdigest()


def _remembered(path: Path, memo: Path) -> str:
    """Hash of a file, from the memo if its size and time are the same."""
    status = path.stat()
    name, stamp = str(path.resolve()), [status.st_size, status.st_mtime_ns]
    entry = _object(memo).get(name)
    if isinstance(entry, Mapping) and entry.get("stamp") == stamp:
        return str(entry.get("sha256"))
    found = sha256(path)
    part = memo.with_name(f"{memo.name}.{os.getpid()}.part")
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        told = {**_object(memo), name: {"stamp": stamp, "sha256": found}}
        try:
            part.write_text(json.dumps(told, indent=1), encoding="utf-8")
            part.replace(memo)
        finally:
            part.unlink(missing_ok=True)
    except OSError as err:
        _log.info("%s cannot be written (%s)", memo, err.strerror)
    return found


def _object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none, or where it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
