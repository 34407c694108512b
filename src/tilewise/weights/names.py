"""Names of tensors in messages: all of them, layers drawn together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_NUMBER: Final = re.compile(r"(?<![^.])\d+(?![^.])")


def listed(names: Iterable[str]) -> str:
    """Names in order, with commas; those that differ in one number alone become one entry.

    ``a.0.w``, ``a.1.w``, ``a.2.w``, ``a.5.w`` and ``b`` give ``a.{0..2,5}.w, b``.
    """
    groups: dict[str, list[tuple[str, list[int]]]] = {}
    for name in names:
        numbers = [int(number) for number in _NUMBER.findall(name)]
        pattern = _NUMBER.sub("{}", name) if len(numbers) == 1 else name
        groups.setdefault(pattern, []).append((name, numbers))
    return ", ".join(
        members[0][0]
        if len(members) == 1
        else pattern.replace("{}", f"{{{_runs(sorted(n[0] for _, n in members))}}}")
        for pattern, members in groups.items()
    )


def _runs(numbers: list[int]) -> str:
    """Numbers in rising order, each run of neighbours as first..last."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}..{b}" for a, b in runs)
