"""From logits to ids. Pure, but for ``Chooser``, which remembers what was said and drawn.

The steps and their order are those of ``generate`` in transformers 4.40: repetition penalty,
temperature, top-k, top-p, then one draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

import torch
from torch import Tensor

from tilewise.errors import ConfigError, WeightsError

NOT_FINITE: Final = (
    "the reader's output holds no finite largest value; its weights are damaged or of another "
    "version: get them again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """How ids are chosen. The default always takes the most probable one.

    ``temperature``: 0 takes the most probable id, more draws at random. ``top_k``: draw among so
    many of the most probable, 0 is all. ``top_p``: draw among the most probable that together
    have this probability. ``repetition_penalty``: above 1 makes ids that were said less probable.
    ``seed``: the same one gives the same answer. ``beams``: answers carried on side by side, of
    which the best is given. ``length_penalty``: the power of its length by which a finished
    answer's log-probability is divided when beams are compared.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0
    beams: int = 1
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        limits = (
            ("temperature", 0 if self.temperature == 0 else 1e-3, 1e3, "0, or 0.001 to 1000"),
            ("top_p", 1e-6, 1, "above 0 and up to 1"),
            ("top_k", 0, inf, "0 (all) and more"),
            ("repetition_penalty", 1e-3, 1e3, "0.001 to 1000"),
            ("seed", 0, 2**63 - 1, "0 to 2**63 - 1"),
            ("beams", 1, 64, "1 to 64"),
            ("length_penalty", -1e3, 1e3, "-1000 to 1000"),
        )
        for name, least, most, allowed in limits:
            value = getattr(self, name)
            if not (least <= value <= most and isfinite(value)):
                raise ConfigError(f"{name} is {value}; {allowed} is allowed.")
        self._check_together()

    def _check_together(self) -> None:
        is_narrowed = self.top_p < 1 or self.top_k > 0
        if self.temperature == 0 and is_narrowed:
            raise ConfigError(
                f"top_p is {self.top_p} and top_k is {self.top_k}, but temperature is 0, which "
                "takes the most probable id without drawing; set a temperature above 0, e.g. 1."
            )
        if self.temperature > 0 and self.beams > 1:
            raise ConfigError(
                f"beams is {self.beams} and temperature is {self.temperature}; beams are searched, "
                "not drawn. Set temperature to 0, or beams to 1."
            )
        if self.length_penalty != 1 and self.beams == 1:
            raise ConfigError(
                f"length_penalty is {self.length_penalty}, but beams is 1 and there is nothing to "
                "compare; set more beams or leave it at 1."
            )


class Chooser:
    """Chooses the next id of every row of a batch.

    Each row has random numbers of its own from the same seed, so that it is answered alike in any
    batch and at any place in it.

    Args:
        cfg: how to choose.
        said: for each row, the ids that its repetition penalty counts from the start.
    """

    def __init__(self, cfg: SamplingConfig, said: Sequence[Sequence[int]]) -> None:
        self._cfg = cfg
        self._said = Said(said) if cfg.repetition_penalty != 1 else None
        self._sources = [torch.Generator().manual_seed(cfg.seed) for _ in said]

    def __call__(self, logits: Tensor) -> Tensor:
        """(rows, vocabulary) → an id for each row, (rows,), int64.

        Nothing waits for a GPU here: where a row has no largest value some id is given, of which
        ``log_probs`` is no number.
        """
        cfg = self._cfg
        if self._said is not None:
            logits = penalise(logits, self._said.mask(logits), cfg.repetition_penalty)
        if cfg.temperature == 0:
            ids = _largest(logits)
        else:
            drawn = [torch.rand(1, generator=g, dtype=torch.float64) for g in self._sources]
            ids = draw(warp(logits, cfg), torch.cat(drawn).to(logits.device))
        if self._said is not None:
            self._said.add(ids)
        return ids


