"""How much memory does a training step take, next to the same arithmetic done plainly?

    python benchmarks/train_memory.py [--shape medium] [--out benchmarks/results]
    python benchmarks/train_memory.py --shape tiny      # seconds instead of minutes

Takes one step of AdamW on a random model and one pack, each way in a process of its own: plainly,
which keeps all activations and makes float32 logits of all positions; with activations computed
again; with logits of the positions that are learned from alone, in chunks; and with both, as the
package trains. Prints a table of peaks and writes it, with machine, to a dated file. The losses
and gradients of all ways must agree. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch.nn import functional as F

from benchmarks.ixc2_parts.report import machine, table, write
from benchmarks.train_parts.shapes import SHAPES, Asked, described, pack_of, random_network
from tilewise.models.internvl.network import InternVL
from tilewise.models.pack import Pack
from tilewise.train.objectives import loss_weights, packed_loss

KINDS: Final = {
    "plain": (False, False),
    "checkpointing alone": (True, False),
    "lean loss alone": (False, True),
    "both": (True, True),
}
"""Ways to take a step: are activations computed again, and are logits made in chunks?"""

ASKED: Final = (Asked(4, 300), Asked(0, 200), Asked(2, 400))
COLUMNS: Final = ("", "peak", "beside weights and optimiser", "share of plain's peak", "seconds")
BYTES: Final = 16  # a weight, its gradient and two moments, all float32


def main(words: Sequence[str] | None = None) -> None:
    """Measure all ways in fresh processes, print the table and write it down."""
    args = _arguments(words)
    if args.child:
        _child(args)
        return
    head = machine()
    runs = {kind: _measured(args, kind) for kind in KINDS}
    plain = runs["plain"]
    setting = (
        f"{plain['model']}; float32, a pack of {plain['tokens']} positions in {len(ASKED)} "
        f"examples, {plain['tiles']} tiles. {head}."
    )
    how = (
        "Peaks are the processes' highest resident memory (VmHWM) in one step of AdamW, less what "
        f"was resident before the model was made; {BYTES} bytes a weight go into weights, "
        "gradients and the optimiser's moments. One run each."
    )
    rows = [[kind, *_row(run, plain)] for kind, run in runs.items()]
    write(
        args.out,
        f"train-memory{'' if args.shape == 'medium' else '-' + args.shape}",
        "# Memory of a training step",
        f"{setting} {how}",
        table(COLUMNS, rows),
        f"Loss {plain['loss']:.6f}, norm of gradients {plain['norm']:.6f}, the same in all ways.",
    )
    odd = [
        kind
        for kind, run in runs.items()
        if any(abs(run[what] / plain[what] - 1) > 1e-4 for what in ("loss", "norm"))
    ]
    if odd:
        sys.exit(f"Loss or gradients of {', '.join(odd)} differ from plain's by more than rounding")


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="medium")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def _measured(args: argparse.Namespace, kind: str) -> dict[str, Any]:
    """What a fresh process found."""
    words = [sys.executable, __file__, "--child", kind, "--shape", args.shape]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    print(f"{kind}: {done.stdout.strip()}", file=sys.stderr, flush=True)
    return dict(json.loads(done.stdout))


def _child(args: argparse.Namespace) -> None:
    """Take a step one way and print what it took, in bytes and seconds."""
    before = _resident_bytes("VmRSS")
    network = random_network(SHAPES[args.shape])
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    pack = pack_of(network.cfg, ASKED)
    began = time.perf_counter()
    loss = _loss(network, pack, *KINDS[args.child])
    loss.backward()
    norm = torch.nn.utils.get_total_norm(
        [w.grad for w in network.parameters() if w.grad is not None]
    )
    optimiser.step()
    took = time.perf_counter() - began
    peak = _resident_bytes("VmHWM") - before
    held = BYTES * sum(weight.numel() for weight in network.parameters())
    found = {
        "model": described(network),
        "tokens": len(pack),
        "tiles": pack.tiles,
        "peak": peak,
        "beside": peak - held,
        "seconds": took,
        "loss": loss.item(),
        "norm": norm.item(),
    }
    print(json.dumps(found))


def _loss(network: InternVL, pack: Pack, is_checkpointed: bool, is_lean: bool) -> torch.Tensor:
    """The mean over positions that are learned from."""
    hidden = network.hidden(pack, is_checkpointed=is_checkpointed)
    labels = [example.labels for example in pack.examples]
    if is_lean:
        loss = packed_loss(network.decoder, hidden, labels, loss_weights(labels, "token"))
        return loss.total / loss.weight
    logits = network.decoder.logits(hidden)
    following = torch.tensor([label for own in labels for label in own][1:])
    return F.cross_entropy(logits[:-1], following)  # no example's first label is learned


def _resident_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}; this needs Linux.")


def _row(run: dict[str, Any], plain: dict[str, Any]) -> list[str]:
    sizes = [f"{run[what] / 2**20:,.0f} MiB" for what in ("peak", "beside")]
    return [*sizes, f"{run['peak'] / plain['peak']:.2f}", f"{run['seconds']:.1f}"]


if __name__ == "__main__":
    main()
