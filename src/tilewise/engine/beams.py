"""Beam search: several answers carried on side by side, the best of the finished ones given.

What it gives is what ``generate(num_beams=k, early_stopping=False)`` of transformers 4.40 gives:

- Every step ranks all continuations of all beams by the sum of their log-probabilities. Of the
  best k, those by a stop id are finished; the best k of the others go on.
- A finished answer scores its sum divided by its length, stop id included, to the power of
  ``length_penalty``. The best k finished ones of a prompt are kept.
- A prompt is done when k are finished and the best continuation of this step, taken at its present
  length, would score no better than the worst of them. At a limit, open beams count as finished.
- The repetition penalty changes log-probabilities, not logits; they are not normalised again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

from tilewise.engine.sampling import Said, SamplingConfig, check, penalise
from tilewise.models.reader import Reader
from tilewise.records import Evidence

_NEVER: Final = -1e9
"""Sum of the beams that copy the first until they have a continuation of their own."""

Steps = tuple[tuple[int, float], ...]
"""Ids with the log-probability that the reader gave to each, before any penalty."""

See = Callable[[int], tuple[Evidence, ...]]
"""Evidence of the answer on a beam, as far as the cache holds it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hypothesis:
    """A finished answer, its stop id last if it has one; ``score`` is what beams are judged by."""

    steps: Steps
    score: float
    evidence: tuple[Evidence, ...]


@torch.inference_mode()
def search(
    reader: Reader,
    logits: Tensor,
    cache: Any,
    penalised: Sequence[Sequence[int]],
    cfg: SamplingConfig,
    max_new_tokens: int,
    tell: Callable[[int], None] | None = None,
) -> tuple[list[Hypothesis], Any]:
    """Search the best answer of each prompt of a batch.

    Args:
        reader: the model.
        logits: (prompts, vocabulary), of the first id of each answer.
        cache: as prefill left it; it is used up.
        penalised: for each prompt, the ids that its repetition penalty counts from the start.
        cfg: number of beams and penalties.
        max_new_tokens: ids of an answer at most; the reader's context is a limit of its own.
        tell: called with the number of steps done.

    Returns:
        The best answer of each prompt, and a cache of one row a prompt, fit for the next question
        about the same pages.

    Raises:
        WeightsError: the reader gives no usable logits.
    """
    prompts, width = len(logits), cfg.beams
    logits = logits.repeat_interleave(width, dim=0)
    own = torch.arange(prompts * width)
    behind = own // width  # the row of the cache behind each beam

    def see(beam: int) -> tuple[Evidence, ...]:
        return reader.evidence(cache, int(behind[beam]))

    beams = _Beams(reader.stop_ids(), penalised, cfg)
    for count in range(1, max_new_tokens + 1):
        rows, ids = beams.step(logits, see)
        behind = behind[rows]
        if tell is not None:
            tell(count)
        if beams.is_done or count == max_new_tokens or cache.length >= reader.context:
            break
        if not torch.equal(behind, own):
            cache, behind = reader.select(cache, behind), own
        logits = reader.decode(ids.to(logits.device), cache)
    return beams.best(see), reader.select(cache, behind[::width])


