"""InternLM-XComposer2-4KHD as a reader: wiring of network, prompt, cache and tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from tilewise.models import rows
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.ixc2.keys import NEWLINE, QUANTISED, check_kind, rules
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.ixc2.prompt import chat_ids
from tilewise.models.memory import CHUNK, VIEW_CHUNK, footprint
from tilewise.models.networks import fill_network
from tilewise.models.reader import Footprint, Progress, VisionStore
from tilewise.models.rows import Rows
from tilewise.models.told import Told
from tilewise.models.units import Image, Prompt, assemble
from tilewise.models.views import recalled
from tilewise.records import Evidence, Fit, Page, Plan, Tiles, Turn
from tilewise.text.templates import IXC2
from tilewise.text.templates import IXC2_SYSTEM as SYSTEM
from tilewise.text.tokenizer import Tokenizer, load_tokenizer
from tilewise.tiling.grid import hd_grid
from tilewise.tiling.layout import plan
from tilewise.tiling.partition import cut
from tilewise.weights.files import TensorFiles, read_config
from tilewise.weights.valueless import valueless

_PAGE_VIEWS: Final = 56  # of a page at 55 tiles, the most that the model was trained on


class Ixc2Reader:
    """The reader. See ``models.reader.Reader`` for what its methods promise.

    ``chunk`` positions and ``view_chunk`` views run at a time; memory grows with both, results
    do not depend on them. ``system`` is the text of the system turn, None for none.
    """

    name = "internlm-xcomposer2-4khd"

    def __init__(self, network: Ixc2, tokenizer: Tokenizer) -> None:
        self.cfg = network.cfg
        self.context = self.cfg.context
        self.default_tiles = self.cfg.default_tiles
        self.system: str | None = SYSTEM
        self.chunk = CHUNK
        self.view_chunk = VIEW_CHUNK
        self.store: VisionStore | None = None
        self.network = network
        self.tokenizer = tokenizer
        marker = tokenizer.id_of(IXC2.end)
        self._stops = frozenset({tokenizer.eos_id} | ({marker} if marker is not None else set()))

    def raster_size(self, width_pt: float, height_pt: float, max_tiles: int) -> tuple[int, int]:
        """Pixels at which a vector page fills its grid, so that it is not resized again."""
        scale = 100 if max(width_pt, height_pt) < 10_000 else 1
        size = (max(1, round(width_pt * scale)), max(1, round(height_pt * scale)))
        for _ in range(max_tiles + 3):  # truncation takes a pixel off, of a strip at each tile
            fit = hd_grid(*size, self.cfg.tiling(max_tiles))
            if size == (fit.width, fit.height):
                break
            size = (fit.width, fit.height)
        return size

    def tiles(self, page: Page, max_tiles: int) -> Tiles:
        """Cut a page; it is enlarged or shrunk to fill its grid."""
        return cut(page, self.cfg.tiling(max_tiles))

    def fit(self, width: int, height: int, max_tiles: int) -> Fit:
        """Where a page of this size lies on its tiles."""
        return hd_grid(width, height, self.cfg.tiling(max_tiles))

    def plan(self, width: int, height: int, max_tiles: int) -> Plan:
        """The image sequence of a page of this size."""
        cfg = self.cfg.tiling(max_tiles)
        return plan(hd_grid(width, height, cfg).grid, cfg)

    def prompt(self, turns: Sequence[Turn], pages: Sequence[Tiles]) -> Prompt:
        """A conversation about pages; raises PromptError."""
        return self.prompt_of(chat_ids(turns, len(pages), self.tokenizer, self.system), pages)

    def prompt_of(self, parts: Sequence[Sequence[int]], pages: Sequence[Tiles]) -> Prompt:
        """Ids before, between and after pages as a prompt; raises PromptError."""
        plans = [plan(page.fit.grid, self.cfg.tiling(page.fit.grid.tiles)) for page in pages]
        return assemble(parts, pages, plans, self.context)

    def penalised_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Ids of the prompt that a repetition penalty counts: those of a prompt without pages.

        The published code hands its engine ids for text and embeddings for pages, so this is
        what a penalty meets there.
        """
        return tuple(unit for unit in prompt.units if isinstance(unit, int) and not prompt.images)

    @torch.inference_mode()
    def prefill(
        self, prompts: Sequence[Prompt], cache: Rows | None = None, progress: Progress | None = None
    ) -> tuple[Tensor, Rows]:
        """Run prompts; of a single one, only what a single row's ``cache`` does not hold yet."""
        decoder = self.network.decoder
        return rows.prefill(decoder, self._images, prompts, cache, progress, chunk=self.chunk)

    def _images(self, images: Sequence[Image], told: Told) -> list[Tensor]:
        """The image sequences of pages, from the store if it has them."""
        device = self.network.newline.device
        return recalled(self.store, images, told, device, self._encoded, chunk=self.view_chunk)

    def _encoded(self, images: Sequence[Image], told: Told) -> list[Tensor]:
        chunk = self.view_chunk
        return [
            self.network.image(image.tiles, image.plan, chunk=chunk, progress=told.views)
            for image in images
        ]

    @torch.inference_mode()
    def embeddings(self, prompt: Prompt) -> Tensor:
        """What the decoder is given for a prompt, (length, width)."""
        decoder, told = self.network.decoder, Told([prompt], None)
        return rows.embeddings(decoder, self._images, prompt.units, told)

    @torch.inference_mode()
    def all_logits(self, prompt: Prompt) -> Tensor:
        """Logits behind every position of a prompt, (length, vocabulary), in one run."""
        return rows.all_logits(self.network.decoder, self._images, prompt)

    @torch.inference_mode()
    def decode(self, ids: Tensor, cache: Rows) -> Tensor:
        """Append one id to each row; logits (batch, vocabulary) of the next."""
        return rows.decode(self.network.decoder, self._images, ids, cache, chunk=self.chunk)

    def select(self, cache: Rows, chosen: Tensor) -> Rows:
        """The cache of the given rows, (new batch,), repeats allowed; ``cache`` is used up."""
        return rows.select(cache, chosen)

    def footprint(self) -> Footprint:
        """Memory that the reader takes, from its sizes."""
        return footprint(self.network, self.chunk, self.view_chunk)

    def stop_ids(self) -> frozenset[int]:
        """The end of the text and the end of a turn."""
        return self._stops

    def text(self, ids: Sequence[int]) -> str:
        """Ids of an answer → text, up to the first stop id."""
        return self.tokenizer.decode(list(takewhile(lambda i: i not in self._stops, ids)))

    def evidence(self, cache: Rows, row: int = 0) -> tuple[Evidence, ...]:
        """Nothing: the model does not say where on a page it reads."""
        return ()

    def is_found(self, ids: Sequence[int]) -> bool:
        """True: the model says in its own words where a page lacks something."""
        return True


