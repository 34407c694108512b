"""Telling a caller how far the work on prompts has come."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tilewise.models.reader import Progress
from tilewise.models.units import Image, Prompt, Unit, positions


class Told:
    """Counts views and positions of all prompts for a Progress."""

    def __init__(self, prompts: Sequence[Prompt], progress: Progress | None) -> None:
        self._progress = progress
        self._done = {"tiles": 0, "prefill": 0}
        images = [image for prompt in prompts for image in prompt.images]
        self._total = {
            "tiles": sum(image.views for image in images),
            "prefill": sum(map(len, prompts)),
        }
        self.views = partial(self._tell, "tiles")
        self.positions = partial(self._tell, "prefill")

    def skip(self, units: Sequence[Unit]) -> None:
        """Leave out what a cache holds already."""
        views = sum(unit.views for unit in units if isinstance(unit, Image))
        self._total["tiles"] -= views
        self._total["prefill"] -= positions(units)

    def _tell(self, stage: str, count: int) -> None:
        self._done[stage] += count
        if self._progress is not None:
            self._progress(stage, self._done[stage], self._total[stage])
