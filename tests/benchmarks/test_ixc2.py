"""The benchmarks of IXC2-4KHD compare like with like; they are run here on tiny shapes alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import ixc2_gpu, ixc2_memory
from benchmarks.ixc2_parts.eager import Eager
from benchmarks.ixc2_parts.report import spread
from benchmarks.ixc2_parts.shapes import SHAPES, page_prompt, random_reader
from tests.models.ixc2.making import noise_page, small_reader
from tilewise.models.ixc2.network import Ixc2


def test_the_plain_way_gives_what_the_reader_gives() -> None:
    reader = small_reader()
    tiles = [reader.tiles(noise_page(60, 90, seed), 4) for seed in range(2)]
    prompt = reader.prompt_of([[1, 5, 6], [9], [8, 7]], tiles)
    plain = Eager(reader.network)
    torch.testing.assert_close(plain.prefill(prompt), reader.all_logits(prompt), rtol=0, atol=1e-4)
    _, cache = reader.prefill([prompt])
    for token in (4, 17, 250):
        step = torch.tensor([token])
        torch.testing.assert_close(
            plain.decode(step), reader.decode(step, cache), rtol=0, atol=1e-4
        )


def test_a_second_prefill_of_the_plain_way_starts_anew() -> None:
    reader = small_reader()
    prompt = reader.prompt_of([[1, 5], [9]], [reader.tiles(noise_page(60, 40), 2)])
    plain = Eager(reader.network)
    assert torch.equal(plain.prefill(prompt), plain.prefill(prompt))


def test_the_full_shape_is_the_released_model_and_a_quarter_has_its_layers() -> None:
    with torch.device("meta"):
        full, quarter = Ixc2(SHAPES["full"]), Ixc2(SHAPES["quarter"])
    assert sum(weight.numel() for weight in full.parameters()) == 8_597_499_904
    cfg = quarter.cfg
    assert (cfg.decoder.layers, cfg.decoder.width, cfg.decoder.mlp) == (32, 1024, 3584)
    assert (cfg.decoder.heads, cfg.decoder.kv_heads, cfg.decoder.head_size) == (8, 2, 128)
    assert (cfg.vision.layers, cfg.vision.width) == (24, 256)
    for name, weight in full.named_parameters():
        parts = zip(quarter.get_parameter(name).shape, weight.shape, strict=True)
        assert all(side in (whole, whole // 4) for side, whole in parts), name


def test_random_weights_hang_on_the_seed_alone() -> None:
    cpu = torch.device("cpu")
    first, second = (random_reader(SHAPES["small"], torch.float32, cpu, 3) for _ in range(2))
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert bool((first.network.decoder.norm.weight == 1).all())
    prompt = page_prompt(first, first.tiles(noise_page(400, 300), 1))
    assert len(prompt) == 96 + first.plan(400, 300, 1).entries.size + 24


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what it does without a GPU")
def test_without_a_gpu_the_benchmark_runs_small_and_says_so(tmp_path: Path) -> None:
    words = "--repeats 1 --new-tokens 2 --max-tiles 1 --width 300 --height 300"
    ixc2_gpu.main([*words.split(), "--out", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    text = path.read_text()
    assert path.name.endswith("-ixc2-gpu-on-cpu.md")
    assert "There was no CUDA device" in text
    assert "of 3 ids the first 3 are the same" in text
    assert "| ratio |" in text


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(tmp_path: Path) -> None:
    words = "--shape small --max-tiles 2 --width 400 --height 200"
    ixc2_memory.main([*words.split(), "--out", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    text = path.read_text()
    assert "| tilewise | " in text
    assert "the same most probable id" in text


def test_logits_that_differ_by_more_than_rounding_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(args: object, kind: str, logits: Path) -> dict[str, object]:
        np.save(logits, [0.0, 1.0, 3.0 if kind == "eager" else 2.9])
        run = {"model": "a model", "tiles": 1, "tokens": 2, "threads": 1, "seconds": 1.0}
        return json.loads(json.dumps({**run, "weights": 1, "peak": 3, "beside": 2}))

    monkeypatch.setattr(ixc2_memory, "_measured", measured)
    with pytest.raises(SystemExit, match="differ by more than rounding"):
        ixc2_memory.main(["--out", str(tmp_path)])
    assert len(list(tmp_path.iterdir())) == 1


def test_a_spread_is_median_and_range() -> None:
    assert spread([3.0, 1.0, 2.5], ".1f") == "2.5 [1.0 to 3.0]"
