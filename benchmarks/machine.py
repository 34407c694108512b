"""Which machine a benchmark ran on, in the words that every table uses."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """Processor, cores and the load at this moment."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, load {load}"
