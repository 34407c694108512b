"""One by one through the cache, or all at once: the decoder says the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.models.nano.making import TINY, random_parts, reading_of
from tilewise.models.nano.decoder import (
    NO_GAP,
    PAGE_END,
    STEP_FEATURES,
    WORDS,
    Decoder,
    feedback,
)
from tilewise.models.nano.pointer import page_memory
from tilewise.models.nano.reading import BLOCK, SAME_WORD, SPACE
from tilewise.nn.kv_cache import KVCache

WIDTH = TINY.decoder.width
PAGE, TEXT = 40, 23


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return random_parts()[2].requires_grad_(False)


@pytest.fixture(scope="module")
def page() -> Tensor:
    return torch.randn(PAGE, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def text() -> Tensor:
    return torch.randn(TEXT, WIDTH, generator=torch.Generator().manual_seed(2))


def cache_of(decoder: Decoder, page: Tensor, room: int = 8) -> KVCache:
    cache = decoder.new_cache(room)
    for i, (keys, values) in enumerate(decoder.page(page)):
        cache.write(i, keys, values)
    cache.advance(len(page))
    return cache


def whole(decoder: Decoder, page: Tensor, text: Tensor) -> Tensor:
    """All of the text in one pass, as in training."""
    n = len(text)
    own = torch.ones(n, n, dtype=torch.bool).tril()
    mask = torch.cat([torch.ones(n, len(page), dtype=torch.bool), own], 1)
    return decoder.text(text, torch.arange(n), decoder.page(page), mask)


@pytest.mark.parametrize("sizes", [[TEXT], [1] * TEXT, [10, 1, 1, 11]])
def test_steps_through_the_cache_equal_one_pass(
    decoder: Decoder, page: Tensor, text: Tensor, sizes: list[int]
) -> None:
    cache, parts, at = cache_of(decoder, page), [], 0
    for size in sizes:
        parts.append(decoder.step(text[at : at + size], at, cache))
        at += size
    assert torch.allclose(torch.cat(parts), whole(decoder, page, text), atol=1e-5)
    assert cache.length == PAGE + TEXT


def test_going_on_after_a_cut_equals_a_fresh_run(
    decoder: Decoder, page: Tensor, text: Tensor
) -> None:
    cache = cache_of(decoder, page)
    decoder.step(text.flip(0), 0, cache)
    cache.truncate(PAGE)
    again = decoder.step(text, 0, cache)
    assert torch.equal(again, decoder.step(text, 0, cache_of(decoder, page)))
    cache.truncate(PAGE + 5)
    assert torch.allclose(decoder.step(text[5:], 5, cache), again[5:], atol=1e-5)


def test_no_position_sees_a_later_one(decoder: Decoder, page: Tensor, text: Tensor) -> None:
    changed = text.clone()
    changed[12:] = 0.0
    before, after = whole(decoder, page, text), whole(decoder, page, changed)
    assert torch.allclose(before[:12], after[:12], atol=1e-6)
    assert not torch.allclose(before[12], after[12], atol=1e-3)


def test_the_page_is_seen(decoder: Decoder, page: Tensor, text: Tensor) -> None:
    assert not torch.allclose(
        whole(decoder, page, text), whole(decoder, page.flip(0) * 2, text), atol=1e-3
    )


def test_packed_questions_do_not_see_each_other(
    decoder: Decoder, page: Tensor, text: Tensor
) -> None:
    first, second = text[:9], text[9:]
    group = torch.tensor([0] * len(first) + [1] * len(second))
    own = (group[:, None] == group) & torch.ones(TEXT, TEXT, dtype=torch.bool).tril()
    mask = torch.cat([torch.ones(TEXT, PAGE, dtype=torch.bool), own], 1)
    positions = torch.cat([torch.arange(len(first)), torch.arange(len(second))])
    packed = decoder.text(text, positions, decoder.page(page), mask)
    alone = torch.cat([whole(decoder, page, first), whole(decoder, page, second)])
    assert torch.allclose(packed, alone, atol=1e-5)


def test_feedback_tells_what_comes_next() -> None:
    memory = page_memory(reading_of((20, 40, "ab c"), (20, 300, "d")))
    chars = memory.reading.chars
    back = feedback(memory, [-1, 0, 1, 2, 3], [0, 0, 1, 1, WORDS + 5])
    assert back.gap.tolist() == [NO_GAP, SAME_WORD, SPACE, BLOCK, PAGE_END]
    assert back.cls.tolist() == [0, *chars.cls[1:].tolist(), 0]
    assert back.token.tolist() == [-1, *memory.tokens[1:].tolist(), -1]
    assert back.words.tolist() == [0, 0, 1, 1, WORDS - 1]
    assert back.features.shape == (5, STEP_FEATURES)
    assert bool(back.features.isfinite().all())
    assert back.features[:, 3].tolist() == [0, 1, 1, 0, 0]


def test_feedback_of_an_empty_page() -> None:
    back = feedback(page_memory(reading_of()), [-1, -1], [0, 3])
    assert back.gap.tolist() == [NO_GAP, NO_GAP]
    assert feedback(page_memory(reading_of()), [], []).features.shape == (0, STEP_FEATURES)
