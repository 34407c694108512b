"""Stage 4: the decoder goes on learning on pages that the encoder has read, with its mistakes."""

from __future__ import annotations

import copy
import os
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import torch

from default_model.cases import Case, oracle_cases
from default_model.clock import Clock, ramp_down, say
from default_model.decoder_stage import evaluate, step_on, table
from default_model.muon import Muon
from default_model.rendered import real_cases, rendered_cases
from default_model.state import resume, save
from tilewise.models.nano.config import DecoderConfig, EncoderConfig, ProofConfig
from tilewise.models.nano.decoder import Decoder
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.proof import Proofreader
from tilewise.models.nano.sight import fused

PEAK_LR = 1e-3


def mixed_cases(
    encoder: Encoder, proof: Proofreader, seed: int, real: Path | None
) -> Iterator[Case]:
    """Oracle, rendered and real pages in turn."""
    rng = Random(seed)
    oracle = oracle_cases(seed, most_tiles=16)
    drawn = rendered_cases(encoder, proof, seed + 1, most_tiles=16)
    found = real_cases(encoder, proof, real, seed + 2) if real is not None else None
    while True:
        roll = rng.random()
        if found is not None and roll < 0.25:
            yield next(found)
        else:
            yield next(oracle if roll < 0.5 else drawn)


def train_joint(work: Path, minutes: float, seed: int, real: Path | None) -> None:
    """Train for ``minutes`` CPU-minutes from the states of both stages; resumable."""
    torch.set_num_threads(int(os.environ.get("TILEWISE_THREADS", "1")))
    torch.manual_seed(seed)
    encoder, model = Encoder(EncoderConfig()), Decoder(DecoderConfig())
    encoder.load_state_dict(torch.load(work / "encoder.pt", weights_only=True)["model"])
    eyes = fused(copy.deepcopy(encoder))
    proof = Proofreader(ProofConfig()).eval()
    proof.load_state_dict(torch.load(work / "proof.pt", weights_only=True)["model"])
    optimizer = Muon(model, PEAK_LR)
    state_file = work / "joint_decoder.pt"
    before = resume(state_file, model, optimizer, minutes)
    step = before.step
    if not state_file.exists():
        model.load_state_dict(torch.load(work / "decoder.pt", weights_only=True)["model"])
    clock = Clock(minutes, before.used_min)
    held = list(islice(rendered_cases(eyes, proof, 9002, "test", most_tiles=16, count=10), 24))
    stream, noise = mixed_cases(eyes, proof, seed * 1000 + step, real), Random(seed + step)
    right: dict[str, list[float]] = defaultdict(list)
    last_said, mean_first = -10.0, 0.5
    while clock.share < 1.0:
        optimizer.groups[0]["lr_factor"] = min(1.0, (step + 1) / 20) * ramp_down(
            clock.share, 0.2, 0.03
        )
        result = step_on(model, optimizer, stream, noise)
        for key, values in result.right.items():
            right[key] = (right[key] + values)[-300:]
        mean_first = 0.97 * mean_first + 0.03 * result.first_loss
        step += 1
        if clock.used_min - last_said > 2.0 or clock.share >= 1.0:
            last_said = clock.used_min
            say(work, "joint", clock, f"step {step} first {mean_first:.3f}; {table(right)}")
            say(work, "joint", clock, "held " + table(evaluate(model, held)))
            save(state_file, model, optimizer, clock, step)
