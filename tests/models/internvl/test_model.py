"""What a prompt gives does not depend on how it is run: in chunks, batches, from a cache, split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.models.internvl.making import SMALL, STRETCHED, noise_page, small_reader
from tilewise.engine.generate import Limits, generate
from tilewise.engine.sampling import SamplingConfig
from tilewise.engine.session import Conversation
from tilewise.errors import PromptError
from tilewise.models.internvl.model import InternVLReader
from tilewise.models.internvl.network import InternVL
from tilewise.models.memory import places
from tilewise.models.rows import Rows
from tilewise.models.units import Prompt
from tilewise.models.vision_cache import CacheConfig, VisionCache
from tilewise.records import Answer, Box, Page, Tiles, Turn
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import fit_page
from tilewise.tiling.partition import cut

READERS = pytest.mark.parametrize("cfg", [SMALL, STRETCHED], ids=["plain", "stretched"])


@pytest.fixture(scope="module")
def reader() -> InternVLReader:
    return small_reader()


@pytest.fixture(scope="module")
def pages(reader: InternVLReader) -> list[Tiles]:
    """Grids of 2 x 1 and 1 x 3 tiles, both with a view of the whole, and of one tile."""
    sizes = ((120, 60), (40, 121), (40, 40))
    return [reader.tiles(noise_page(*size, seed=i), 4) for i, size in enumerate(sizes)]


def _ids(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 259, (count,), generator=generator).tolist()


def _same(found: Tensor, wanted: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


def _decoded(reader: InternVLReader, logits: Tensor, cache: Rows, count: int = 4) -> Tensor:
    """Logits of the next few most probable ids, (count, batch, vocabulary)."""
    seen = [logits]
    for _ in range(count):
        seen.append(reader.decode(seen[-1].argmax(-1), cache))
    return torch.stack(seen)


@contextmanager
def _views_seen(reader: InternVLReader) -> Iterator[list[int]]:
    """How many views the encoder runs, chunk by chunk."""
    counts: list[int] = []
    hook = reader.network.vit.register_forward_hook(
        lambda module, args, out: counts.append(len(out))
    )
    yield counts
    hook.remove()


def test_pages_have_the_grids_that_these_tests_want(pages: list[Tiles]) -> None:
    assert [page.fit.grid for page in pages] == [(2, 1), (1, 3), (1, 1)]
    assert [page.whole is None for page in pages] == [False, False, True]


@READERS
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 90))
@settings(max_examples=10)
def test_chunks_give_what_one_run_gives(
    cfg: object, chunk: int, view_chunk: int, count: int
) -> None:
    reader = small_reader(STRETCHED if cfg is STRETCHED else SMALL)
    page = reader.tiles(noise_page(60, 200), 5)
    prompt = reader.prompt_of([_ids(count), _ids(3, 1)], [page])
    reader.chunk, reader.view_chunk = chunk, view_chunk
    logits, _ = reader.prefill([prompt])
    _same(logits[0], reader.all_logits(prompt)[-1])


@READERS
@pytest.mark.parametrize("count", [4, 55])
def test_decoding_gives_what_the_whole_text_gives(
    cfg: object, count: int, pages: list[Tiles]
) -> None:
    """Of 80 positions and more, where a stretched rotary table changes, too."""
    reader = small_reader(STRETCHED if cfg is STRETCHED else SMALL)
    prompt = reader.prompt_of([_ids(4), _ids(count, 1)], pages[:1])
    with _views_seen(reader) as views:
        seen = _decoded(reader, *reader.prefill([prompt]), count=12)
    assert sum(views) == 3
    answer = seen.argmax(-1)[:-1, 0].tolist()
    for step in range(len(seen)):
        whole = reader.all_logits(Prompt(units=(*prompt.units, *answer[:step])))
        _same(seen[step, 0], whole[-1])


@READERS
def test_a_batch_of_different_grids_gives_what_single_runs_give(
    cfg: object, pages: list[Tiles]
) -> None:
    reader = small_reader(STRETCHED if cfg is STRETCHED else SMALL)
    parts = [
        ([_ids(2), _ids(9, 1)], pages[:1]),
        ([_ids(7, 2)], []),
        ([[1], [], [2]], pages[1:]),
        ([_ids(30), _ids(30)], pages[1:2]),
    ]
    prompts = [reader.prompt_of(ids, tiles) for ids, tiles in parts]
    logits, cache = reader.prefill(prompts)
    together = _decoded(reader, logits, cache, 12)
    for row, prompt in enumerate(prompts):
        _same(together[:, row], _decoded(reader, *reader.prefill([prompt]), 12)[:, 0])


@READERS
def test_a_chat_runs_the_encoder_once_and_equals_a_fresh_run(cfg: object) -> None:
    reader = small_reader(STRETCHED if cfg is STRETCHED else SMALL)
    talk = Conversation(reader, [noise_page(120, 60), noise_page(40, 121, 1)], [4, 4])
    with _views_seen(reader) as views:
        for question in ("one", "and two?", "three"):
            (*_, answer) = talk.ask(question, Limits(max_new_tokens=5))
            fresh = Conversation(reader, talk.pages, talk.max_tiles)
            fresh.turns, before = talk.turns[:-2], len(views)
            (*_, alone) = fresh.ask(question, Limits(max_new_tokens=5))
            del views[before:]
            assert isinstance(answer, Answer)
            assert isinstance(alone, Answer)
            assert answer.text == alone.text
            assert answer.confidence == pytest.approx(alone.confidence, rel=1e-3)
    assert sum(views) == 3 + 4


def test_a_second_question_runs_only_what_is_new(
    reader: InternVLReader, pages: list[Tiles]
) -> None:
    first = reader.prompt([Turn(role="user", text="one")], pages[:2])
    second = reader.prompt([Turn(role="user", text="two words")], pages[:2])
    _, cache = reader.prefill([first])
    told: list[tuple[str, int, int]] = []
    again, cache = reader.prefill([second], cache, lambda *said: told.append(said))
    _same(again, reader.prefill([second])[0])
    assert {stage for stage, _, _ in told} == {"prefill"}  # no tile was looked at
    assert told[-1][2] == len("two words") + len("assistant\n") + 2
    assert cache.length == len(second)


def test_rows_of_a_cache_go_on_as_they_would_have(
    reader: InternVLReader, pages: list[Tiles]
) -> None:
    prompts = [reader.prompt_of([_ids(2), _ids(4, i)], pages[i : i + 1]) for i in range(2)]
    alone = [_decoded(reader, *reader.prefill([prompt])) for prompt in prompts]
    logits, cache = reader.prefill(prompts)
    rows = torch.tensor([1, 0, 0])
    seen = _decoded(reader, logits[rows], reader.select(cache, rows))
    for row, prompt in enumerate((1, 0, 0)):
        _same(seen[:, row], alone[prompt][:, 0])


def test_beams_find_an_answer_at_least_as_probable_as_greedy(
    reader: InternVLReader, pages: list[Tiles]
) -> None:
    prompt = reader.prompt([Turn(role="user", text="what?")], pages[:1])
    limits = Limits(max_new_tokens=4)
    greedy = sum(step.log_prob for step in generate(reader, prompt, limits=limits))
    beams = list(generate(reader, prompt, limits=limits, sampling=SamplingConfig(beams=4)))
    assert len(beams) == 4
    assert sum(step.log_prob for step in beams) >= greedy - 1e-4


def test_a_seed_gives_the_same_answer(reader: InternVLReader, pages: list[Tiles]) -> None:
    prompt = reader.prompt([Turn(role="user", text="what?")], pages[:1])

    def drawn(seed: int) -> list[int]:
        sampling = SamplingConfig(temperature=2.0, seed=seed)
        steps = generate(reader, prompt, limits=Limits(max_new_tokens=9), sampling=sampling)
        return [step.id for step in steps]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_equal_tiles_pass_the_encoder_once(reader: InternVLReader) -> None:
    white = np.full((112, 168, 3), 255, np.uint8)
    tiles = reader.tiles(Page(pixels=white, name="white"), 6)
    assert tiles.fit.grid == (3, 2)
    (image,) = reader.prompt_of([[], []], [tiles]).images
    told: list[int] = []
    with torch.inference_mode(), _views_seen(reader) as views:
        (found,) = reader.network.images([image], reader._ends, progress=told.append)
    assert views == [1]
    assert told == [7]
    assert torch.equal(found[1:5], found[-5:-1])
    ends = reader.network.decoder.embed(torch.tensor(reader._ends))
    assert torch.equal(found[[0, -1]], ends)


def test_small_pages_of_a_prompt_pass_the_encoder_together(reader: InternVLReader) -> None:
    frames = [reader.tiles(noise_page(40, 40, seed, is_frame=True), 1) for seed in range(5)]
    prompt = reader.prompt([Turn(role="user", text="what?")], [*frames, frames[0]])
    told: list[tuple[str, int, int]] = []
    with _views_seen(reader) as views:
        found, _ = reader.prefill([prompt], progress=lambda *said: told.append(said))
    assert views == [2, 2, 2]  # as many as run at a time
    assert [said for said in told if said[0] == "tiles"][-1] == ("tiles", 6, 6)
    one_by_one = [reader.network.images([image], reader._ends)[0] for image in prompt.images]
    together = reader.network.images(prompt.images, reader._ends)
    for alone, beside in zip(one_by_one, together, strict=True):
        _same(beside, alone)
    _same(found[0], reader.all_logits(prompt)[-1])


@READERS
def test_pages_that_are_kept_and_new_ones_come_in_their_order(cfg: object, tmp_path: Path) -> None:
    reader = small_reader(STRETCHED if cfg is STRETCHED else SMALL)
    sizes = ((40, 40), (120, 60), (40, 121), (41, 40), (39, 40))
    tiles = [reader.tiles(noise_page(*size, seed=i), 4) for i, size in enumerate(sizes)]
    prompt = reader.prompt_of([_ids(2), *([7] for _ in tiles)], tiles)
    wanted, _ = reader.prefill([prompt])
    reader.store = VisionCache(CacheConfig(folder=tmp_path), lambda: "small")
    reader.prefill([reader.prompt_of([[], [], []], [tiles[1], tiles[3]])])
    assert len(list(tmp_path.iterdir())) == 2
    told: list[tuple[str, int, int]] = []
    with _views_seen(reader) as views:
        found, _ = reader.prefill([prompt], progress=lambda *said: told.append(said))
    assert sum(views) == 1 + 4 + 1
    assert [said for said in told if said[0] == "tiles"][-1] == ("tiles", 10, 10)
    assert len(list(tmp_path.iterdir())) == 5
    _same(found, wanted)


def test_a_kept_page_needs_no_encoder(tmp_path: Path, pages: list[Tiles]) -> None:
    readers = [small_reader(), small_reader()]
    for one in readers:
        one.store = VisionCache(CacheConfig(folder=tmp_path), lambda: "small")
    prompt = readers[0].prompt_of([[5, 6], [7], [8]], pages[:2])
    first, _ = readers[0].prefill([prompt])
    with _views_seen(readers[1]) as views:
        second, _ = readers[1].prefill([prompt])
    assert not views
    assert torch.equal(first, second)


def test_pages_that_differ_in_their_whole_view_alone_are_kept_apart(
    tmp_path: Path, reader: InternVLReader, pages: list[Tiles]
) -> None:
    store = VisionCache(CacheConfig(folder=tmp_path), lambda: "small")
    (image,) = reader.prompt_of([[], []], pages[:1]).images
    page = pages[0]
    other = Tiles(local=page.local, canvas=page.canvas, fit=page.fit, whole=page.local[0])
    assert store.key(page, image.plan) != store.key(other, image.plan)


def test_boxes_in_an_answer_are_evidence_in_pixels_of_its_page(
    reader: InternVLReader, pages: list[Tiles]
) -> None:
    said = "<ref>total</ref><box>[[100, 200, 300, 400]]</box>"
    ids = reader.tokenizer.encode(said, bos=False)
    _, cache = reader.prefill([reader.prompt([Turn(role="user", text="where?")], pages[:1])])
    for token in ids:
        reader.decode(torch.tensor([token]), cache)
    assert reader.text(ids) == said
    (found,) = reader.evidence(cache)
    assert (found.page, found.text) == (1, "total")
    assert found.box == pytest.approx(Box(12, 12, 36, 24))


def test_boxes_stand_on_the_page_that_the_answer_names(
    reader: InternVLReader, pages: list[Tiles]
) -> None:
    said = "In Image-2: <box>[[0, 0, 1000, 500]]</box>"
    _, cache = reader.prefill([reader.prompt([Turn(role="user", text="where?")], pages[:2])])
    for token in reader.tokenizer.encode(said, bos=False):
        reader.decode(torch.tensor([token]), cache)
    (found,) = reader.evidence(cache)
    assert found.page == 2
    assert found.box == pytest.approx(Box(0, 0, 40, 60.5))


def test_half_precision_stays_near_and_gives_float32_logits(pages: list[Tiles]) -> None:
    whole, half = small_reader(), small_reader(dtype=torch.bfloat16)
    prompt = whole.prompt_of([_ids(4), _ids(4)], pages[:1])
    logits, cache = half.prefill([prompt])
    assert logits.dtype == torch.float32
    assert half.decode(logits.argmax(-1), cache).dtype == torch.float32
    assert torch.cosine_similarity(logits, whole.prefill([prompt])[0]).item() > 0.99


def test_a_split_reader_gives_what_a_whole_one_gives(pages: list[Tiles]) -> None:
    whole, split = small_reader(), small_reader()
    split.network.decoder.layers[1].to(torch.device("cpu", 0))
    prompt = whole.prompt_of([_ids(4), _ids(4)], pages[:1])
    assert torch.equal(split.prefill([prompt])[0], whole.prefill([prompt])[0])


def test_layers_go_to_the_next_device_where_one_is_full() -> None:
    with torch.device("meta"):
        network = InternVL(SMALL).to(torch.bfloat16)
    whole = sum(places_sizes(network))
    split = places(network, {"cuda:0": whole - 1, "cuda:1": whole})
    assert set(places(network, {"cuda:0": whole}).values()) == {"cuda:0"}
    assert split["vit.cls"] == split["projector.norm.weight"] == "cuda:0"
    assert split["decoder.output.weight"] == "cuda:1"


def places_sizes(network: InternVL) -> list[int]:
    """Bytes of all weights, and of keys and values of a full context."""
    kept = 2 * SMALL.decoder.layers * 2 * 4 * 2 * SMALL.context
    return [kept, *(2 * weight.numel() for weight in network.state_dict().values())]


def test_the_footprint_counts_weights_and_cache(reader: InternVLReader) -> None:
    found = reader.footprint()
    assert found.weights_bytes == sum(4 * w.numel() for w in reader.network.parameters())
    assert found.token_bytes == 4 * 2 * SMALL.decoder.layers * 2 * 4
    assert found.run_tokens == reader.chunk


@settings(max_examples=30)
@given(st.floats(5, 5000), st.floats(5, 5000), st.integers(1, 40))
def test_a_vector_page_is_rendered_no_smaller_than_it_will_be_cut(
    width_pt: float, height_pt: float, max_tiles: int
) -> None:
    reader = small_reader()
    width, height = reader.raster_size(width_pt, height_pt, max_tiles)
    fit = fit_page(width, height, reader.cfg.tiling(max_tiles))
    assert width >= fit.width - 1
    assert height >= fit.height - 1
    assert max(width, height) <= 56 * 64


def test_stop_ids_are_those_of_the_template(reader: InternVLReader) -> None:
    assert reader.stop_ids() == {reader.tokenizer.id_of("<|im_end|>")}
    assert small_reader(STRETCHED).stop_ids() == {
        small_reader(STRETCHED).tokenizer.id_of("<|end|>")
    }
    (stop,) = reader.stop_ids()
    assert reader.text([*(b + 3 for b in b"yes"), stop, 70]) == "yes"
    assert reader.is_found([1])


def test_a_plan_of_other_tiles_is_an_error(reader: InternVLReader, pages: list[Tiles]) -> None:
    (image,) = reader.prompt_of([[], []], pages[2:]).images
    with pytest.raises(PromptError, match=r"places for 4 visual tokens .* gives 12 \(3 views of 4"):
        reader.network.images([replace(image, tiles=pages[0])], reader._ends)


def test_tiles_of_another_size_are_an_error(reader: InternVLReader) -> None:
    tiles = cut(noise_page(40, 40), TilingConfig(tile=28, max_tiles=1))
    with pytest.raises(PromptError, match="tiles of 28 px and internvl-qwen2 reads tiles of 56 px"):
        reader.prompt_of([[], []], [tiles])
