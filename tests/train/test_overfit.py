"""Tiny models learn 32 real pages by heart, from random weights and through adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.overfit import PAGES, RUNS, draw, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", ["internvl_tiny", "ixc2_tiny"])
def test_every_answer_is_said_exactly(family: str, tmp_path: Path) -> None:
    for name in (name for name in RUNS if name.startswith(family)):
        found = run(name, tmp_path)
        assert found["exact"] == f"{PAGES} of {PAGES}", found
        assert found["last loss"] < found["first loss"] / 100


def test_losses_are_drawn(tmp_path: Path) -> None:
    losses = {str(step): 5.0 / step for step in range(1, 401)}
    one = {"run": "tiny", "steps": 400, "exact": "32 of 32", "losses": losses}
    draw([one, {**one, "run": "other"}], tmp_path / "made" / "picture.png")
    assert (tmp_path / "made" / "picture.png").stat().st_size > 1000
