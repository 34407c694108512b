"""Several processes that train one model: each makes its own data, gradients are averaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn
from torch import multiprocessing as mp


@dataclass(frozen=True, slots=True)
class Crew:
    """This process among ``size`` that train together; rank 0 keeps time, evaluates and saves."""

    rank: int = 0
    size: int = 1
    parent: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process reports and saves."""
        return self.rank == 0

    def average_gradients(self, model: nn.Module, share: float) -> float:
        """Set every gradient to the mean over the crew; returns the leader's ``share`` to all."""
        if self.size == 1:
            return share
        if os.getppid() != self.parent:  # killed without a chance to stop its children
            raise SystemExit("the process that started this training is gone")
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        told = torch.tensor([share if self.leads else 0.0])
        flat = torch.cat([told, *(g.flatten() for g in grads)])
        distributed.all_reduce(flat)
        at = 1
        for grad in grads:
            part = flat[at : at + grad.numel()]
            grad.copy_(part.view(grad.shape)).div_(self.size)
            at += grad.numel()
        return float(flat[0])

    def average_buffers(self, model: nn.Module) -> None:
        """Set running statistics to their mean over the crew, before the leader uses them."""
        if self.size == 1:
            return
        for buffer in model.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer.div_(self.size)


def train_with(size: int, work: Path, train: Callable[..., None], *args: object) -> None:
    """Run ``train(crew, ...)`` in ``size`` processes of one thread each; Ctrl-C stops all."""
    torch.set_num_threads(int(os.environ.get("TILEWISE_THREADS", "1")))
    if size == 1:
        train(Crew(), *args)
        return
    work.mkdir(parents=True, exist_ok=True)
    meeting = work / f"meeting-{os.getpid()}"
    try:
        mp.spawn(_join, (size, meeting, train, args), nprocs=size)  # type: ignore[attr-defined,no-untyped-call]
    finally:
        meeting.unlink(missing_ok=True)


def _join(
    rank: int,
    size: int,
    meeting: Path,
    train: Callable[..., None],
    args: tuple[object, ...],
) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting.resolve()}", rank=rank, world_size=size
    )
    try:
        train(Crew(rank, size, os.getppid()), *args)
    finally:
        distributed.destroy_process_group()
