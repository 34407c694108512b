"""How much memory is left on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

PROC: Final = Path("/proc")
GROUPS: Final = Path("/sys/fs/cgroup")


def available_bytes(
    devices: Sequence[torch.device], proc: Path = PROC, groups: Path = GROUPS
) -> int | None:
    """Bytes that can still be taken on these devices together, None where one does not say.

    On the CPU, what the system says is available, or what the container's limit leaves if that
    is less; on a GPU, what is free and what torch holds without using it.

    Args:
        devices: devices, in any order, repeats counted once.
        proc, groups: where the system tells of its memory and of the container's limit.
    """
    parts = [
        _free_on_gpu(device) if device.type == "cuda" else free_on_cpu(proc, groups)
        for device in dict.fromkeys(devices)
    ]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def free_on_cpu(proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """Bytes of main memory that can still be taken, None where the system does not say (Linux)."""
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    if "MemAvailable" not in fields:
        return None
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limit = _left_in_group(groups)
    return free if limit is None else min(free, limit)


def _left_in_group(groups: Path) -> int | None:
    """What the limit of a container (cgroup version 2) leaves; files it has cached can go."""
    try:
        limit = (groups / "memory.max").read_text(encoding="ascii").strip()
        used = int((groups / "memory.current").read_text(encoding="ascii"))
        stat = (groups / "memory.stat").read_text(encoding="ascii").split()
    except OSError:
        return None
    if limit == "max":
        return None
    counts = dict(zip(stat[::2], stat[1::2], strict=True))
    return max(0, int(limit) - used + int(counts.get("inactive_file", 0)))


def _free_on_gpu(device: torch.device) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
