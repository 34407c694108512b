"""Prompts of different grids, run together by the engine, give the ids of the reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.ixc2.making import expected, golden_folders, golden_prompt, golden_reader
from tilewise.engine.generate import Limits, decode, start
from tilewise.engine.sampling import SamplingConfig

pytestmark = pytest.mark.golden

CASES = (
    ("greedy12", SamplingConfig()),
    ("greedy12_reppen1.2", SamplingConfig(repetition_penalty=1.2)),
    ("beam3_8", SamplingConfig(beams=3)),
)


@pytest.mark.parametrize(("key", "cfg"), CASES, ids=lambda value: str(value)[:18])
@pytest.mark.parametrize("folder", golden_folders(), ids=lambda folder: folder.name)
def test_a_batch_gives_the_ids_of_the_reference(
    folder: Path, key: str, cfg: SamplingConfig
) -> None:
    truth = expected(folder)["prompts"]
    limits = Limits(max_new_tokens=len(next(iter(truth.values()))[key]))
    reader = golden_reader(folder)
    run = start(reader, [golden_prompt(folder, name) for name in truth])
    rows: list[list[int]] = [[] for _ in truth]
    for steps in decode(reader, run, limits, cfg):
        for row, step in zip(rows, steps, strict=True):
            row += [step.id] if step is not None else []
    assert dict(zip(truth, rows, strict=True)) == {name: truth[name][key] for name in truth}
