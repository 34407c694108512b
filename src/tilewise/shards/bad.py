"""Bad samples: counted by reason, listed in a file, and too many of them end a run."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tilewise.errors import ConfigError, DataError
from tilewise.shards.conversation import Bad

NAME: Final = "bad.jsonl"
"""What the list is called in a run's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadConfig:
    """How many bad samples a run bears: a share of all that it has seen, once it saw ``least``."""

    most_share: float = 0.01
    least: int = 200

    def __post_init__(self) -> None:
        if not 0 <= self.most_share <= 1 or self.least < 1:
            raise ConfigError(
                f"most_share is {self.most_share} and least is {self.least}; a share of 0 to 1 and "
                "a number from 1 up are allowed."
            )


class BadList:
    """Counts samples and writes the bad ones down, a line of JSON each, as they come."""

    def __init__(
        self,
        path: Path | None,
        cfg: BadConfig | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Start a list, or go on with one.

        Args:
            path: where it is written, replacing what is there; None for nowhere.
            cfg: how many are too many.
            state: what ``state`` gave; what was written after it will be seen again and goes.

        Raises:
            DataError: the file cannot be written.
        """
        self.path = path
        self.cfg = cfg or BadConfig()
        state = state or {"seen": 0, "reasons": {}, "bytes": 0}
        self.seen: int = state["seen"]
        self.reasons: Counter[str] = Counter(state["reasons"])
        self._bytes: int = state["bytes"]
        self._file = -1
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as err:
                raise DataError(
                    f"{path}: bad samples cannot be listed there ({err.strerror}); choose another."
                ) from err
            self._bytes = min(self._bytes, os.fstat(self._file).st_size)
            os.ftruncate(self._file, self._bytes)

    @property
    def bad(self) -> int:
        """Bad samples so far."""
        return self.reasons.total()

    def add(self, *bad: Bad, good: int = 0) -> None:
        """Count samples.

        Raises:
            DataError: the share of bad ones is over the limit, or the list cannot be written.
        """
        self.seen += good + len(bad)
        for item in bad:
            self.reasons[item.reason] += 1
            self._write(item._asdict())
        if self.seen >= self.cfg.least:
            self.check()

    def move(self, bad: Bad) -> None:
        """Count a sample as bad that was added as good; raises as ``add``."""
        self.seen -= 1
        self.add(bad)

    def check(self) -> None:
        """Raise DataError where more than the allowed share is bad, however few were seen."""
        if self.bad <= self.cfg.most_share * self.seen:
            return
        where = f"; {self.path} lists them" if self.path else ""
        raise DataError(
            f"{self.bad:,} of {self.seen:,} samples are bad ({self.told()}), and at most "
            f"{self.cfg.most_share:.2%} may be{where}. Correct the data, or allow a larger share."
        )

    def told(self) -> str:
        """Reasons with their counts, the most frequent first."""
        return ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common())

    def state(self) -> dict[str, Any]:
        """All that a list needs to go on, as plain values."""
        return {"seen": self.seen, "reasons": dict(self.reasons), "bytes": self._bytes}

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, item: dict[str, Any]) -> None:
        if self._file < 0:
            return
        line = json.dumps(item, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            os.pwrite(self._file, line, self._bytes)
        except OSError as err:
            raise DataError(
                f"{self.path}: bad samples cannot be listed there ({err.strerror}); make room."
            ) from err
        self._bytes += len(line)
