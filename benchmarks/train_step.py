"""How long does a training step take, next to the transformers library's own InternVL?

    python benchmarks/train_step.py [--shape small] [--repeats 5] [--out benchmarks/results]
    python benchmarks/train_step.py --shape tiny --repeats 1      # seconds instead of minutes

Both take steps of AdamW on the same weights and the same examples, in turns: once with examples of
like length, which the library batches without waste, and once with mixed lengths, which it pads and
the package packs; each with all activations kept and with activations computed again. Prints a
table of medians and writes it, with machine and spread, to a dated file. Losses must agree.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from benchmarks.ixc2_parts.report import machine, spread, table, write
from benchmarks.train_parts.shapes import (
    SHAPES,
    Asked,
    Shape,
    described,
    pack_of,
    published,
    random_network,
)
from tilewise.models.internvl.keys import rules
from tilewise.models.internvl.layouts import in_layout
from tilewise.models.internvl.network import MEAN, STD, InternVL, views
from tilewise.models.pack import IGNORE, Example, Pack
from tilewise.models.units import Image
from tilewise.models.views import normalised
from tilewise.train.objectives import loss_weights, packed_loss
from tilewise.weights.keymap import published as published_tensors

SETS: Final = {
    "like lengths": (Asked(2, 200),) * 3,
    "mixed lengths": (Asked(4, 300), Asked(0, 150), Asked(1, 200), Asked(0, 60)),
}
COLUMNS: Final = ("examples", "activations", "tilewise, s", "transformers, s", "faster by")

_LIBRARY: Final[Any] = transformers  # without types

Step = Callable[[], float]
"""Takes a step and gives the loss."""


def main(words: Sequence[str] | None = None) -> None:
    """Time all settings, print the table and write it down."""
    args = _arguments(words)
    _LIBRARY.utils.logging.set_verbosity_error()
    head, shape = machine(), SHAPES[args.shape]
    rows, notes, odd = [], [], []
    for name, asked in SETS.items():
        for is_checkpointed in (False, True):
            network = random_network(shape)
            pack = pack_of(network.cfg, asked)
            peer = _peer(network, shape, is_checkpointed=is_checkpointed)
            batch = _batch(network, pack, shape)
            steps = _ours(network, pack, is_checkpointed=is_checkpointed), _theirs(peer, batch)
            (ours, theirs), losses = _timed(steps, args.repeats)
            kept = "computed again" if is_checkpointed else "kept"
            ratio = float(np.median(theirs) / np.median(ours))
            rows.append([name, kept, spread(ours), spread(theirs), f"{ratio:.2f} x"])
            print(*rows[-1], file=sys.stderr, flush=True)
            if abs(losses[0] / losses[1] - 1) > 1e-3:
                odd.append(f"{name}, {kept}: {losses[0]:.5f} and {losses[1]:.5f}")
        positions = batch["input_ids"].numel()
        notes.append(
            f"{name}: {len(asked)} examples, {pack.tiles} tiles, {len(pack)} positions, "
            f"{positions} with padding"
        )
    setting = (
        f"{described(network)}; float32, loss of the same positions. {'; '.join(notes)}. {head}, "
        f"transformers {transformers.__version__} with its SDPA attention. Seconds of forward, "
        f"backward and AdamW: median of {args.repeats} [fastest to slowest] after one unmeasured, "
        "in turns."
    )
    what = f"train-step{'' if args.shape == 'small' else '-' + args.shape}"
    write(args.out, what, "# A training step", setting, table(COLUMNS, rows))
    if odd:
        sys.exit(f"Losses differ by more than rounding: {'; '.join(odd)}.")


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(words)


def _timed(steps: Sequence[Step], repeats: int) -> tuple[list[list[float]], list[float]]:
    """Seconds of each repeat and the first loss, of each of the steps; they take turns."""
    losses = [step() for step in steps]  # not measured
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats):
        for step, took in zip(steps, seconds, strict=True):
            began = time.perf_counter()
            step()
            took.append(time.perf_counter() - began)
    return seconds, losses


def _ours(network: InternVL, pack: Pack, *, is_checkpointed: bool) -> Step:
    labels = [example.labels for example in pack.examples]
    weights = loss_weights(labels, "token")

    def loss() -> Tensor:
        hidden = network.hidden(pack, is_checkpointed=is_checkpointed)
        lost = packed_loss(network.decoder, hidden, labels, weights)
        return lost.total / lost.weight

    return _step(network, loss)


def _theirs(peer: Any, batch: dict[str, Tensor]) -> Step:
    return _step(peer, lambda: peer(**batch).loss)


def _step(module: nn.Module, loss: Callable[[], Tensor]) -> Step:
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True)

    def step() -> float:
        lost = loss()
        lost.backward()
        optimiser.step()
        optimiser.zero_grad()
        return float(lost.detach())

    return step


def _peer(network: InternVL, shape: Shape, *, is_checkpointed: bool) -> Any:
    """The library's model with the weights of ours."""
    config = in_layout(published(shape), "native")
    config = {**config, "image_token_id": shape.vocabulary - 2}
    made = _LIBRARY.InternVLForConditionalGeneration._from_config(
        _LIBRARY.InternVLConfig.from_dict(config), attn_implementation="sdpa"
    )
    named = dict(published_tensors(network, rules(network.cfg, "native-memory")))
    made.load_state_dict({name: value.clone() for name, value in named.items()})
    if is_checkpointed:
        made.activation_checkpointing_enable()
    return made.train()


def _batch(network: InternVL, pack: Pack, shape: Shape) -> dict[str, Tensor]:
    """A pack as the library takes it: a row for each example, padded on the right."""
    rows = [_ids(example, shape) for example in pack.examples]
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    labels, mask = torch.full_like(ids, IGNORE), torch.zeros_like(ids)
    for n, (row, example) in enumerate(zip(rows, pack.examples, strict=True)):
        ids[n, : len(row)] = torch.tensor(row)
        labels[n, : len(row)] = torch.tensor(example.labels)
        mask[n, : len(row)] = 1
    seen = np.concatenate([views(image.tiles) for image in pack.images])
    pixels = normalised(seen, MEAN, STD, torch.device("cpu"))
    return {"input_ids": ids, "labels": labels, "attention_mask": mask, "pixel_values": pixels}


def _ids(example: Example, shape: Shape) -> list[int]:
    """Ids of an example; those around a page and at its places are the last of the vocabulary."""
    found: list[int] = []
    for unit in example.units:
        if isinstance(unit, Image):
            slots = [shape.vocabulary - 2] * (len(unit.plan) - 2)
            found += [shape.vocabulary - 3, *slots, shape.vocabulary - 1]
        else:
            found.append(unit)
    return found


if __name__ == "__main__":
    main()
