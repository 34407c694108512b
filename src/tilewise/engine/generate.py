"""Prefill, then decode, as generators of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from math import exp, isfinite
from typing import Any

import torch
from torch import Tensor

from tilewise.engine.beams import search
from tilewise.engine.sampling import NOT_FINITE, Chooser, SamplingConfig, log_probs
from tilewise.errors import ConfigError, WeightsError
from tilewise.models.reader import Progress, Reader
from tilewise.records import Answer, Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an answer ends at the latest; the reader's context is a limit of its own."""

    max_new_tokens: int = 4096

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(
                f"max_new_tokens is {self.max_new_tokens}; at least 1 is needed to answer."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One id chosen for one row.

    ``text`` is what the answer grew by: whole characters, or nothing while one is unfinished.
    ``is_stop`` marks the id that ends the answer; it carries no text.
    """

    id: int
    text: str
    log_prob: float
    is_stop: bool


@dataclass(slots=True)
class Draft:
    """An answer while it grows: its ids without the stop id, its text, its cost.

    ``evidence`` is None where the cache has it, row by row.
    """

    ids: list[int] = field(default_factory=list)
    text: str = ""
    log_prob: float = 0.0
    is_complete: bool = False
    first_s: float | None = None
    total_s: float = 0.0
    evidence: tuple[Evidence, ...] | None = None

    def add(self, reader: Reader, token: int, log_prob: float) -> Step:
        """Take the next id and say what it adds."""
        self.log_prob += log_prob
        if token in reader.stop_ids():
            self.is_complete = True
            return Step(id=token, text="", log_prob=log_prob, is_stop=True)
        self.ids.append(token)
        whole = reader.text(self.ids)
        grown = whole[len(self.text) :] if whole.startswith(self.text) else ""
        self.text += grown
        return Step(id=token, text=grown, log_prob=log_prob, is_stop=False)

    def mark(self, elapsed_s: float) -> None:
        """Note the time since the question, after a step of this row."""
        if self.first_s is None and (self.text or self.is_complete):
            self.first_s = elapsed_s
        self.total_s = elapsed_s

    def answer(self, reader: Reader, cache: Any, row: int, prompt_tokens: int) -> Answer:
        """The finished answer, with the evidence that the cache holds at this moment."""
        return Answer(
            text=self.text,
            evidence=reader.evidence(cache, row) if self.evidence is None else self.evidence,
            is_found=reader.is_found(self.ids),
            confidence=exp(self.log_prob),
            prompt_tokens=prompt_tokens,
            new_tokens=len(self.ids),
            first_s=self.total_s if self.first_s is None else self.first_s,
            total_s=self.total_s,
            is_complete=self.is_complete,
        )


@dataclass(slots=True, eq=False)
class Run:
    """A batch while it is answered: its logits, its cache as it now is, a draft for each row.

    ``penalised``: for each row, the ids that a repetition penalty counts from the start.
    """

    logits: Tensor
    cache: Any
    penalised: list[tuple[int, ...]]
    drafts: list[Draft]


def generate(
    reader: Reader,
    prompt: Any,
    cache: Any | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
    sampling: SamplingConfig | None = None,
) -> Iterator[Step]:
    """Answer one prompt, id by id.

    Args:
        reader: the model.
        prompt: what ``reader.prompt`` made.
        cache: of an earlier prefill of the same pages, to be used up; only what is new is run.
        limits: when to end at the latest.
        progress: told of the reader's work.
        sampling: how ids are chosen; beams give their steps when the search has ended.

    Raises:
        WeightsError: the reader gives no usable logits.
    """
    run = start(reader, [prompt], cache, progress)
    for (step,) in decode(reader, run, limits or Limits(), sampling, progress):
        assert step is not None  # a single row is live until the end
        yield step


def start(
    reader: Reader, prompts: list[Any], cache: Any | None = None, progress: Progress | None = None
) -> Run:
    """Prefill prompts, to be decoded next."""
    logits, cache = prefill(reader, prompts, cache, progress)
    penalised = [reader.penalised_ids(prompt) for prompt in prompts]
    return Run(logits, cache, penalised, [Draft() for _ in prompts])


@torch.inference_mode()
def prefill(
    reader: Reader, prompts: list[Any], cache: Any | None = None, progress: Progress | None = None
) -> tuple[Tensor, Any]:
    """Run prompts without gradients: logits (batch, vocabulary) and the cache."""
    return reader.prefill(prompts, cache, progress)


def decode(
    reader: Reader,
    run: Run,
    limits: Limits,
    sampling: SamplingConfig | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Step | None, ...]]:
    """Decode all rows of a prefill together until each has ended.

    Args:
        reader: the model.
        run: as ``start`` made it; drafts grow in place, logits and cache are used up and renewed.
        limits: when to end at the latest.
        sampling: how ids are chosen; default, always the most probable.
        progress: told ("answer", ids chosen, ids at most).

    Yields:
        A step for each row, None for rows that had ended before. At that moment the cache holds
        the ids before this step, so ``reader.evidence`` lacks the newest one until the next. With
        beams all steps come at the end, and drafts hold their evidence.
    """
    cfg = sampling or SamplingConfig()

    def tell(count: int) -> None:
        if progress is not None:
            progress("answer", count, limits.max_new_tokens)

    steps = _decode_beams if cfg.beams > 1 else _decode_each
    yield from steps(reader, run, limits.max_new_tokens, cfg, tell)


def _decode_each(
    reader: Reader, run: Run, most: int, cfg: SamplingConfig, tell: Callable[[int], None]
) -> Iterator[tuple[Step | None, ...]]:
    ended = [False] * len(run.drafts)
    next_ids = Chooser(cfg, run.penalised)
    for count in range(1, most + 1):
        ids = next_ids(run.logits)
        # Ids and scores come over in one copy, the only time that a step waits for a GPU.
        both = torch.stack([ids.double(), log_probs(run.logits, ids).double()])
        tokens, scores = both.tolist()
        steps = _add(reader, tokens, scores, run.drafts, ended)
        ended = [
            done or (s is not None and s.is_stop) for done, s in zip(ended, steps, strict=True)
        ]
        is_last = all(ended) or count == most or run.cache.length >= reader.context
        tell(count)
        yield steps
        if is_last:
            return
        with torch.inference_mode():
            run.logits = reader.decode(ids, run.cache)


def _decode_beams(
    reader: Reader, run: Run, most: int, cfg: SamplingConfig, tell: Callable[[int], None]
) -> Iterator[tuple[Step | None, ...]]:
    best, run.cache = search(reader, run.logits, run.cache, run.penalised, cfg, most, tell)
    for draft, hypothesis in zip(run.drafts, best, strict=True):
        draft.evidence = hypothesis.evidence
    for taken in zip_longest(*(hypothesis.steps for hypothesis in best)):
        yield tuple(
            None if pair is None else draft.add(reader, *pair)
            for draft, pair in zip(run.drafts, taken, strict=True)
        )


def _add(
    reader: Reader,
    ids: list[float],
    scores: list[float],
    drafts: list[Draft],
    ended: list[bool],
) -> tuple[Step | None, ...]:
    """Add an id to each draft that has not ended; ``scores`` tell whether the logits were sound."""
    if not all(map(isfinite, scores)):
        raise WeightsError(NOT_FINITE)
    rows = zip(drafts, ended, ids, scores, strict=True)
    return tuple(
        None if done else draft.add(reader, int(token), score) for draft, done, token, score in rows
    )