def load_ixc2(
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    devices: Sequence[torch.device] = (torch.device("cpu"),),
    progress: Progress | None = None,
) -> Ixc2Reader:
    """Load InternLM-XComposer2-4KHD from a folder with the published files.

    Args:
        folder: config.json, weights (safetensors or pickles) and tokenizer.model.
        dtype: to run in; None takes that of the files.
        devices: where to run; layers that one has no room for go to the next.
        progress: told ("weights", MiB read, MiB in all).

    Raises:
        ConfigError: the config says something that this model has not.
        WeightsError: files missing or damaged, or of another model, or too little memory.
    """
    folder = Path(folder)
    cfg = Ixc2Config.from_json(read_config(folder))
    files = TensorFiles(folder)
    check_kind({name: info.shape for name, info in files.infos.items()}, cfg, folder)
    tokenizer = load_tokenizer(folder, cfg.decoder.vocabulary)
    network = valueless(lambda: Ixc2(cfg), dtype or files.infos[NEWLINE].dtype)
    fill_network(
        network,
        files,
        rules(cfg),
        quantised=QUANTISED,
        devices=devices,
        page_views=_PAGE_VIEWS,
        what="InternLM-XComposer2-4KHD",
        progress=progress,
    )
    return Ixc2Reader(network, tokenizer)
