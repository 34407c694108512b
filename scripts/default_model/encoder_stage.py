"""Stage 1: the encoder learns what every slot of a tile holds."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from default_model.clock import Clock, ramp_down, say
from default_model.crew import Crew
from default_model.muon import Muon
from default_model.state import resume, save
from default_model.tiles import Tile, mixed_tiles, synthetic_tiles
from tilewise.models.nano.config import EncoderConfig
from tilewise.models.nano.encoder import Dense, Encoder
from tilewise.models.nano.slots import EM, IGNORE

BATCH = 10
PEAK_LR = 3e-3
HIDDEN_LR = 0.02
"""Step of Muon on convolutions; twice as good as AdamW after 4 CPU-min (docs/log.md)."""
BLANK_WEIGHT = 0.5


def ink(tiles: list[Tile]) -> Tensor:
    """Tiles → (n, 1, 336, 336) float32, 1 for black."""
    stack = np.stack([t.pixels for t in tiles])
    return torch.from_numpy(1.0 - stack.astype(np.float32) / 255.0)[:, None]


def dense_loss(out: Dense, tiles: list[Tile], blank_weight: float = BLANK_WEIGHT) -> Tensor:
    """Reading loss: characters on all slots, links and places where characters stand.

    A slot just beside a character may stay blank, but its class and place are asked for, or one
    character would be found twice (docs/log.md).
    """
    char = torch.from_numpy(np.stack([t.targets.char for t in tiles]))
    link = torch.from_numpy(np.stack([t.targets.link for t in tiles]))
    near = torch.from_numpy(np.stack([t.targets.near for t in tiles]))
    place = torch.from_numpy(np.stack([t.targets.place for t in tiles]))
    # A tile of large type has few characters; without a weight by size it would hardly count.
    by_size = (place[:, 2].exp() * (EM / 20.0)).clamp(0.8, 3.0)
    weight = torch.where(char > 0, by_size, torch.tensor(blank_weight))
    each = F.cross_entropy(out.char, char, ignore_index=IGNORE, reduction="none")
    read = (each * weight).sum()
    stands = char > 0
    count = stands.sum().clamp(min=1)
    follows = F.cross_entropy(out.link, link, ignore_index=IGNORE, reduction="sum")
    off = F.smooth_l1_loss(out.place, place, reduction="none", beta=0.2).sum(1)
    beside = near > 0
    off_all = off[stands].sum() + 0.5 * off[beside].sum()
    # Classes are 1 and up; the blank, class 0, takes no part in what a neighbour says.
    named = F.cross_entropy(
        out.char[:, 1:], torch.where(beside, near - 1, IGNORE), ignore_index=IGNORE, reduction="sum"
    )
    read = read + 0.3 * named
    return read / (count * 1.6) + 0.5 * follows / count + 0.5 * off_all / count


@torch.inference_mode()
def reading(encoder: nn.Module, tiles: list[Tile]) -> dict[str, float]:
    """Shares of characters: right class in the true slot, found as non-blank, right link."""
    out = encoder(ink(tiles))
    char = torch.from_numpy(np.stack([t.targets.char for t in tiles]))
    link = torch.from_numpy(np.stack([t.targets.link for t in tiles]))
    stands = char > 0
    best = out.char[:, 1:].argmax(1) + 1
    found = out.char.softmax(1)[:, 0] < 0.5
    blank = (char == 0) & found
    return {
        "identity": float((best == char)[stands].float().mean()),
        "found": float(found[stands].float().mean()),
        "false": float(blank.sum() / stands.sum()),
        "link": float((out.link.argmax(1) == link)[stands].float().mean()),
    }


def train_encoder(
    crew: Crew,
    work: Path,
    minutes: float,
    seed: int,
    real: Path | None,
    lr_factor: float = 1.0,
    name: str = "encoder",
) -> None:
    """Train for ``minutes`` CPU-minutes; goes on from ``work``/encoder.pt where there is one.

    ``lr_factor`` below 1 suits weights that have been trained before.
    """
    torch.manual_seed(seed)
    encoder: Encoder = Encoder(EncoderConfig()).to(  # type: ignore[call-overload]
        memory_format=torch.channels_last
    )
    optimizer = Muon(encoder, PEAK_LR * lr_factor, hidden_lr=HIDDEN_LR * lr_factor, momentum=0.9)
    state_file = work / f"{name}.pt"
    before = resume(state_file, encoder, optimizer, minutes)
    step = before.step
    clock = Clock(minutes, before.used_min, processes=crew.size)
    held = {
        "seen fonts": list(islice(synthetic_tiles(7001, test=True), 24)),
        "unseen font": list(islice(synthetic_tiles(7002, test=True, unseen_font=True), 24)),
    }
    stream = mixed_tiles(seed + step + 100_003 * crew.rank, real)
    # Not the clock's share: the crew must agree to the bit on when to report.
    share = before.used_min / minutes
    mean_loss, last_said = 0.0, share
    while share < 1.0:
        warm_up = min(1.0, (step + 1) / 50)
        optimizer.groups[0]["lr_factor"] = warm_up * ramp_down(share, 0.2, 0.02)
        tiles = list(islice(stream, BATCH))
        loss = dense_loss(encoder(ink(tiles).to(memory_format=torch.channels_last)), tiles)
        optimizer.zero_grad()
        loss.backward()
        share = crew.average_gradients(encoder, clock.share)
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        read = float(loss.detach())
        mean_loss = read if step == 1 else 0.98 * mean_loss + 0.02 * read
        if (share - last_said) * minutes < 2.0 and share < 1.0:
            continue
        last_said = share
        crew.average_buffers(encoder)
        if crew.leads:
            encoder.eval()
            report = {k: reading(encoder, v) for k, v in held.items()}
            encoder.train()
            shown = "; ".join(
                f"{k} " + " ".join(f"{a} {b:.3f}" for a, b in v.items()) for k, v in report.items()
            )
            say(work, name, clock, f"step {step} loss {mean_loss:.3f}; {shown}")
            save(state_file, encoder, optimizer, clock, step)