class Said:
    """Which ids each row has said; a mask (rows, vocabulary), made when its width is known."""

    def __init__(self, start: Sequence[Sequence[int]]) -> None:
        self._start = [list(ids) for ids in start]
        self._mask: Tensor | None = None

    def mask(self, logits: Tensor) -> Tensor:
        """True where a row of ``logits`` (rows, vocabulary) stands for an id that was said."""
        if self._mask is None:
            self._mask = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
            for row, ids in enumerate(self._start):
                self._mask[row, ids] = True
        return self._mask

    def add(self, ids: Tensor) -> None:
        """Note one more id of each row, (rows,)."""
        assert self._mask is not None  # ids are chosen from logits, so the mask was asked for
        self._mask.scatter_(1, ids[:, None], True)

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, (n,)."""
        assert self._mask is not None
        self._mask = self._mask[rows]


def choose(logits: Tensor) -> Tensor:
    """Pick the most probable id of each row; of equals, the lowest.

    Shape: (batch, vocabulary) -> (batch,), int64.

    Raises:
        WeightsError: a row has no largest value (NaN, or nothing allowed).
    """
    check(logits)
    return _largest(logits)


def _largest(logits: Tensor) -> Tensor:
    best = logits.max(dim=-1, keepdim=True).values
    return (logits == best).to(torch.uint8).argmax(dim=-1)


def check(logits: Tensor) -> Tensor:
    """The largest value of each row, (batch, 1).

    Raises:
        WeightsError: one is not finite.
    """
    best = logits.max(dim=-1, keepdim=True).values
    if not bool(torch.isfinite(best).all()):
        raise WeightsError(NOT_FINITE)
    return best


def log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """Natural logarithm of the probability that each row gives to its id.

    Shape: (batch, vocabulary), (batch,) -> (batch,), float32.
    """
    return torch.log_softmax(logits.float(), dim=-1).gather(-1, ids[:, None]).squeeze(-1)


def penalise(scores: Tensor, said: Tensor, penalty: float) -> Tensor:
    """Divide positive scores of ids that were said by the penalty, multiply negative ones.

    Shape: (rows, vocabulary), (rows, vocabulary) of bool -> (rows, vocabulary).

    Source: CTRL (arXiv 1909.05858), section 4.1, with the rule for negative scores that
    transformers adds.
    """
    return torch.where(said, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def warp(logits: Tensor, cfg: SamplingConfig) -> Tensor:
    """Logits as they are drawn from: temperature, then top-k, then top-p."""
    warped = temper(logits.float(), cfg.temperature)
    return keep_top_p(keep_top_k(warped, cfg.top_k), cfg.top_p)


def temper(logits: Tensor, temperature: float) -> Tensor:
    """Divide by the temperature, above 0, measured from each row's largest value.

    Measuring from there changes no probability, and nothing grows beyond what floats hold.
    """
    return (logits - logits.max(dim=-1, keepdim=True).values) / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Forbid ids below the k-th largest of their row; equals of the k-th stay, 0 keeps all."""
    if k == 0:
        return logits
    least = logits.topk(min(k, logits.shape[-1]), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < least, -inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Forbid the least probable ids of a row which together have at most 1 - p; one id stays.

    Source: nucleus sampling (arXiv 1904.09751), section 3.1.
    """
    if p >= 1:
        return logits
    rising, order = logits.sort(dim=-1, stable=True)
    is_tail = rising.softmax(dim=-1).cumsum(dim=-1) <= 1 - p
    is_tail[:, -1] = False
    return logits.masked_fill(torch.zeros_like(is_tail).scatter(1, order, is_tail), -inf)


def draw(logits: Tensor, numbers: Tensor) -> Tensor:
    """The id on which a number in [0, 1) falls when ids lie side by side as wide as probable.

    Shape: (rows, vocabulary), (rows,) float64 -> (rows,), int64.
    """
    chances = logits.double().softmax(dim=-1)
    edges = chances.cumsum(dim=-1)
    places = torch.searchsorted(edges, (numbers * edges[:, -1])[:, None], right=True).squeeze(-1)
    ids = torch.arange(logits.shape[-1], device=logits.device)
    last = torch.where(chances > 0, ids, -1).amax(dim=-1)
    places = torch.minimum(places, last)  # rounding may carry a number near 1 over the end
    return places.clamp_min(0)  # where nothing is a number
