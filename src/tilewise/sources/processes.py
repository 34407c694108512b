"""What programs that were started use; where there is no /proc, nothing is known of it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_KIB: Final = re.compile(r"^(RssAnon|RssShmem):\s+(\d+) kB$", re.MULTILINE)


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for each in found:
        with suppress(OSError, ValueError):
            for task in Path("/proc", str(each), "task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def family_bytes(pid: int) -> int:
    """Memory of a process and its descendants, without files that are mapped.

    What they share counts once: the most that one of them maps.
    """
    own, shared = 0, 0
    for each in family(pid):
        with suppress(OSError):
            sizes = dict(_KIB.findall(Path("/proc", str(each), "status").read_text()))
            own += int(sizes.get("RssAnon", 0)) << 10
            shared = max(shared, int(sizes.get("RssShmem", 0)) << 10)
    return own + shared


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used; 0 if that is not known."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
