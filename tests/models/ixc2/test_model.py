"""What a prompt gives does not depend on how it is run: in chunks, batches, from a cache, split."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.models.ixc2.making import SMALL, golden_folders, noise_page, small_reader
from tilewise.errors import PromptError, WeightsError
from tilewise.models.ixc2.model import Ixc2Reader, load_ixc2
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.load import load
from tilewise.models.memory import footprint, places, room, slow_part
from tilewise.models.rows import Rows
from tilewise.models.units import Prompt
from tilewise.records import Tiles, Turn
from tilewise.tiling.grid import hd_grid
from tilewise.weights.room import free_on_cpu

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def reader() -> Ixc2Reader:
    return small_reader()


@pytest.fixture(scope="module")
def pages(reader: Ixc2Reader) -> list[Tiles]:
    sizes = ((20, 12), (9, 30), (40, 40))
    return [reader.tiles(noise_page(*size, seed=i), 3) for i, size in enumerate(sizes)]


def _ids(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 259, (count,), generator=generator).tolist()


def _same(found: Tensor, wanted: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


def _decoded(reader: Ixc2Reader, logits: Tensor, cache: Rows, count: int = 4) -> Tensor:
    """Logits of the next few most probable ids, (count, batch, vocabulary)."""
    seen = [logits]
    for _ in range(count):
        seen.append(reader.decode(seen[-1].argmax(-1), cache))
    return torch.stack(seen)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 20))
@settings(max_examples=10)
def test_chunks_give_what_one_run_gives(chunk: int, view_chunk: int, count: int) -> None:
    reader = small_reader()
    page = reader.tiles(noise_page(9, 30), 5)
    prompt = reader.prompt_of([_ids(count), _ids(3, 1)], [page])
    reader.chunk, reader.view_chunk = chunk, view_chunk
    logits, _ = reader.prefill([prompt])
    _same(logits[0], reader.all_logits(prompt)[-1])


def test_a_prompt_may_end_in_a_page(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    prompt = reader.prompt_of([[5], []], pages[:1])
    logits, cache = reader.prefill([prompt])
    _same(logits[0], reader.all_logits(prompt)[-1])
    again, _ = reader.prefill([prompt], cache)
    _same(again, logits)


def test_decoding_gives_what_the_whole_text_gives(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    prompt = reader.prompt_of([_ids(4), _ids(5, 1)], pages[:1])
    seen = _decoded(reader, *reader.prefill([prompt]))
    answer = seen.argmax(-1)[:-1, 0].tolist()
    whole = reader.all_logits(Prompt(units=(*prompt.units, *answer)))
    _same(seen[:, 0], whole[-len(seen) :])


def test_a_batch_gives_what_single_runs_give(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    parts = [([_ids(2), _ids(9, 1)], pages[:1]), ([_ids(7, 2)], []), ([[1], [], [2]], pages[1:])]
    prompts = [reader.prompt_of(ids, tiles) for ids, tiles in parts]
    assert len({len(prompt) for prompt in prompts}) == 3
    logits, cache = reader.prefill(prompts)
    assert cache.length == max(map(len, prompts))
    together = _decoded(reader, logits, cache)
    for row, prompt in enumerate(prompts):
        alone = _decoded(reader, *reader.prefill([prompt]))
        _same(together[:, row], alone[:, 0])


def test_a_batch_of_equal_lengths_needs_no_padding(reader: Ixc2Reader) -> None:
    prompts = [reader.prompt_of([_ids(6, seed)], []) for seed in (1, 2)]
    logits, cache = reader.prefill(prompts)
    assert cache.pads is None
    together = _decoded(reader, logits, cache)
    for row, prompt in enumerate(prompts):
        _same(together[:, row], _decoded(reader, *reader.prefill([prompt]))[:, 0])


def test_a_second_question_runs_only_what_is_new(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    first = reader.prompt([Turn(role="user", text="one")], pages[:2])
    second = reader.prompt([Turn(role="user", text="two words")], pages[:2])
    logits, cache = reader.prefill([first])
    _decoded(reader, logits, cache)
    told: list[tuple[str, int, int]] = []
    again, cache = reader.prefill([second], cache, lambda *said: told.append(said))
    fresh, _ = reader.prefill([second])
    _same(again, fresh)
    assert {stage for stage, _, _ in told} == {"prefill"}  # no tile was looked at
    new = len("two words[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\n")
    assert told[-1] == ("prefill", new, new)
    assert cache.length == len(second)


def test_a_conversation_goes_on_from_its_answer(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    first = reader.prompt([Turn(role="user", text="one")], pages[:1])
    _, cache = reader.prefill([first])
    reader.decode(torch.tensor([ord("y") + 3]), cache)
    texts = (("user", "one"), ("assistant", "yes"), ("user", "two"))
    turns = [Turn(role=role, text=text) for role, text in texts]  # type: ignore[arg-type]
    told: list[tuple[str, int, int]] = []
    longer = reader.prompt(turns, pages[:1])
    again, _ = reader.prefill([longer], cache, lambda *said: told.append(said))
    assert told[-1][2] == len(longer) - len(first) - 1  # the answer's first id stands there
    _same(again, reader.prefill([longer])[0])


def test_a_cache_of_other_pages_is_run_anew(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    turns = [Turn(role="user", text="one")]
    _, cache = reader.prefill([reader.prompt(turns, pages[:1])])
    other = reader.prompt(turns, pages[1:2])
    logits, _ = reader.prefill([other], cache)
    _same(logits, reader.prefill([other])[0])


def test_rows_of_a_cache_go_on_as_they_would_have(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    prompts = [reader.prompt_of([_ids(2), _ids(4, i)], pages[i : i + 1]) for i in range(2)]
    alone = [_decoded(reader, *reader.prefill([prompt])) for prompt in prompts]
    logits, cache = reader.prefill(prompts)
    for order in ([1, 0, 0], [0, 2, 1], [1, 1, 0], [2, 0]):  # grows, swaps, repeats, shrinks
        rows = torch.tensor(order)
        cache, logits = reader.select(cache, rows), logits[rows]
    assert len(cache.rows) == 2
    seen = _decoded(reader, logits, cache)
    # Rows were 0 1 → 1 0 0 → 1 0 0 → 0 0 1 → 1 0
    _same(seen[:, 0], alone[1][:, 0])
    _same(seen[:, 1], alone[0][:, 0])


def test_beams_of_one_prompt_share_its_positions(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    prompt = reader.prompt_of([_ids(3), _ids(4, 1)], pages[:1])
    logits, cache = reader.prefill([prompt])
    cache = reader.select(cache, torch.tensor([0, 0]))
    best = logits[0].topk(2).indices
    reader.decode(best, cache)
    cache = reader.select(cache, torch.tensor([1, 0]))
    found = reader.decode(torch.tensor([7, 8]), cache)
    for row, ids in enumerate(([int(best[1]), 7], [int(best[0]), 8])):
        whole = reader.all_logits(Prompt(units=(*prompt.units, *ids)))
        _same(found[row], whole[-1])


def test_embeddings_without_image_ranges_are_an_error(reader: Ixc2Reader) -> None:
    decoder = reader.network.decoder
    with pytest.raises(PromptError, match="without the ranges of their images"):
        decoder(torch.zeros(1, 3, SMALL.decoder.width), None)


def test_partial_lora_is_felt_on_image_rows_and_nowhere_else(
    reader: Ixc2Reader, pages: list[Tiles]
) -> None:
    prompt = reader.prompt_of([_ids(4), _ids(4)], pages[:1])
    plain = small_reader()
    for name, weight in plain.network.named_parameters():
        if "lora_b" in name:
            weight.zero_()
    with_lora, without = reader.all_logits(prompt), plain.all_logits(prompt)
    assert torch.equal(with_lora[:4], without[:4])
    assert (with_lora[4] - without[4]).abs().max() > 1e-2
    text = reader.prompt_of([_ids(9)], [])
    assert torch.equal(reader.all_logits(text), plain.all_logits(text))


def test_half_precision_stays_near_and_gives_float32_logits(pages: list[Tiles]) -> None:
    whole, half = small_reader(), small_reader(dtype=torch.bfloat16)
    prompt = whole.prompt_of([_ids(4), _ids(4)], pages[:1])
    logits, cache = half.prefill([prompt])
    assert logits.dtype == torch.float32
    assert half.decode(logits.argmax(-1), cache).dtype == torch.float32
    wanted, _ = whole.prefill([prompt])
    assert torch.cosine_similarity(logits, wanted).item() > 0.99


def test_progress_counts_views_and_positions(reader: Ixc2Reader, pages: list[Tiles]) -> None:
    told: list[tuple[str, int, int]] = []
    prompt = reader.prompt_of([_ids(4), [1]], pages[:1])
    reader.prefill([prompt, prompt], progress=lambda *said: told.append(said))
    for stage, total in (("tiles", 2 * (len(pages[0].local) + 1)), ("prefill", 2 * len(prompt))):
        done = [said[1:] for said in told if said[0] == stage]
        assert done == sorted(done)
        assert done[-1] == (total, total)


@settings(max_examples=30)
@given(st.floats(1, 5000), st.floats(1, 5000), st.integers(1, 60))
def test_a_vector_page_is_rendered_as_it_will_be_cut(
    width_pt: float, height_pt: float, max_tiles: int
) -> None:
    size = _READER.raster_size(width_pt, height_pt, max_tiles)
    fit = hd_grid(*size, _READER.cfg.tiling(max_tiles))
    assert (fit.width, fit.height) == size


_READER = small_reader()


def test_stop_ids_and_text(reader: Ixc2Reader) -> None:
    assert reader.stop_ids() == {2}
    assert reader.text([*(b + 3 for b in b"yes"), 2, 70]) == "yes"
    assert reader.is_found([1])
    assert reader.evidence(reader.prefill([reader.prompt_of([[1]], [])])[1]) == ()


def test_layers_go_to_the_next_device_where_one_is_full() -> None:
    with torch.device("meta"):
        network = Ixc2(SMALL).to(torch.bfloat16)
    sizes = {name: 2 * w.numel() for name, w in network.state_dict().items()}
    kept = footprint(network).token_bytes * SMALL.context // SMALL.decoder.layers
    layer = kept + sum(s for n, s in sizes.items() if n.startswith("decoder.layers.0."))
    end = sum(s for n, s in sizes.items() if n.startswith(("decoder.norm", "decoder.output")))
    start = sum(sizes.values()) - 2 * (layer - kept) - end
    whole = start + 2 * layer + end
    assert set(places(network, {"cuda:0": whole, "cuda:1": whole}).values()) == {"cuda:0"}
    split = places(network, {"cuda:0": whole - end - 1, "cuda:1": whole})
    second = {name for name in split if split[name] == "cuda:1"}
    assert second == {n for n in sizes if re.match(r"decoder\.(layers\.1|norm|output)\.", n)}
    assert {"newline", "view_separator", "decoder.embed.weight", "vit.cls"} <= split.keys() - second
    with pytest.raises(WeightsError, match="there is room for 3 of its 4 parts"):
        places(network, {"cpu": whole - 1})


def test_layers_on_the_cpu_beside_a_gpu_are_told() -> None:
    with torch.device("meta"):
        names = list(Ixc2(SMALL).state_dict())
    is_late = {n: n.startswith(("decoder.layers.1", "decoder.norm", "decoder.out")) for n in names}
    split = {name: "cpu" if is_late[name] else "cuda:0" for name in names}
    assert str(slow_part(split)).startswith("1 of 2 layers lie on the CPU")
    assert slow_part(dict.fromkeys(names, "cuda:0")) is None
    assert slow_part(dict.fromkeys(names, "cpu")) is None


def test_the_room_of_a_device_leaves_some_for_the_work(reader: Ixc2Reader) -> None:
    free = free_on_cpu()
    if free is None:
        pytest.skip("this system does not tell its free memory")
    assert 0 < room(reader.network, [CPU], 56)["cpu"] < 2 * free


def test_a_split_reader_gives_what_a_whole_one_gives(pages: list[Tiles]) -> None:
    whole, split = small_reader(), small_reader()
    split.network.decoder.layers[1].to(torch.device("cpu", 0))
    prompt = whole.prompt_of([_ids(4), _ids(4)], pages[:1])
    assert torch.equal(split.prefill([prompt])[0], whole.prefill([prompt])[0])


def test_the_footprint_counts_weights_and_cache(reader: Ixc2Reader) -> None:
    found = reader.footprint()
    assert found.weights_bytes == sum(4 * w.numel() for w in reader.network.parameters())
    assert found.devices == (CPU,)
    kv = reader.network.decoder.new_cache(1, 10)
    keys, values = kv.write(0, torch.zeros(1, 2, 10, 4), torch.zeros(1, 2, 10, 4))
    assert found.token_bytes * 10 == (keys.nbytes + values.nbytes) * SMALL.decoder.layers
    assert found.run_tokens == reader.chunk


@pytest.mark.golden
@pytest.mark.parametrize("folder", golden_folders(), ids=lambda f: f.name)
def test_a_folder_is_loaded_by_its_model_type(folder: Path) -> None:
    assert isinstance(load(folder), Ixc2Reader)
    halved = load_ixc2(folder, dtype=torch.bfloat16)
    assert {w.dtype for w in halved.network.parameters()} == {torch.bfloat16}
    assert not any(weight.requires_grad for weight in halved.network.parameters())


@pytest.mark.golden
@pytest.mark.parametrize("folder", golden_folders(), ids=lambda f: f.name)
def test_a_relatives_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "model.safetensors", tmp_path)
    config = (folder / "config.json").read_text().replace('"rank": 4', '"rank": 64')
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(WeightsError, match="is no InternLM-XComposer2-4KHD but perhaps a relative"):
        load(tmp_path)
