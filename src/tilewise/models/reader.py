"""The protocol that both engine and pipeline know a model by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tilewise.records import Evidence, Fit, Page, Plan, Tiles, Turn

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) while a reader works, e.g. ("tiles", 8, 21)."""


class Cache(Protocol):
    """What a reader keeps between steps: keys and values, and its own notes on the pages."""

    @property
    def length(self) -> int:
        """Positions filled, padding included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a reader keeps and what it needs while it works, in bytes.

    ``weights_bytes``: loaded weights. ``token_bytes``: kept for each token of one row, keys and
    values. ``tile_bytes``: kept for each tile until its prompt has run. ``vision_bytes``: peak of
    the encoder, whose work comes in chunks. ``run_bytes``: activations of each token that the
    decoder runs at once, of which there are ``run_tokens`` at most. ``product_bytes``: taken by a
    matrix product for itself, whoever runs it. ``devices``: where all this lies.
    """

    weights_bytes: int
    token_bytes: int
    tile_bytes: int
    vision_bytes: int
    run_bytes: int
    run_tokens: int
    product_bytes: int = 0
    devices: tuple[torch.device, ...] = (torch.device("cpu"),)


class VisionStore(Protocol):
    """Keeps what the vision side of a reader gave for pages, such as ``vision_cache`` on disk."""

    def key(self, tiles: Tiles, plan: Plan) -> str:
        """Name of what this reader gives for a page."""

    def get(self, key: str) -> dict[str, Tensor] | None:
        """What was kept under a name, on the CPU, None if there is nothing."""

    def put(self, key: str, parts: Mapping[str, Tensor]) -> None:
        """Keep tensors under a name; failing to is no error."""


class Reader(Protocol):
    """A model that reads pages.

    Where it has a ``store``, it asks there before it encodes a page, and gives there what it made.

    A prompt is the reader's own value. ``prefill`` takes a batch of prompts and, if the caller
    has one, the cache of an earlier prefill of the *same single prompt's pages*: then only what
    is new is computed. Logits are float32 ``(batch, vocabulary)``.
    """

    name: str
    context: int
    default_tiles: int
    store: VisionStore | None

    def raster_size(self, width_pt: float, height_pt: float, max_tiles: int) -> tuple[int, int]:
        """Pixels at which a vector page of this size in points is best rendered."""

    def tiles(self, page: Page, max_tiles: int) -> Tiles:
        """Resize, pad and cut a page."""

    def fit(self, width: int, height: int, max_tiles: int) -> Fit:
        """Where a page of this size will lie on its tiles, before anything runs."""

    def plan(self, width: int, height: int, max_tiles: int) -> Plan:
        """The image sequence that a page of this size will give, before anything runs."""

    def prompt(self, turns: Sequence[Turn], pages: Sequence[Tiles]) -> Any:
        """Turns and pages → a prompt. Raises PromptError if it is empty or over ``context``."""

    def prefill(
        self, prompts: Sequence[Any], cache: Any | None = None, progress: Progress | None = None
    ) -> tuple[Tensor, Any]:
        """Run prompts; return the logits of the next id and the cache."""

    def decode(self, ids: Tensor, cache: Any) -> Tensor:
        """Append one id a prompt, (batch,), and return the logits of the next."""

    def select(self, cache: Any, rows: Tensor) -> Any:
        """The cache of the given rows (n,), int64, in that order; a row may come repeatedly.

        The cache given is used up: rows may move into the new one without a copy.
        """

    def penalised_ids(self, prompt: Any) -> tuple[int, ...]:
        """Ids of a prompt that a repetition penalty counts as said; often none."""

    def footprint(self) -> Footprint:
        """Memory that the reader takes, known from its sizes before anything runs."""

    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer."""

    def text(self, ids: Sequence[int]) -> str:
        """Ids of one answer → text; a tail that is no whole character yet is left out."""

    def evidence(self, cache: Any, row: int = 0) -> tuple[Evidence, ...]:
        """Where the ids decoded so far stand on the pages, if the reader knows."""

    def is_found(self, ids: Sequence[int]) -> bool:
        """False where the answer says that the pages do not hold it."""
