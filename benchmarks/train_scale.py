"""How long does a step take in one process and in two, and how does arithmetic compare with it?

    python benchmarks/train_scale.py [--shape small] [--steps 6] [--out benchmarks/results]
    python benchmarks/train_scale.py --shape tiny --steps 2      # seconds instead of minutes

Steps of AdamW on four packs, activations computed again: in one process, in two that each hold the
whole network (DDP), and in two that share it (FSDP2). Prints seconds, peak memory and operations a
second by the counts of ``tilewise.train.cost``, and writes them, with machine and spread, to a
dated file. Losses of all must agree.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.ixc2_parts.report import machine, spread, table, write
from benchmarks.train_parts.shapes import SHAPES, Asked, described, pack_of, random_network
from tilewise.adapt.freeze import part_of
from tilewise.models.internvl.config import InternVLConfig
from tilewise.models.pack import IGNORE, Pack
from tilewise.train.cost import Load, shape_of, step_products
from tilewise.train.loop import RunConfig, Size, Task, Trainer
from tilewise.train.objectives import Loss, loss_weights, packed_loss
from tilewise.train.optim import OptimConfig
from tilewise.train.parallel import joined
from tilewise.train.ranks import Alone, Ranks, is_launched
from tilewise.train.schedule import ScheduleConfig

ROOT: Final = Path(__file__).resolve().parent.parent
PACKS: Final = 4
ASKED: Final = (Asked(2, 200), Asked(4, 300))
RUNS: Final = {
    "one process": (1, "none"),
    "two, whole networks": (2, "none"),
    "two, shared": (2, "full"),
}
COLUMNS: Final = ("processes", "step, s", "peak of a process, MiB", "GFLOP/s of all", "last loss")


class Packs:
    """The same packs again and again; each rank takes its share."""

    def __init__(self, cfg: InternVLConfig, ranks: Ranks) -> None:
        self._packs = [pack_of(cfg, ASKED, seed) for seed in range(PACKS)]
        self._at, self._world = ranks.rank, ranks.world

    def __next__(self) -> Pack:
        """The next one of this rank."""
        pack = self._packs[self._at % PACKS]
        self._at += self._world
        return pack

    def state(self) -> dict[str, Any]:
        """Nothing: no run is taken up again."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""


class Answers:
    """What packs lose, with activations computed again."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def __call__(self, batch: Pack) -> Loss:
        """What a pack loses."""
        labels = [example.labels for example in batch.examples]
        hidden = self._network.hidden(batch, is_checkpointed=True)
        return packed_loss(self._network.decoder, hidden, labels, loss_weights(labels, "token"))

    def size(self, batch: Pack) -> Size:
        """What a pack has."""
        return Size(len(batch), batch.tiles, batch.ids)


def main(words: Sequence[str] | None = None) -> None:
    """Time all runs, print the table and write it down."""
    options = _options(words)
    if options.report is not None:
        run = _run(options.sharding)
        with joined(run) if is_launched() else nullcontext(Alone()) as ranks:
            _measure(options, run, ranks)
        return
    network = random_network(SHAPES[options.shape])
    operations = _operations(network.cfg)
    rows, losses = [], []
    for name, (world, sharding) in RUNS.items():
        found = _in_processes(options, world, sharding)
        times = found["step_s"][1:]  # the first one sets things up
        losses.append(found["loss"])
        speed = operations / 1e9 / sorted(times)[len(times) // 2]
        numbers = [spread(times), f"{found['memory_mib']:,.0f}", f"{speed:.1f}"]
        rows.append([name, *numbers, f"{found['loss']:.5f}"])
    torch.testing.assert_close(losses, [losses[0]] * len(losses), rtol=1e-4, atol=1e-5)
    asked = " and ".join(f"{one.tiles} tiles with {one.text} ids" for one in ASKED)
    write(
        options.out,
        "train-scale",
        "# A training step in one process and in two",
        f"{machine()} for each process.",
        f"{described(network)}; float32, AdamW, a step of {PACKS} packs, each of {asked}; "
        f"{operations / 1e9:,.0f} GFLOP a step by tilewise.train.cost, checkpointing included. "
        f"Median and range of {options.steps - 1} steps behind the first.",
        table(COLUMNS, rows),
    )


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", choices=sorted(SHAPES), default="small")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--sharding", choices=["none", "full"], default="none")
    parser.add_argument("--report", type=Path, help="where one run writes what it found")
    return parser.parse_args(words)


def _run(sharding: str) -> RunConfig:
    kind: Any = sharding
    return RunConfig(accumulation=PACKS, sharding=kind, device="cpu", rank_timeout_s=600)


def _in_processes(options: argparse.Namespace, world: int, sharding: str) -> dict[str, Any]:
    """What one run found."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = ["--shape", options.shape, "--steps", str(options.steps), "--sharding", sharding]
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(world)]
        command = [sys.executable, *(launcher if world > 1 else []), __file__, *words]
        environ = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        subprocess.run([*command, "--report", str(report)], check=True, env=environ, timeout=1800)
        return cast("dict[str, Any]", json.loads(report.read_text(encoding="utf-8")))


def _measure(options: argparse.Namespace, run: RunConfig, ranks: Ranks) -> None:
    """Take steps, and write down what they took in rank 0."""
    network = random_network(SHAPES[options.shape])
    task = Task(
        module=network,
        part_of=part_of,
        batches=Packs(network.cfg, ranks),
        objective=Answers(network),
        settings={},
    )
    optim, schedule = OptimConfig(lr=1e-4), ScheduleConfig(warmup_share=0.0)
    trainer = Trainer(task, optim, schedule, run, steps=options.steps, out=Path(), ranks=ranks)
    reports = [asdict(trainer.take()) for _ in range(options.steps)]
    if ranks.rank == 0:
        last = reports[-1]
        found = {"step_s": [report["step_s"] for report in reports], **_named(last)}
        options.report.write_text(json.dumps(found), encoding="utf-8")


def _named(report: Mapping[str, Any]) -> dict[str, float]:
    return {name: report[name] for name in ("memory_mib", "loss")}


def _operations(cfg: InternVLConfig) -> int:
    """Those of a step, each example a sequence of its own."""
    total = 0
    for seed in range(PACKS):
        for example in pack_of(cfg, ASKED, seed).examples:
            visual = sum(len(image.plan.entries) for image in example.images)
            learned = sum(label != IGNORE for label in example.labels)
            load = Load(example.tiles, len(example), visual, learned)
            total += step_products(shape_of(cfg), load)
    return total


if __name__ == "__main__":
    main()
