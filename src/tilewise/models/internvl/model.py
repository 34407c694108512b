"""InternVL as a reader: wiring of network, prompt, cache and tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from tilewise.errors import PromptError, SourceError
from tilewise.models import rows
from tilewise.models.internvl.config import read_config
from tilewise.models.internvl.keys import QUANTISED, name_form, open_files, rules, stored_dtype
from tilewise.models.internvl.network import InternVL
from tilewise.models.internvl.pictures import with_pictures
from tilewise.models.internvl.prompt import chat_ids, check_slot, page_names, random_tokens
from tilewise.models.memory import CHUNK, VIEW_CHUNK, footprint
from tilewise.models.networks import fill_network
from tilewise.models.reader import Footprint, Progress, VisionStore
from tilewise.models.rows import Rows
from tilewise.models.told import Told
from tilewise.models.units import Image, Prompt, assemble
from tilewise.models.views import recalled
from tilewise.nn.rope import DynamicNtk
from tilewise.records import Evidence, Fit, Page, Plan, Tiles, Turn
from tilewise.text.grounding import Shown, read_evidence
from tilewise.text.templates import IMAGE_END, IMAGE_SLOT, IMAGE_START, TEMPLATES
from tilewise.text.tokenizer import Tokenizer, check_covers, check_tokens, load_tokenizer
from tilewise.tiling.grid import fit_page
from tilewise.tiling.layout import plan
from tilewise.tiling.partition import cut
from tilewise.weights.files import read_config as read_folder
from tilewise.weights.valueless import valueless

IMAGE_ENDS: Final = (IMAGE_START, IMAGE_END)
"""Tokens in front of a page and behind it."""

MAX_RATIO: Final = 1000
"""How many times as long as wide a page may be. All pages are stretched over their tiles; what a
line of a few pixels would look like then, no model has seen."""

_PAGE_VIEWS: Final = 41  # of a page at 40 tiles, the most that the models were tested with
_RASTER_TILES: Final = 64  # tiles along the long side of a page so large that any grid is filled


class InternVLReader:
    """The reader. See ``models.reader.Reader`` for what its methods promise.

    ``chunk`` positions and ``view_chunk`` views run at a time; memory grows with both, results
    do not depend on them. ``system`` is the text of the system turn, None for the template's own.

    Args:
        network: with its weights.
        tokenizer: of the checkpoint; it knows the tokens of the template and of pages.
    """

    def __init__(self, network: InternVL, tokenizer: Tokenizer) -> None:
        self.cfg = cfg = network.cfg
        self.name = f"internvl-{cfg.language}"
        scaling = cfg.decoder.rope_scaling
        # Beyond these positions every length would have a rotary table of its own.
        most = scaling.positions if isinstance(scaling, DynamicNtk) else cfg.context
        self.context = min(cfg.context, most)
        self.default_tiles = cfg.max_tiles if cfg.is_dynamic else 1
        self.template = TEMPLATES[cfg.template]
        self.system = cfg.system
        self.chunk = CHUNK
        self.view_chunk = VIEW_CHUNK
        self.store: VisionStore | None = None
        self.network = network
        self.tokenizer = tokenizer
        start, end, slot, stop = map(tokenizer.id_of, (*IMAGE_ENDS, IMAGE_SLOT, self.template.end))
        assert start is not None, "check_tokens has seen that these are there"
        assert end is not None
        assert stop is not None
        self._ends, self._slot, self._stops = (start, end), slot, frozenset({stop})
        network.ends = self._ends

    def raster_size(self, width_pt: float, height_pt: float, max_tiles: int) -> tuple[int, int]:
        """Pixels at which a vector page covers the largest grid of its shape, aspect ratio kept."""
        _check_ratio(width_pt, height_pt)
        cfg, longest = self.cfg.tiling(max_tiles), max(width_pt, height_pt)
        side = cfg.tile * _RASTER_TILES
        fit = fit_page(*_scaled(width_pt, height_pt, side / longest), cfg)
        scale = 0.0
        for _ in range(3):  # whole pixels are of a ratio that may be nearer to another grid
            scale = max(scale, fit.canvas_width / width_pt, fit.canvas_height / height_pt)
            size = _scaled(width_pt, height_pt, scale)
            fit = fit_page(*size, cfg)
        return size if max(size) <= side else (fit.canvas_width, fit.canvas_height)  # of a strip

    def tiles(self, page: Page, max_tiles: int) -> Tiles:
        """Cut a page; it is stretched over its grid. A frame of a video gets one tile.

        Raises:
            SourceError: the page is a line, over ``MAX_RATIO`` times as long as wide.
        """
        _check_ratio(page.width, page.height)
        return cut(page, self.cfg.tiling(max_tiles))

    def fit(self, width: int, height: int, max_tiles: int) -> Fit:
        """Where a page of this size lies on its tiles; raises SourceError as ``tiles``."""
        _check_ratio(width, height)
        return fit_page(width, height, self.cfg.tiling(max_tiles))

    def plan(self, width: int, height: int, max_tiles: int) -> Plan:
        """The image sequence of a page of this size; raises SourceError as ``tiles``."""
        _check_ratio(width, height)
        cfg = self.cfg.tiling(max_tiles)
        return plan(fit_page(width, height, cfg).grid, cfg)

    def prompt(self, turns: Sequence[Turn], pages: Sequence[Tiles]) -> Prompt:
        """A conversation about pages, or about none; raises PromptError."""
        ids = chat_ids(turns, pages, self.tokenizer, self.template, self.system)
        return self.prompt_of(ids, pages)

    def prompt_of(self, parts: Sequence[Sequence[int]], pages: Sequence[Tiles]) -> Prompt:
        """Ids before, between and after pages, without those around a page, as a prompt.

        Raises:
            PromptError: ids that stand for visual tokens, tiles of another size than the model
                reads, or what ``assemble`` refuses.
        """
        slots = sum(token == self._slot for part in parts for token in part)
        if slots:
            raise PromptError(
                f"the prompt has {slots} ids of {IMAGE_SLOT} that belong to no page; each page "
                "brings its own places."
            )
        for page in pages:
            if page.fit.tile != self.cfg.vision.tile:
                raise PromptError(
                    f"a page is cut into tiles of {page.fit.tile} px and {self.name} reads tiles "
                    f"of {self.cfg.vision.tile} px; cut it with this reader."
                )
        plans = [plan(page.fit.grid, self.cfg.tiling(page.fit.grid.tiles)) for page in pages]
        return assemble(parts, pages, plans, self.context)

    def penalised_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """None: the published code hands its engine embeddings, so a penalty meets answers only."""
        return ()

    @torch.inference_mode()
    def prefill(
        self, prompts: Sequence[Prompt], cache: Rows | None = None, progress: Progress | None = None
    ) -> tuple[Tensor, Rows]:
        """Run prompts; of a single one, only what a single row's ``cache`` does not hold yet."""
        decoder = self.network.decoder
        return rows.prefill(decoder, self._images, prompts, cache, progress, chunk=self.chunk)

    def _images(self, images: Sequence[Image], told: Told) -> list[Tensor]:
        """The image sequences of pages, from the store if it has them."""
        device = self.network.vit.cls.device
        return recalled(self.store, images, told, device, self._encoded, chunk=self.view_chunk)

    def _encoded(self, images: Sequence[Image], told: Told) -> list[Tensor]:
        return self.network.images(images, self._ends, chunk=self.view_chunk, progress=told.views)

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
        """The template's end of a turn; what the config calls the end of a text is never said."""
        return self._stops

    def text(self, ids: Sequence[int]) -> str:
        """Ids of an answer → text, up to the first stop id, without blanks around it."""
        said = list(takewhile(lambda i: i not in self._stops, ids))
        return self.tokenizer.decode(said).strip()

    def evidence(self, cache: Rows, row: int = 0) -> tuple[Evidence, ...]:
        """Boxes that the answer so far says, in pixels of the pages."""
        answer = self.text(cache.answer(row))
        if "<box>" not in answer and "<quad>" not in answer:
            return ()
        pages = [unit.tiles for unit in cache.rows[row] if isinstance(unit, Image)]
        shown = [
            Shown(width=page.fit.page_width, height=page.fit.page_height, name=name)
            for page, name in zip(pages, page_names(pages), strict=True)
        ]
        return read_evidence(answer, shown)

    def is_found(self, ids: Sequence[int]) -> bool:
        """True: the model says in its own words where a page lacks something."""
        return True


