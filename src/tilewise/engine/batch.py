"""Several prompts, with pages of different grids, run together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

from tilewise.engine.generate import Limits, decode, start
from tilewise.engine.sampling import SamplingConfig
from tilewise.models.reader import Progress, Reader
from tilewise.records import Answer


def answer_batch(
    reader: Reader,
    prompts: Sequence[Any],
    limits: Limits | None = None,
    *,
    size: int = 8,
    sampling: SamplingConfig | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = perf_counter,
) -> Iterator[Answer]:
    """Answer many prompts, ``size`` at a time, with the texts that single runs give.

    Args:
        reader: the model.
        prompts: what ``reader.prompt`` made, each with its own pages.
        limits: when an answer ends at the latest.
        size: prompts that run together; memory grows with it, and with the number of beams.
        sampling: how ids are chosen; one seed gives a prompt one answer, wherever it stands.
        progress: told of the reader's work.
        clock: seconds, for ``first_s`` and ``total_s``.

    Yields:
        One Answer for each prompt, in their order. ``prompt_tokens`` counts the padding that
        the longest prompt of the group causes.
    """
    for first in range(0, len(prompts), size):
        group = list(prompts[first : first + size])
        yield from _answer_group(reader, group, limits or Limits(), sampling, progress, clock)


def _answer_group(
    reader: Reader,
    prompts: list[Any],
    limits: Limits,
    sampling: SamplingConfig | None,
    progress: Progress | None,
    clock: Callable[[], float],
) -> list[Answer]:
    began = clock()
    run = start(reader, prompts, None, progress)
    filled, drafts = run.cache.length, run.drafts
    answers: dict[int, Answer] = {}
    for steps in decode(reader, run, limits, sampling, progress):
        for row, step in enumerate(steps):
            if step is None:
                continue
            drafts[row].mark(clock() - began)
            if step.is_stop:
                answers[row] = drafts[row].answer(reader, run.cache, row, filled)
    for row, draft in enumerate(drafts):
        if row not in answers:
            answers[row] = draft.answer(reader, run.cache, row, filled)
    return [answers[row] for row in range(len(prompts))]
