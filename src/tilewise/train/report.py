"""What a run tells while it goes: a line of progress, TensorBoard, a file of numbers, callbacks."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from tilewise.errors import TrainingError
from tilewise.records import Pixels
from tilewise.train.events import EventFile

NUMBERS: Final = "steps.jsonl"
"""File of all reports, one JSON object a line."""

HELD: Final = "held.jsonl"
"""File of what held-out data said, one JSON object a line."""

_WINDOW: Final = 20
"""Steps that speeds and the time left are taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step, the ``step``-th of ``steps``, counted from 1.

    ``loss`` is the mean over what is learned, ``norm`` that of all gradients before clipping,
    ``lr`` the peak's share before factors. ``tokens`` and ``tiles`` are those of the step's
    batches. Speeds are over the last steps, ``left_s`` at that speed. ``memory_mib`` is the
    largest so far: of the process, or of a GPU what its tensors took. ``skipped`` counts bad
    samples so far, ``used_s`` seconds of processor time of all processes. ``numbers`` are what
    the task tells beside the loss, means over the step.
    """

    step: int
    steps: int
    loss: float
    lr: float
    norm: float
    tokens: int
    tiles: int
    step_s: float
    tokens_per_s: float
    tiles_per_s: float
    left_s: float
    memory_mib: float
    skipped: int = 0
    used_s: float = 0.0
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The report as a line of progress."""
        return (
            f"step {self.step}/{self.steps}, loss {self.loss:.4f}, lr {self.lr:.2e}, "
            f"{self.tokens_per_s:,.0f} tokens/s, {self.tiles_per_s:,.1f} tiles/s, "
            f"{self.memory_mib:,.0f} MiB, {spoken(self.left_s)} left"
        )


Callback = Callable[[StepReport], None]
"""Told of every step; a tracker of one's own is one. What it raises ends the run."""


class Speed:
    """Speeds over the last steps, from the times that it is given."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, int, int]] = deque(maxlen=_WINDOW)

    def add(self, step_s: float, tokens: int, tiles: int) -> tuple[float, float, float]:
        """Count a step in; gives tokens a second, tiles a second, and seconds a step."""
        self._kept.append((step_s, tokens, tiles))
        seconds, all_tokens, all_tiles = (sum(column) for column in zip(*self._kept, strict=True))
        seconds = max(seconds, 1e-9)
        return all_tokens / seconds, all_tiles / seconds, seconds / len(self._kept)


class Log:
    """Writes reports to TensorBoard's file and to ``steps.jsonl``, and hands them to callbacks.

    Args:
        folder: made if it is not there.
        callbacks: told of every step, in order.
        done: steps that the run has behind it; what the folder says of later ones, from before
            a kill, goes.
        clock: seconds since 1970.

    Raises:
        TrainingError: the folder cannot be written, then or at any report.
    """

    def __init__(
        self,
        folder: Path,
        callbacks: Sequence[Callback] = (),
        done: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._callbacks, self._clock, self._folder = callbacks, clock, folder
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._events = EventFile(folder, clock(), done + 1 if done else 0)
            for name in (NUMBERS, HELD):
                _cut(folder / name, done)
            self._numbers = (folder / NUMBERS).open("a", encoding="utf-8")

    def __call__(self, report: StepReport) -> None:
        """Take a report."""
        numbers = asdict(report)
        told = numbers if report.numbers else {k: v for k, v in numbers.items() if k != "numbers"}
        with self._writing():
            self._numbers.write(json.dumps(told) + "\n")
            self._numbers.flush()
            self._events.add(report.step, _tagged(numbers), self._clock())
        for callback in self._callbacks:
            callback(report)

    def measured(
        self, step: int, numbers: Mapping[str, float], pictures: Mapping[str, Pixels] | None = None
    ) -> None:
        """Write down what held-out data said behind a step, in numbers and in pictures."""
        tags = {f"held/{name}": number for name, number in numbers.items()}
        with self._writing():
            with (self._folder / HELD).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **numbers}) + "\n")
            self._events.add(step, tags, self._clock())
            if pictures:
                self._events.add_pictures(step, pictures, self._clock())

    def close(self) -> None:
        """Close the files."""
        with suppress(OSError):  # what could not be written was said when it was
            self._events.close()
        with suppress(OSError):
            self._numbers.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise TrainingError(
                f"{self._folder}: the log cannot be written ({err.strerror}); the last checkpoint "
                "stays. Make room, then go on with --resume."
            ) from err


def peak_memory_mib(device: torch.device) -> float:
    """The most memory so far: of a GPU its tensors', else that of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def spoken(seconds: float) -> str:
    """A time as it is said: ``12 s``, ``3 min 20 s``, ``5 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def said(numbers: Mapping[str, float]) -> str:
    """Numbers by name as they are said."""
    return ", ".join(f"{name} {number:.3f}" for name, number in numbers.items())


def read_losses(folder: Path) -> dict[int, float]:
    """Losses by step, from ``steps.jsonl`` of a folder."""
    lines = (folder / NUMBERS).read_text(encoding="utf-8").splitlines()
    return {item["step"]: item["loss"] for item in map(json.loads, lines)}


def _tagged(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Numbers worth a curve, in TensorBoard's groups."""
    learning = {f"train/{name}": numbers[name] for name in ("loss", "lr", "norm", "skipped")}
    names = ("tokens_per_s", "tiles_per_s", "step_s", "memory_mib")
    told = {f"told/{name}": number for name, number in numbers["numbers"].items()}
    return learning | {f"speed/{name}": numbers[name] for name in names} | told


def _cut(path: Path, done: int) -> None:
    """Drop lines of steps behind ``done``, and one that a kill left half-written."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= done:
                kept.append(line + "\n")
        except ValueError:
            continue
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(kept), encoding="utf-8")
    part.replace(path)
