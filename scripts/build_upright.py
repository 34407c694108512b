"""Train the network that tells letters the right way up, and write src/tilewise/assets/upright.npz.

    python scripts/build_upright.py [--pages 400] [--seed 0]

Letters come from synthetic pages of the training split, found as they are in scans, so their
labels are free: every page is upright. Takes some minutes on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.sources.upright import SIDE, sample_letters
from tilewise.synth.degrade import damage_pixels, pick_damage
from tilewise.synth.pages import make_page

HIDDEN = 64
OUT = Path(__file__).parents[1] / "src" / "tilewise" / "assets" / "upright.npz"


def main() -> None:
    """Make pages, train, print what is reached on letters of other pages, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    letters = torch.from_numpy(np.concatenate(list(_pages(args.pages, args.seed))))
    held = len(letters) // 10
    hidden, out = nn.Linear(SIDE * SIDE, HIDDEN), nn.Linear(HIDDEN, 1, bias=False)
    net = nn.Sequential(hidden, nn.ReLU(), out)
    _train(net, letters[:-held], args.steps)
    with torch.no_grad():
        right = (_logits(net, letters[-held:]).argmax(1) == 0).float().mean().item()
    print(f"{len(letters)} letters; {right:.3f} of {held} held out are told right")
    np.savez_compressed(
        args.out, w1=_half(hidden.weight.T), b1=_half(hidden.bias), w2=_half(out.weight[0])
    )


def _half(weights: Tensor) -> NDArray[np.float16]:
    return weights.detach().numpy().astype(np.float16)


def _pages(count: int, seed: int) -> list[NDArray[np.float32]]:
    found = []
    for index in range(count):
        rng = Random(f"upright/{seed}/{index}")
        made = make_page(rng, "train")
        pixels = damage_pixels(made.sheet.render(), pick_damage(rng, 20.0))
        turn = rng.uniform(-1.5, 1.5)
        paper = tuple(int(value) for value in np.median(pixels[:4].reshape(-1, 3), axis=0))
        turned = Image.fromarray(pixels).rotate(turn, Image.Resampling.BICUBIC, fillcolor=paper)
        letters = sample_letters(np.asarray(turned))
        found.append(letters[: rng.randint(150, 400)])
    return found


def _train(net: nn.Sequential, letters: Tensor, steps: int) -> None:
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for step in range(steps):
        batch = letters[torch.randint(len(letters), (512,))]
        loss = F.cross_entropy(_logits(net, batch), torch.zeros(len(batch), dtype=torch.long))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            print(step, round(loss.item(), 3), flush=True)


def _logits(net: nn.Sequential, letters: Tensor) -> Tensor:
    """(n, SIDE, SIDE) -> (n, 4): how upright each letter looks in each of its turns."""
    turned = torch.stack([torch.rot90(letters, k, (1, 2)) for k in range(4)], 1)
    return net(turned.flatten(2)).squeeze(2)


if __name__ == "__main__":
    main()
