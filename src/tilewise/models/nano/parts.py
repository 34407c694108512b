"""The three networks of tilewise-nano in a folder: read, written, or drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import nn

from tilewise.errors import ConfigError, WeightsError
from tilewise.models.nano.config import NanoConfig
from tilewise.models.nano.decoder import Decoder
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.proof import Proofreader
from tilewise.weights.files import (
    CONFIG,
    WEIGHTS,
    load_strict,
    read_checkpoint,
    write_manifest,
)


class Parts(NamedTuple):
    """The sizes of the reader and its networks."""

    cfg: NanoConfig
    encoder: Encoder
    proof: Proofreader
    decoder: Decoder

    @property
    def modules(self) -> nn.ModuleDict:
        """The networks by the names that tensors of a folder begin with."""
        return nn.ModuleDict(
            {"encoder": self.encoder, "proof": self.proof, "decoder": self.decoder}
        )


def draw_parts(cfg: NanoConfig, seed: int) -> Parts:
    """Networks with random weights, the same ones for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _empty(cfg)


def read_parts(folder: str | Path) -> Parts:
    """Read config.json and model.safetensors of a folder.

    Raises:
        WeightsError: files missing, damaged, of another shape, or a config.json with wrong sizes.
    """
    checkpoint = read_checkpoint(folder, "tilewise-nano")
    try:
        cfg = NanoConfig.from_json(dict(checkpoint.config))
    except ConfigError as err:
        raise WeightsError(f"{Path(folder) / CONFIG}: {err}") from err
    parts = _empty(cfg)
    load_strict(parts.modules, checkpoint.tensors)
    return parts


def write_parts(parts: Parts, folder: Path, notes: Mapping[str, Any]) -> None:
    """Write config, float32 weights and manifest; earlier weights stay whole to the end.

    Args:
        parts: what to write.
        folder: made if it is not there.
        notes: put into the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = parts.modules.state_dict()
    kept = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    part = folder / f".{WEIGHTS}.part"
    try:
        save_file(kept, part)
        part.replace(folder / WEIGHTS)
    finally:
        part.unlink(missing_ok=True)
    text = json.dumps(parts.cfg.to_json(), indent=1) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    # safetensors makes files that their owner alone may read
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode & 0o777)
    write_manifest(folder, (CONFIG, WEIGHTS), notes)


def _empty(cfg: NanoConfig) -> Parts:
    return Parts(cfg, Encoder(cfg.encoder), Proofreader(cfg.proof), Decoder(cfg.decoder))