class _Beams:
    """The beams of all prompts, ``cfg.beams`` next to each other for each."""

    def __init__(
        self, stop_ids: frozenset[int], penalised: Sequence[Sequence[int]], cfg: SamplingConfig
    ) -> None:
        self._cfg, self._stop_ids = cfg, stop_ids
        self._finished = [_Finished(cfg) for _ in penalised]
        self._steps: list[Steps] = [()] * (len(penalised) * cfg.beams)
        self._sums = torch.full((len(penalised), cfg.beams), _NEVER)
        self._sums[:, 0] = 0
        self._said = Said([ids for ids in penalised for _ in range(cfg.beams)])

    @property
    def is_done(self) -> bool:
        """Whether no prompt can get a better answer."""
        return all(finished.is_done for finished in self._finished)

    def step(self, logits: Tensor, see: See) -> tuple[Tensor, Tensor]:
        """Go on by one id: for every new beam the old one that it continues, and its id.

        Shape: (beams, vocabulary) -> (beams,), (beams,) of int64 on the CPU.
        """
        check(logits)
        chances = scores = logits.float().log_softmax(dim=-1)
        if self._cfg.repetition_penalty != 1:
            scores = penalise(chances, self._said.mask(logits), self._cfg.repetition_penalty)
        width, (_, vocabulary) = self._cfg.beams, logits.shape
        sums = self._sums.to(scores.device).flatten()[:, None] + scores
        wanted = max(2, 1 + len(self._stop_ids)) * width  # leaves enough beside all stop ids
        best = sums.unflatten(0, (-1, width)).flatten(1).topk(wanted, dim=-1)
        raw = chances.unflatten(0, (-1, width)).flatten(1).gather(1, best.indices)
        rows: list[int] = []
        steps: list[Steps] = []
        for prompt, ranked in enumerate(
            zip(best.values.tolist(), best.indices.tolist(), raw.tolist(), strict=True)
        ):
            found = [
                _Candidate(prompt * width + place // vocabulary, place % vocabulary, score, chance)
                for score, place, chance in zip(*ranked, strict=True)
            ]
            chosen = self._extend(prompt, found, see)
            rows += [c.beam for c in chosen]
            steps += [(*self._steps[c.beam], (c.id, c.log_prob)) for c in chosen]
            self._sums[prompt] = torch.tensor([c.total for c in chosen])
        self._steps = steps
        ids = torch.tensor([taken[-1][0] for taken in steps])
        if self._cfg.repetition_penalty != 1:
            self._said.select(torch.tensor(rows, device=logits.device))
            self._said.add(ids.to(logits.device))
        return torch.tensor(rows), ids

    def _extend(self, prompt: int, ranked: list[_Candidate], see: See) -> list[_Candidate]:
        """Finish what a stop id ends and choose what goes on; a done prompt only keeps its rows."""
        width, finished = self._cfg.beams, self._finished[prompt]
        if finished.is_done:
            stop = min(self._stop_ids, default=0)
            return [_Candidate(prompt * width + i, stop, 0.0, 0.0) for i in range(width)]
        chosen: list[_Candidate] = []
        for rank, found in enumerate(ranked):
            if found.id not in self._stop_ids:
                chosen.append(found)
            elif rank < width:
                steps = (*self._steps[found.beam], (found.id, found.log_prob))
                finished.add(steps, found.total, see, found.beam)
            if len(chosen) == width:
                break
        finished.judge(ranked[0].total, len(self._steps[prompt * width]) + 1)
        return chosen

    def best(self, see: See) -> list[Hypothesis]:
        """The best answer of each prompt, beams that are still open counted as finished."""
        width = self._cfg.beams
        for prompt, finished in enumerate(self._finished):
            if not finished.is_done:
                for place in range(width):
                    beam = prompt * width + place
                    finished.add(self._steps[beam], float(self._sums[prompt, place]), see, beam)
        return [finished.best() for finished in self._finished]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A continuation of a beam by an id: the sum that beams are ranked by, and its own part."""

    beam: int
    id: int
    total: float
    log_prob: float


@dataclass(slots=True)
class _Finished:
    """The best finished answers of one prompt, in the order in which they came."""

    cfg: SamplingConfig
    kept: list[Hypothesis] = field(default_factory=list)
    is_done: bool = False

    def add(self, steps: Steps, total: float, see: See, beam: int) -> None:
        """Keep an answer if it is among the best so far."""
        score = self._score(total, len(steps))
        worst = min(self.kept, key=lambda h: h.score) if self.kept else None
        if worst is not None and len(self.kept) >= self.cfg.beams:
            if score <= worst.score:
                return
            self.kept.remove(worst)
        self.kept.append(Hypothesis(steps=steps, score=score, evidence=see(beam)))

    def judge(self, best: float, length: int) -> None:
        """Be done if the best continuation, of this length, would not be among the kept."""
        if len(self.kept) >= self.cfg.beams:
            worst = min(h.score for h in self.kept)
            self.is_done = worst >= self._score(best, length)

    def best(self) -> Hypothesis:
        """The one with the highest score; of equals, the last that came."""
        return max(reversed(self.kept), key=lambda h: h.score)

    def _score(self, total: float, length: int) -> float:
        return total / length**self.cfg.length_penalty
