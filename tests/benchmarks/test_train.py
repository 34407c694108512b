"""The benchmarks of training compare like with like; they are run here on tiny shapes alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import train_memory
from benchmarks.train_parts.shapes import SHAPES, Asked, pack_of, random_network
from tilewise.models.pack import IGNORE


def test_packs_have_the_tiles_and_the_text_that_are_asked_for() -> None:
    network = random_network(SHAPES["tiny"])
    pack = pack_of(network.cfg, [Asked(2, 10), Asked(0, 7)])
    page, text = pack.examples
    assert (page.tiles, text.tiles) == (3, 0)  # a whole-page view besides
    assert len(page) == 10 + 3 * 4 + 2
    assert [sum(label != IGNORE for label in e.labels) for e in pack.examples] == [5, 3]


def test_all_ways_of_a_step_have_one_loss() -> None:
    network = random_network(SHAPES["tiny"])
    pack = pack_of(network.cfg, train_memory.ASKED)
    with torch.no_grad():
        losses = [train_memory._loss(network, pack, *kind) for kind in train_memory.KINDS.values()]
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0])


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(tmp_path: Path) -> None:
    train_memory.main(["--shape", "tiny", "--out", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    assert path.name.endswith("-train-memory-tiny.md")
    assert "| both |" in path.read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_steps_are_timed_next_to_the_library_s(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    from benchmarks import train_step

    train_step.main(["--shape", "tiny", "--repeats", "1", "--out", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    assert "| mixed lengths | kept |" in path.read_text()
