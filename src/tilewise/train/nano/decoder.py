"""The decoder's stages: it learns to understand questions, to point, and to copy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from tilewise.models.nano.alphabet import ANSWER, NOT_FOUND, QUESTION, UNSUPPORTED
from tilewise.models.nano.decoder import Decoder, feedback
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.pointer import look
from tilewise.models.nano.proof import Proofreader
from tilewise.models.nano.question import KINDS, Understood, question_ids, wanted
from tilewise.models.nano.visual import SIDE
from tilewise.synth.real import RealPages
from tilewise.train.draw import number
from tilewise.train.drawn import Drawn, Order
from tilewise.train.loop import Size
from tilewise.train.nano.cases import Case, kind_index, oracle_cases
from tilewise.train.nano.rendered import real_cases, rendered_cases
from tilewise.train.report import StepReport

SIZES: Final = ((1, 0.0), (2, 0.06), (4, 0.15), (9, 0.3), (16, 0.45))
"""Largest page in tiles by share of the run; it also grows when locating goes well."""

MOST_TILES: Final = 16
ORACLE_SEED, RENDERED_SEED = 9001, 9002
"""Of held-out pages."""

PAGE_COST: Final = 400
"""Visual tokens that the questions of a page count for."""

FIRST: Final = "first loss"
TOLD: Final = (
    FIRST,
    "kind",
    "tags",
    *(f"{kind} {what}" for kind in (*KINDS, "absent") for what in ("first", "all")),
)
"""Numbers beside the loss: of locating, and shares of what is right. For each kind of question: its
first character, and all of them, teacher-forced."""


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """Pages with questions, and the seed of what is drawn while they are learned from."""

    cases: Sequence[Case]
    noise: int


@dataclass(frozen=True, slots=True)
class ToldLoss:
    """What a batch loses, and numbers beside it: (sum, count) by name."""

    total: Tensor
    weight: float
    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)


class Answering:
    """What pages with questions lose, each page counting the same.

    Args:
        model: learns.
    """

    def __init__(self, model: Decoder) -> None:
        self._model = model

    def __call__(self, batch: Asking) -> ToldLoss:
        """What they lose."""
        noise = Random(batch.noise)
        each = [run_case(self._model, case, noise) for case in batch.cases]
        count = len(each)
        told = {FIRST: (sum(one.first_loss for one in each), float(count))}
        told |= {name: (sum(v), float(len(v))) for name, v in joined(each).items()}
        return ToldLoss(torch.stack([one.loss for one in each]).sum(), float(count), told)

    def size(self, batch: Asking) -> Size:
        """Visual tokens and tiles of the pages."""
        tiles = sum(case.local.rows * case.local.cols // SIDE**2 for case in batch.cases)
        return Size(sum(len(case.plan) for case in batch.cases), tiles, ())


class Result:
    """What one page loses, and what was right, by kind of question."""

    def __init__(self) -> None:
        self.loss: Tensor = torch.zeros(())
        self.right: dict[str, list[float]] = defaultdict(list)
        self.first_loss = 0.0


def run_case(model: Decoder, case: Case, tag_noise: Random | None = None) -> Result:
    """Forward one page with all its questions, teacher-forced."""
    out = Result()
    sequence, tokens = model.visual(case.local, case.overview, case.plan.entries)
    page = model.page(sequence)
    texts = [a.question.text for a in case.asked]
    ids = question_ids(texts)
    said = model.question(ids)
    kinds = torch.tensor([kind_index(a.question) for a in case.asked])
    tags = torch.full(ids.shape, -100)
    for i, a in enumerate(case.asked):
        tags[i, : len(a.question.tags)] = torch.tensor([int(t) for t in a.question.tags])
    kind_loss = F.cross_entropy(said.kinds, kinds)
    tag_loss = F.cross_entropy(said.tags.transpose(1, 2), tags, ignore_index=-100)
    hidden, spans, evidence_scores = _text(model, case, ids, said, page, tokens, tag_noise)
    first, steps = [], []
    for a, (start, stop), (scores, absent) in zip(case.asked, spans, evidence_scores, strict=True):
        logits = model.output(hidden[start:stop])
        joint = torch.cat([_openers(logits[0], absent), scores])
        target = a.start + 2 if a.start >= 0 else (0 if a.special == NOT_FOUND else 1)
        first.append(F.cross_entropy(joint[None], torch.tensor([target])))
        is_hit = bool(joint.argmax() == target)
        kind = (
            a.question.kind
            if a.question.answer is not None or a.question.kind == "unsupported"
            else "absent"
        )
        out.right[f"{kind} first"].append(float(is_hit))
        if a.ids:
            wants = torch.tensor(a.targets)
            steps.append(F.cross_entropy(logits[1:], wants, ignore_index=-100, reduction="sum") / 8)
            ok = bool(((logits[1:].argmax(1) == wants) | (wants == -100)).all())
            out.right[f"{kind} all"].append(float(ok and is_hit))
    first_loss = torch.stack(first).mean()
    step_loss = torch.stack(steps).mean() if steps else torch.zeros(())
    out.loss = first_loss + step_loss + kind_loss + 2 * tag_loss
    out.first_loss = float(first_loss.detach())
    out.right["kind"] = [float((said.kinds.argmax(1) == kinds).float().mean())]
    out.right["tags"] = [
        float((((said.tags.argmax(2) == tags) | (tags < 0)).all(1)).float().mean())
    ]
    return out


def _openers(logits: Tensor, absent: Tensor) -> Tensor:
    """Scores of the two ways to answer without pointing: not found, not supported."""
    return torch.stack([logits[NOT_FOUND] + absent[0], logits[UNSUPPORTED]])


def _text(
    model: Decoder,
    case: Case,
    ids: Tensor,
    said: Understood,
    page: list[tuple[Tensor, Tensor]],
    tokens: Tensor,
    tag_noise: Random | None,
) -> tuple[Tensor, list[tuple[int, int]], list[tuple[Tensor, Tensor]]]:
    """All questions packed behind the page: hidden states, spans from the answer marks, scores."""
    parts: list[Tensor] = []
    positions: list[Tensor] = []
    groups: list[Tensor] = []
    spans: list[tuple[int, int]] = []
    scores: list[tuple[Tensor, Tensor]] = []
    probs = said.tags.softmax(2)
    at = 0
    for i, a in enumerate(case.asked):
        n = len(a.question.text)
        tags = [int(t) for t in a.question.tags]
        kind = a.question.kind
        if tag_noise is not None and tag_noise.random() < 0.2:
            tags, kind = said.tags[i, :n].argmax(1).tolist(), KINDS[int(said.kinds[i].argmax())]
        seen = look(case.memory, wanted(a.question.text, kind, tags))
        scores.append(model.pointer(case.memory, seen, tokens, said.summary[i]))
        start = model.embed(torch.tensor([QUESTION]))
        question = model.embed_question(ids[i, :n], probs[i, :n])
        mark = model.embed_start(torch.tensor(ANSWER), said.summary[i], seen.evidence)[None]
        back = feedback(case.memory, a.chars, a.words)
        answer = model.embed_answer(torch.tensor(a.ids, dtype=torch.long), back, tokens)
        x = torch.cat([start, question, mark, answer])
        parts.append(x)
        positions.append(torch.arange(len(x)))
        groups.append(torch.full((len(x),), i))
        spans.append((at + n + 1, at + len(x)))
        at += len(x)
    group = torch.cat(groups)
    own = (group[:, None] == group[None]) & torch.ones(at, at, dtype=torch.bool).tril()
    mask = torch.cat([torch.ones(at, page[0][0].shape[2], dtype=torch.bool), own], 1)
    return model.text(torch.cat(parts), torch.cat(positions), page, mask), spans, scores


def joined(results: Sequence[Result]) -> dict[str, list[float]]:
    """What was right on several pages."""
    right: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for name, values in result.right.items():
            right[name] += values
    return right


Stream = Callable[[int, int], Iterator[Case]]
"""Pages without end from a seed, of at most so many tiles; it travels to workers."""


def oracle(seed: int, most_tiles: int) -> Iterator[Case]:
    """Pages without pixels."""
    return oracle_cases(seed, most_tiles=most_tiles)


def mixed(
    encoder: Encoder, proof: Proofreader, real: RealPages | None, seed: int, most_tiles: int
) -> Iterator[Case]:
    """Oracle, rendered and real pages in turn."""
    rng = Random(seed)
    without = oracle_cases(seed, most_tiles=most_tiles)
    drawn = rendered_cases(encoder, proof, seed + 1, most_tiles=most_tiles)
    found = real_cases(encoder, proof, real, seed + 2) if real is not None else None
    while True:
        roll = rng.random()
        if found is not None and roll < 0.25:
            yield next(found)
        else:
            yield next(without if roll < 0.5 else drawn)


class CaseBatches:
    """Makes the batch of a number, of pages as large as its level says; it travels to workers.

    Args:
        seed: of the run.
        stream: gives pages.
        tokens: visual tokens of a batch; questions count for some.
    """

    def __init__(self, seed: int, stream: Stream, tokens: int) -> None:
        self._seed, self._stream, self._tokens = seed, stream, tokens

    def __call__(self, order: Order) -> list[Asking]:
        """One batch."""
        seed = number(self._seed, order.number)
        return [Asking(filled(self._stream(seed, order.level), self._tokens), seed)]


def filled(stream: Iterator[Case], tokens: int) -> list[Case]:
    """Pages until they have so many visual tokens together."""
    cases = []
    while tokens > 0:
        case = next(stream)
        tokens -= len(case.plan) + PAGE_COST
        cases.append(case)
    return cases


class Growing:
    """Batches whose pages grow with the share of the run, and sooner where locating goes well.

    Args:
        drawn: batches by number and size.
    """

    def __init__(self, drawn: Drawn[Asking]) -> None:
        self._drawn, self._mean, self._bonus = drawn, 3.0, 0.0

    @property
    def worker_s(self) -> float:
        """Processor time of workers."""
        return self._drawn.worker_s

    def __next__(self) -> Asking:
        """The next batch."""
        return next(self._drawn)

    def follow(self, report: StepReport) -> None:
        """See how a step went."""
        self._mean = 0.97 * self._mean + 0.03 * report.numbers[FIRST]
        self._bonus += 0.002 if self._mean < 0.5 and self._drawn.level < MOST_TILES else 0.0
        share = report.step / report.steps + self._bonus
        self._drawn.level = max(size for size, least in SIZES if share >= least)

    def state(self) -> dict[str, Any]:
        """Where the row stands, as plain JSON."""
        return {**self._drawn.state(), "mean": self._mean, "bonus": self._bonus}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of ``state``."""
        self._drawn.load_state(state)
        self._mean, self._bonus = float(state["mean"]), float(state["bonus"])


class HeldCases:
    """Shares right by kind, teacher-forced, on held-out pages.

    Args:
        model: learns.
        stream: held-out pages.
        count: how many.
    """

    def __init__(self, model: Decoder, stream: Iterator[Case], count: int) -> None:
        self._model, self._stream, self._count = model, stream, count
        self._cases: list[Case] = []

    def __call__(self) -> dict[str, float]:
        """Shares."""
        if not self._cases:
            self._cases = list(islice(self._stream, self._count))
        right = joined([run_case(self._model, case) for case in self._cases])
        return {name: sum(values) / len(values) for name, values in sorted(right.items())}
