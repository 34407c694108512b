"""Put the trained parts together as the folder that the package ships."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from default_model.provenance import provenance
from tilewise.models.nano.config import NanoConfig
from tilewise.models.nano.decoder import Decoder
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.proof import Proofreader
from tilewise.weights.files import CONFIG, WEIGHTS, write_manifest


def export(
    encoder: Encoder,
    proof: Proofreader,
    decoder: Decoder,
    folder: Path,
    notes: dict[str, object],
) -> None:
    """Write config, float32 weights and manifest; earlier weights stay whole to the end."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    tensors |= {f"proof.{k}": v for k, v in proof.state_dict().items()}
    tensors |= {f"decoder.{k}": v for k, v in decoder.state_dict().items()}
    kept = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    part = folder / f"{WEIGHTS}.part"
    save_file(kept, part)
    part.replace(folder / WEIGHTS)
    (folder / CONFIG).write_text(
        json.dumps(NanoConfig().to_json(), indent=1) + "\n", encoding="utf-8"
    )
    write_manifest(folder, (CONFIG, WEIGHTS), notes)


def export_states(work: Path, folder: Path, seed: int, real: Path | None) -> None:
    """Export the newest encoder and decoder states of a working folder, with PROVENANCE.md."""
    cfg = NanoConfig()
    encoder, proof, decoder = Encoder(cfg.encoder), Proofreader(cfg.proof), Decoder(cfg.decoder)
    for module, names in (
        (encoder, ("joint_encoder", "encoder")),
        (proof, ("proof",)),
        (decoder, ("joint_decoder", "decoder")),
    ):
        file = next(work / f"{n}.pt" for n in names if (work / f"{n}.pt").exists())
        module.load_state_dict(torch.load(file, weights_only=True)["model"])
    export(encoder, proof, decoder, folder, {"seed": seed})
    text = provenance(work, seed, real)
    (folder / "PROVENANCE.md").write_text(text, encoding="utf-8")