def _check_ratio(width: float, height: float) -> None:
    if max(width, height) > MAX_RATIO * min(width, height):
        raise SourceError(
            f"a page is {width:g} x {height:g} in size; one that is over {MAX_RATIO} times as long "
            "as wide cannot be read when it is stretched over tiles. Cut it into pieces."
        )


def _scaled(width: float, height: float, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def load_internvl(
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    devices: Sequence[torch.device] = (torch.device("cpu"),),
    progress: Progress | None = None,
) -> InternVLReader:
    """Load InternVL 1.5 or Mini-InternVL from a folder, in the published form or the native one.

    Args:
        folder: config.json, weights (safetensors or pickles) and the tokenizer's files.
        dtype: to run in; None takes that of the files.
        devices: where to run; layers that one has no room for go to the next.
        progress: told ("weights", MiB read, MiB in all).

    Raises:
        ConfigError: the config says something that this family has not.
        WeightsError: files missing or damaged, or of another model, or too little memory.
    """
    folder = Path(folder)
    data = read_folder(folder)
    cfg = with_pictures(read_config(data), data, folder)
    template = TEMPLATES[cfg.template]
    tokenizer = load_tokenizer(folder, cfg.decoder.vocabulary, random_tokens(data, cfg, template))
    check_covers(tokenizer, cfg.decoder.vocabulary, folder)
    check_tokens(tokenizer, (*template.markers, *IMAGE_ENDS), folder)
    check_slot(tokenizer, data, folder)
    files = open_files(folder, cfg)
    form = name_form(files.infos, folder)
    network = valueless(lambda: InternVL(cfg), dtype or stored_dtype(files, cfg))
    fill_network(
        network,
        files,
        rules(cfg, form),
        quantised=QUANTISED,
        devices=devices,
        page_views=_PAGE_VIEWS,
        what=f"InternVL with {cfg.language}",
        progress=progress,
    )
    return InternVLReader(network, tokenizer)
