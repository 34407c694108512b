"""Stage 3: the decoder learns to understand questions, to point, and to copy, on oracle pages."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from default_model.cases import Asked, Case, kind_index, oracle_cases
from default_model.clock import Clock, ramp_down, say
from default_model.muon import Muon
from default_model.state import resume, save
from tilewise.models.nano.alphabet import ANSWER, COPY, NOT_FOUND, QUESTION, UNSUPPORTED, encode
from tilewise.models.nano.config import DecoderConfig
from tilewise.models.nano.decoder import Decoder, Feedback, feedback
from tilewise.models.nano.pointer import look
from tilewise.models.nano.question import KINDS, Understood, question_ids, wanted

PEAK_LR = 2e-3
SIZES = ((1, 0.0), (2, 0.06), (4, 0.15), (9, 0.3), (16, 0.45))
"""Largest page in tiles by share of the budget; it also grows when locating goes well."""


class Result:
    """Losses of one case and what was right, by kind of question."""

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


def train_decoder(work: Path, minutes: float, seed: int, name: str = "decoder") -> None:
    """Train for ``minutes`` CPU-minutes on oracle pages; goes on where ``work`` has a state."""
    torch.set_num_threads(int(os.environ.get("TILEWISE_THREADS", "1")))
    torch.manual_seed(seed)
    model = Decoder(DecoderConfig())
    optimizer = Muon(model, PEAK_LR)
    state_file = work / f"{name}.pt"
    before = resume(state_file, model, optimizer, minutes)
    step, bonus = before.step, before.bonus
    clock = Clock(minutes, before.used_min)
    held = list(islice(oracle_cases(9001, "test", most_tiles=16, count=10), 24))
    size = 0
    stream: Iterator[Case] = iter(())
    noise = Random(seed + step)
    right: dict[str, list[float]] = defaultdict(list)
    last_said, mean_first = clock.used_min, 3.0
    while clock.share < 1.0:
        wanted_size = max(s for s, share in SIZES if clock.share + bonus >= share)
        if wanted_size != size:
            size = wanted_size
            stream = oracle_cases(seed * 1000 + step, most_tiles=size)
        for group in optimizer.groups:
            group["lr_factor"] = min(1.0, (step + 1) / 30) * ramp_down(clock.share, 0.3, 0.03)
        result = step_on(model, optimizer, stream, noise)
        for key, values in result.right.items():
            right[key] = (right[key] + values)[-200:]
        mean_first = 0.97 * mean_first + 0.03 * result.first_loss
        bonus += 0.002 if mean_first < 0.5 and size < 16 else 0.0
        step += 1
        if clock.used_min - last_said > 2.0 or clock.share >= 1.0:
            last_said = clock.used_min
            say(
                work,
                name,
                clock,
                f"step {step} size {size} first {mean_first:.3f}; " + table(right),
            )
            say(work, name, clock, "held " + table(evaluate(model, held)))
            save(state_file, model, optimizer, clock, step, bonus)


def step_on(model: Decoder, optimizer: Muon, stream: Iterator[Case], noise: Random) -> Result:
    """One step on pages of about 1,200 visual tokens together."""
    total, budget = Result(), 1200
    count = 0
    optimizer.zero_grad()
    while budget > 0:
        case = next(stream)
        one = run_case(model, case, noise)
        one.loss.backward()
        budget -= len(case.plan) + 400
        count += 1
        total.first_loss += one.first_loss
        for key, values in one.right.items():
            total.right[key] += values
    for p in model.parameters():
        if p.grad is not None:
            p.grad /= count
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    total.first_loss /= count
    return total


@torch.no_grad()
def evaluate(model: Decoder, cases: list[Case]) -> dict[str, list[float]]:
    """Shares right by kind, teacher-forced, on held-out oracle pages."""
    model.eval()
    right: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        for key, values in run_case(model, case).right.items():
            right[key] += values
    model.train()
    return right


def table(right: dict[str, list[float]]) -> str:
    """Means by key."""
    return " ".join(f"{k} {sum(v) / len(v):.2f}" for k, v in sorted(right.items()) if v)


__all__ = ["COPY", "Asked", "Feedback", "encode", "train_decoder"]
